"""What waits for room: by priority, and within one priority round robin over flows, so that a submit of
a hundred thousand tasks does not starve a later one of one task.

A flow is the waiting tasks of one batch that ask the same: they are placed together.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from nova_node.core.model import Demand, Phase, Status
from nova_node.core.tasks import Task

FlowKey = tuple[int, Phase, Demand]


class Flow:
    __slots__ = ("demand", "key", "phase", "tasks")

    def __init__(self, key: FlowKey) -> None:
        self.key = key
        _, self.phase, self.demand = key
        self.tasks: deque[Task] = deque()

    def take(self, count: int) -> list[Task]:
        """Up to `count` tasks that still wait, in order."""
        taken: list[Task] = []
        tasks = self.tasks
        while tasks and len(taken) < count:
            task = tasks.popleft()
            if task.status is Status.WAITING:
                taken.append(task)
        return taken

    def head(self) -> Task | None:
        """The first task that still waits; those that do not are dropped on the way."""
        while self.tasks:
            if self.tasks[0].status is Status.WAITING:
                return self.tasks[0]
            self.tasks.popleft()
        return None


class ReadyQueue:
    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[FlowKey, Flow]] = {}

    def push(self, task: Task, first: bool = False, urgent: bool = False) -> None:
        """`first` goes to the head of its flow, `urgent` takes the flow to the head of its level: for
        work that had begun and was lost, not for what failed, which could starve the rest."""
        flow = self._flow(task)
        if first or urgent:
            flow.tasks.appendleft(task)
        else:
            flow.tasks.append(task)
        if urgent:
            self._levels[task.demand.priority].move_to_end(flow.key, last=False)

    def extend(self, tasks: list[Task]) -> None:
        """Tasks of one batch in order; runs of equal demand cost one look-up."""
        flow: Flow | None = None
        demand: Demand | None = None
        for task in tasks:
            if flow is None or task.demand is not demand:
                flow, demand = self._flow(task), task.demand
            flow.tasks.append(task)

    def flows(self) -> Iterator[Flow]:
        """Most urgent first. Empty flows vanish."""
        for priority in sorted(self._levels, reverse=True):
            level = self._levels[priority]
            for key in list(level):
                flow = level[key]
                if flow.head() is not None:
                    yield flow
                if not flow.tasks:
                    del level[key]
            if not level:
                del self._levels[priority]

    def served(self, flow: Flow) -> None:
        """It had its turn: the next walk begins with others of its priority."""
        self._levels[flow.demand.priority].move_to_end(flow.key)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def _flow(self, task: Task) -> Flow:
        demand = task.demand
        level = self._levels.get(demand.priority)
        if level is None:
            level = self._levels[demand.priority] = OrderedDict()
        key = (task.batch.first, task.phase, demand)
        flow = level.get(key)
        if flow is None:
            flow = level[key] = Flow(key)
        return flow
