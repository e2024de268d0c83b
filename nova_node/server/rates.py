"""How many calls a caller may make: a bucket of tokens each, refilled all the time."""

from __future__ import annotations

from collections.abc import Callable

CALLS_A_SECOND = 2_000.0
BURST = 4_000.0
CALLERS_MAX = 4_096


class Rates:
    """Bounded: beyond `CALLERS_MAX` callers all begin anew. `clock` is seconds, monotonic."""

    def __init__(
        self,
        clock: Callable[[], float],
        calls_a_second: float = CALLS_A_SECOND,
        burst: float = BURST,
    ) -> None:
        self._clock = clock
        self._calls_a_second = calls_a_second
        self._burst = burst
        #: what is left, and since when
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> bool:
        """Whether this caller may make one more call now."""
        now = self._clock()
        left, since = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._calls_a_second)
        if len(self._buckets) >= CALLERS_MAX and caller not in self._buckets:
            self._buckets.clear()
        self._buckets[caller] = (left - 1.0 if left >= 1.0 else left, now)
        return left >= 1.0
