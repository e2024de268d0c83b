"""What is out of the ordinary: a robust z-score against the series' own recent past.

Median and median absolute deviation, not mean and variance: one outlier must not hide the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

TO_SIGMAS = 1.4826
"""From median absolute deviation to standard deviation, for normally distributed values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a series is called anomalous."""

    #: sigmas from the median
    z: float = 6.0
    #: deviations smaller than this part of the median are never strange
    share: float = 0.25
    #: nor those smaller than this, in the series' own unit
    least: float = 0.0
    #: values of the past that are compared with
    window: int = 120
    #: of them, before anything is judged
    needed: int = 30
    #: values in a row that must be strange; as many ordinary ones end it
    run: int = 3
    #: only what lies above the median counts
    above_only: bool = False
    #: a series that mostly is 0 may begin without being strange
    from_zero: bool = True


class Anomaly(NamedTuple):
    """A series left its ordinary range, or (`ended`) is back in it."""

    series: str
    at: float
    value: float
    median: float
    #: of the value; negative below the median
    z: float
    ended: bool = False


def robust_z(past: Sequence[float], value: float, rule: Rule) -> tuple[float, float]:
    """The median of the past, and how many sigmas from it the value is."""
    middle = median(past)
    spread = TO_SIGMAS * median([abs(each - middle) for each in past])
    # a series that hardly moves has no spread to speak of
    sigma = max(spread, (rule.share * abs(middle)) / rule.z, rule.least / rule.z, 1e-9)
    return middle, (value - middle) / sigma


class Detector:
    """One series, value after value."""

    def __init__(self, series: str, rule: Rule) -> None:
        self.series = series
        self.rule = rule
        #: the anomaly that goes on now
        self.current: Anomaly | None = None
        self._past: deque[float] = deque(maxlen=rule.window)
        self._strange = 0
        self._ordinary = 0

    def feed(self, at: float, value: float) -> Anomaly | None:
        """What this value begins or ends. Strange values become the past too, so a level that stays
        is ordinary after half a window."""
        past, rule = self._past, self.rule
        if len(past) < rule.needed:
            past.append(value)
            return None
        middle, z = robust_z(past, value, rule)
        past.append(value)
        begins = not middle and not rule.from_zero
        if not begins and (z if rule.above_only else abs(z)) > rule.z:
            self._strange, self._ordinary = self._strange + 1, 0
            if self.current is None and self._strange >= rule.run:
                self.current = Anomaly(self.series, at, value, middle, z)
                return self.current
        else:
            self._strange, self._ordinary = 0, self._ordinary + 1
            if self.current is not None and self._ordinary >= rule.run:
                self.current = None
                return Anomaly(self.series, at, value, middle, z, ended=True)
        return None
