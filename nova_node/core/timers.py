"""When tasks are to be looked at again: the end of a backoff, and the deadline of a root task."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Status
from nova_node.core.tasks import Task, Tasks

SLACK = 1024
"""Deadlines of ended tasks that may stand among those of open ones."""


class Timers:
    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._backoffs: list[tuple[float, int]] = []
        self._deadlines: list[tuple[float, int]] = []

    def back_off(self, task: Task) -> None:
        heapq.heappush(self._backoffs, (task.not_before, task.no))

    def expire(self, task: Task) -> None:
        """Watch the task's deadline, if it has one."""
        if task.demand.deadline_s:
            if len(self._deadlines) > 2 * self._tasks.unended + SLACK:
                self._drop_ended()
            heapq.heappush(self._deadlines, (_due(task), task.no))

    def rested(self, now: float) -> Iterator[Task]:
        """Tasks whose backoff is over."""
        while self._backoffs and self._backoffs[0][0] <= now:
            task = self._tasks.by_no.get(heapq.heappop(self._backoffs)[1])
            if task is not None and task.status is Status.BACKOFF and task.not_before <= now:
                yield task

    def expired(self, now: float) -> Iterator[Task]:
        """Tasks past their deadline that have not ended."""
        while self._deadlines and self._deadlines[0][0] <= now:
            task = self._tasks.by_no.get(heapq.heappop(self._deadlines)[1])
            # a task that was requeued has a later one too
            if task is not None and task.status not in ENDED and _due(task) <= now:
                yield task

    def _drop_ended(self) -> None:
        by_no = self._tasks.by_no
        self._deadlines = [d for d in self._deadlines if _is_open(by_no.get(d[1]))]
        heapq.heapify(self._deadlines)

    @property
    def wake_at(self) -> float:
        return min(
            (heap[0][0] for heap in (self._backoffs, self._deadlines) if heap), default=float("inf")
        )


def _due(task: Task) -> float:
    return (task.requeued_at or task.batch.accepted_at) + task.demand.deadline_s


def _is_open(task: Task | None) -> bool:
    return task is not None and task.status not in ENDED
