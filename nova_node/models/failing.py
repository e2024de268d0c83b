"""How asking a model fails: one exception, whose codes are in docs/errors.md.

Rule: no key stands in what it says, and what a provider said is cut short.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from nova_node.capability import Failed
from nova_node.secrets.redact import LENGTH_MIN, Redactor

MESSAGE_LENGTH = 400
RETRY_AFTER_MAX_S = 600.0
OWN_FAULT_S = 15.0
"""A model whose key or name the provider does not take is left alone for so long."""

_KEY_VARIABLE = re.compile(r".*(KEY|TOKEN|SECRET|PASSWORD)")
_LIKE_A_KEY = re.compile(
    r"(?i)\b(bearer\s+|(?:api[-_]?)?key['\"]?\s*[=:]\s*['\"]?)[^\s'\",}&]{4,}"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|AIza)[-_A-Za-z0-9]{16,}"
)


class ModelFailed(Failed):
    """`maybe_billed`: the provider may ask money for what came of it, and did not say how much.
    `cool_s`: the model is better left alone here for so long. `own_fault`: no wait helps, somebody has
    to see to this node."""

    def __init__(
        self,
        code: str,
        message: str,
        fix: str = "",
        retryable: bool = True,
        *,
        retry_after_s: float = 0.0,
        cool_s: float = 0.0,
        maybe_billed: bool = False,
        own_fault: bool = False,
    ) -> None:
        super().__init__(code, message, fix, retryable)
        self.retry_after_s, self.maybe_billed, self.own_fault = (
            retry_after_s,
            maybe_billed,
            own_fault,
        )
        self.cool_s = OWN_FAULT_S if own_fault else cool_s


def scrub(text: str, keys: Iterable[str]) -> str:
    """Without the keys, without what looks like one, in one line, and cut."""
    secrets = [*keys, *(v for name, v in os.environ.items() if _KEY_VARIABLE.fullmatch(name))]
    values = [("key", value) for value in secrets if len(value) >= LENGTH_MIN]
    clean = Redactor(values).text(text) if values else text
    clean = _LIKE_A_KEY.sub(lambda found: f"{found[1] or ''}[a key]", clean)
    clean = " ".join(clean.split())
    return clean if len(clean) <= MESSAGE_LENGTH else clean[:MESSAGE_LENGTH] + " ..."


def of_status(model: str, status: int, said: str, retry_after_s: float) -> ModelFailed:
    """The failure that an HTTP status of a provider stands for; 0: it could not be reached."""
    named = f"{model}: {said}"
    match status:
        case 429:
            return ModelFailed(
                "model_rate_limited",
                named,
                "wait, name more models, or raise the limit with the provider",
                retry_after_s=retry_after_s,
                cool_s=retry_after_s,
            )
        case 408 | 504:
            return timed_out(named)
        case 502 | 503 | 529:
            return ModelFailed(
                "model_overloaded",
                named,
                "wait, or name more models",
                retry_after_s=retry_after_s,
                cool_s=retry_after_s,
            )
        case 401 | 402 | 403:
            return ModelFailed(
                "model_auth",
                named,
                f"on this node, see to the key and the account of {model}: key=secret:NAME in"
                " models.use, and nova-node secret set NAME",
                own_fault=True,
            )
        case 404:
            fix = "see the model's name and url in models.use of this node"
            return ModelFailed("model_unavailable", named, fix, own_fault=True)
        case _ if 400 <= status < 500:
            return ModelFailed("model_bad_request", named, "change the request", False)
        case _ if 300 <= status < 400:
            fix = "name the url of the model itself in models.use"
            said = f"{model}: answers with a redirect, which is not followed"
            return ModelFailed("model_unavailable", said, fix, own_fault=True)
        case _:
            fix = "see whether the model's server runs"
            return ModelFailed("model_unavailable", named, fix)


def timed_out(message: str) -> ModelFailed:
    fix = "raise models.timeout_s on the node, or ask a faster model"
    return ModelFailed("model_timeout", message, fix, maybe_billed=True)


def broken_off(message: str) -> ModelFailed:
    return ModelFailed("model_unavailable", message, "run it again", maybe_billed=True)


def too_much(model: str, what: str) -> ModelFailed:
    fix = "see the model's server: it sends more than it was asked for"
    return ModelFailed("model_bad_output", f"{model}: {what}", fix, maybe_billed=True)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """What a provider asks for, in seconds; 0: nothing."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            seconds = float(raw) * unit_s
        except ValueError:
            seconds = _until(raw, now or datetime.now(UTC))
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, RETRY_AFTER_MAX_S)
    return 0.0


def _until(date: str, now: datetime) -> float:
    try:
        return (parsedate_to_datetime(date) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0
