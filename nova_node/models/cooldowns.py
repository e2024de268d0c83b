"""Models that are left alone for a while, after a failure that will not pass at once. Pure.

What the provider asks for counts; without that, twice as long each time.
"""

from __future__ import annotations

from typing import NamedTuple

from nova_node.models.failing import ModelFailed

FIRST_S = 1.0
LONGEST_S = 60.0
CODES = frozenset(
    {"model_rate_limited", "model_overloaded", "model_unavailable", "model_timeout", "model_auth"}
)


class _Cooling(NamedTuple):
    until: float
    times: int
    failure: ModelFailed


class Cooldowns:
    """By name of the model; `now` is in seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._cooling: dict[str, _Cooling] = {}

    def after(self, name: str, failure: ModelFailed, now: float) -> None:
        if failure.code not in CODES:
            return
        before = self._cooling.get(name)
        times = before.times if before else 0
        wait_s = failure.cool_s or min(LONGEST_S, FIRST_S * 2**times)
        until = max(now + wait_s, before.until if before else 0.0)
        self._cooling[name] = _Cooling(until, min(times + 1, 16), failure)

    def well(self, name: str) -> None:
        self._cooling.pop(name, None)

    def left_s(self, name: str, now: float) -> float:
        """0: it may be asked."""
        cooling = self._cooling.get(name)
        return max(0.0, cooling.until - now) if cooling else 0.0

    def failure(self, name: str) -> ModelFailed:
        """For which it is left alone."""
        return self._cooling[name].failure
