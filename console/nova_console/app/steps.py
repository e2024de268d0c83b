"""Work as steps that need each other: the critical path and a forecast of the end. Pure.

It knows nothing of tasks or of a screen: whatever has steps (a split task today, a workflow) becomes a
plan, and everything that draws or foretells works on the plan. Needs that name no step are ignored.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heapify, heapreplace
from typing import Literal

State = Literal["waiting", "running", "done", "failed", "cancelled"]

SPREAD = 1.4826
"""Makes a median absolute deviation comparable to a standard deviation."""


@dataclass(frozen=True, slots=True)
class Step:
    """Times are unix seconds, 0 when it has not come to that. Steps of one `kind` take about as long
    as each other. `place` is where it runs; `tries` counts its attempts."""

    id: str
    label: str
    kind: str
    needs: tuple[str, ...]
    state: State
    place: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    tries: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When all will have ended, give or take `error_s`: how much such steps differ from each other,
    or how late the latest one is already."""

    ends_at: float
    error_s: float


class Plan:
    """Steps in an order in which each stands after what it needs. Raises graphlib.CycleError."""

    def __init__(self, steps: Iterable[Step]) -> None:
        given = {step.id: step for step in steps}
        self._needs = {
            step.id: tuple(id for id in step.needs if id in given) for step in given.values()
        }
        order = TopologicalSorter(self._needs).static_order()
        self.steps: tuple[Step, ...] = tuple(given[id] for id in order)
        self.by_id = given

    @property
    def is_over(self) -> bool:
        return all(map(_is_over, self.steps))

    def needs(self, step: Step) -> tuple[str, ...]:
        """Of those that are steps."""
        return self._needs[step.id]

    def levels(self) -> list[list[Step]]:
        """Each step one level after the last of those it needs."""
        level: dict[str, int] = {}
        for step in self.steps:
            level[step.id] = max((level[id] + 1 for id in self._needs[step.id]), default=0)
        levels: list[list[Step]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
        for step in self.steps:
            levels[level[step.id]].append(step)
        return levels

    def lanes(self) -> dict[str, list[Step]]:
        """By place, in the order they started; what has no place yet is left out."""
        lanes: dict[str, list[Step]] = defaultdict(list)
        for step in sorted(self.steps, key=lambda step: step.started_at):
            if step.place:
                lanes[step.place].append(step)
        return dict(lanes)

    def width(self) -> int:
        """How many steps were under way at once, at most."""
        marks = [(step.started_at, 1) for step in self.steps if step.started_at]
        marks += [(step.ended_at, -1) for step in self.steps if step.started_at and step.ended_at]
        now, most = 0, 0
        for _, change in sorted(marks):
            now += change
            most = max(most, now)
        return most

    def critical_path(self, now: float) -> tuple[str, ...]:
        """The chain that the end hangs on: from the step that ends last, each time back to the need
        that ended last. Of what has not ended, the expected ends count."""
        ends = self._ends(now)
        path: list[str] = []
        at = max(ends, key=lambda id: ends[id], default=None)
        while at is not None:
            path.append(at)
            at = max(self._needs[at], key=lambda id: ends[id], default=None)
        return tuple(reversed(path))

    def forecast(self, now: float) -> Forecast | None:
        """None when all has ended, or nothing has yet that one could go by."""
        took = self._took()
        left = [step for step in self.steps if not _is_over(step)]
        if not left or not took:
            return None
        everything = [seconds for times in took.values() for seconds in times]
        usual = statistics.median(everything)
        rounds = -(-len(left) // max(1, self.width()))
        late_s = max((now - step.started_at - usual for step in left if step.started_at), default=0)
        error_s = max(SPREAD * _deviation(everything) * rounds, late_s)
        return Forecast(max(self._ends(now).values()), error_s)

    def _took(self) -> dict[str, list[float]]:
        took: dict[str, list[float]] = defaultdict(list)
        for step in self.steps:
            if step.state == "done" and step.started_at and step.ended_at:
                took[step.kind].append(max(0.0, step.ended_at - step.started_at))
        return took

    def _ends(self, now: float) -> dict[str, float]:
        """Known or expected: what waits is dealt to as many lanes as there were at most."""
        took = self._took()
        typical = {kind: statistics.median(times) for kind, times in took.items()}
        usual = statistics.median(typical.values()) if typical else 0.0
        lanes = [now] * max(1, self.width())
        ends: dict[str, float] = {}
        for step in self.steps:
            if _is_over(step):
                ends[step.id] = step.ended_at
            elif step.state == "running" and step.started_at:
                ends[step.id] = max(now, step.started_at + typical.get(step.kind, usual))
        running = sorted((end for end in ends.values() if end > now), reverse=True)
        lanes[: len(running)] = running[: len(lanes)]
        heapify(lanes)
        for step in self.steps:
            if step.id not in ends:
                ready = max((ends[id] for id in self._needs[step.id]), default=now)
                end = max(ready, lanes[0]) + typical.get(step.kind, usual)
                heapreplace(lanes, end)
                ends[step.id] = end
        return ends


def _is_over(step: Step) -> bool:
    return step.state in ("done", "failed", "cancelled")


def _deviation(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)
