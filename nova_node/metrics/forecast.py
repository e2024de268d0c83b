"""A short forecast that knows how wrong it is: a damped trend, judged by what it would have said before.

For each step ahead the error is the mean of what the same method missed by on the values there are.
When the trend did worse than "as it is now", that is the forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

NEEDED = 12
"""Values, fewer of which are no ground for a forecast."""

WINDOW = 240
ORIGINS_MAX = 60
DAMPING = 0.9
_ALPHAS = (0.15, 0.3, 0.6, 0.9)
_BETAS = (0.05, 0.2)


class Ahead(NamedTuple):
    value: float
    #: mean absolute error of this method so many steps ahead
    error: float


class Forecast(NamedTuple):
    #: "trend" or "level"
    method: str
    steps: tuple[Ahead, ...]


Method = Callable[[Sequence[float], int], list[float]]


def forecast(values: Sequence[float], steps: int, least: float = 0.0) -> Forecast | None:
    """The next `steps` of a series of equal steps; None when it is too short. Values below `least`
    do not occur."""
    values = values[-WINDOW:]
    if len(values) < NEEDED or steps < 1:
        return None
    methods: list[tuple[str, Method]] = [("level", _level)]
    methods += [("trend", partial(_trend, alpha=a, beta=b)) for a in _ALPHAS for b in _BETAS]
    judged = [(_errors(method, values, steps, least), name, method) for name, method in methods]
    errors, name, method = min(judged, key=lambda each: sum(each[0]))
    said = [max(least, value) for value in method(values, steps)]
    return Forecast(name, tuple(Ahead(v, e) for v, e in zip(said, errors, strict=True)))


def _errors(method: Method, values: Sequence[float], steps: int, least: float) -> list[float]:
    """Mean absolute error for each step ahead, over beginnings in the later part of the values."""
    first = max(NEEDED // 2, len(values) // 3)
    stride = max(1, (len(values) - first) // ORIGINS_MAX)
    sums, counts = [0.0] * steps, [0] * steps
    for origin in range(first, len(values), stride):
        ahead = min(steps, len(values) - origin)
        for step, value in enumerate(method(values[:origin], ahead)):
            sums[step] += abs(max(least, value) - values[origin + step])
            counts[step] += 1
    errors: list[float] = []
    for total, count in zip(sums, counts, strict=True):
        mean = total / count if count else 0.0
        # farther ahead is never surer, and what could not be tried is no surer than what was
        errors.append(max(mean, errors[-1]) if errors else mean)
    return errors


def _level(values: Sequence[float], steps: int) -> list[float]:
    return [values[-1]] * steps


def _trend(values: Sequence[float], steps: int, *, alpha: float, beta: float) -> list[float]:
    """Holt's method with a damped trend."""
    level, trend = values[0], 0.0
    for value in values[1:]:
        before = level
        level = alpha * value + (1 - alpha) * (level + DAMPING * trend)
        trend = beta * (level - before) + (1 - beta) * DAMPING * trend
    said: list[float] = []
    weight = 0.0
    for step in range(1, steps + 1):
        weight += DAMPING**step
        said.append(level + weight * trend)
    return said
