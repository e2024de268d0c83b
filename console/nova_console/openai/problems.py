"""Errors of the mesh as a client of OpenAI knows them: an HTTP status, a type, a code, and the fix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nova_client import Invalid, NotFound, NovaError, Overloaded, Refused
from nova_client.model import Outcome

OVERLOADED_RETRY_S = 1.0

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}

_STATUSES = {
    "unauthenticated": 401,
    "model_bad_request": 400,
    "invalid_argument": 400,
    "budget_exhausted": 402,
    "budget_needs_allowance": 402,
    "model_over_allowance": 402,
    "model_price_unknown": 402,
    "forbidden": 403,
    "not_permitted": 403,
    "model_refused_local": 403,
    "not_found": 404,
    "cancelled": 409,
    "model_rate_limited": 429,
    "overloaded": 429,
    "model_auth": 502,
    "model_bad_output": 502,
    "draining": 503,
    "model_overloaded": 503,
    "model_unavailable": 503,
    "unavailable": 503,
    "lost": 503,
    "deadline": 504,
    "model_timeout": 504,
    "wall_limit": 504,
}

_BY_KIND: tuple[tuple[type[NovaError], int], ...] = (
    (Overloaded, 429),
    (Refused, 403),
    (Invalid, 400),
    (NotFound, 404),
)


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    code: str
    message: str
    fix: str = ""
    #: 0: nothing is known
    retry_after_s: float = 0.0

    @property
    def body(self) -> dict[str, Any]:
        text = f"{self.message}; {self.fix}" if self.fix else self.message
        return {
            "error": {
                "message": text,
                "type": _TYPES.get(self.status, "server_error"),
                "param": None,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        if not self.retry_after_s:
            return {}
        return {"Retry-After": str(math.ceil(self.retry_after_s))}


def problem_of(error: NovaError, outcome: Outcome | None = None) -> Problem:
    """`outcome` is of the task that failed, which may know when it is worth trying again."""
    status = _STATUSES.get(error.code)
    if status is None:
        status = next((number for kind, number in _BY_KIND if isinstance(error, kind)), 500)
    retry_after_s = 0.0
    if outcome is not None and outcome.failure is not None:
        retry_after_s = outcome.failure.retry_after_s
    if not retry_after_s and error.code == "overloaded":
        retry_after_s = OVERLOADED_RETRY_S
    code = "model_not_found" if status == 404 else error.code
    return Problem(status, code, error.message, error.fix, retry_after_s)
