"""What waits for room: by priority, within one priority round robin over submitters, and over the flows
of each, so that neither a submit of a hundred thousand tasks nor somebody with a thousand submits
starves a later one of one task.

A flow is the waiting tasks of one batch that ask the same: they are placed together.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from nova_node.core.model import Demand, Phase, Status
from nova_node.core.tasks import Task

FlowKey = tuple[int, Phase, Demand]


class Flow:
    __slots__ = ("demand", "key", "phase", "submitter", "tasks")

    def __init__(self, key: FlowKey, submitter: str) -> None:
        self.key = key
        self.submitter = submitter
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


Flows = OrderedDict[FlowKey, Flow]
Level = OrderedDict[str, Flows]
"""Of one priority, by submitter."""


class ReadyQueue:
    def __init__(self) -> None:
        self._levels: dict[int, Level] = {}

    def push(self, task: Task, first: bool = False, urgent: bool = False) -> None:
        """`first` goes to the head of its flow, `urgent` takes the flow to the head of its level: for
        work that had begun and was lost, not for what failed, which could starve the rest."""
        flow = self._flow(task)
        if first or urgent:
            flow.tasks.appendleft(task)
        else:
            flow.tasks.append(task)
        if urgent:
            self._move(flow, last=False)

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
            for flow in _in_turn(level):
                if flow.head() is not None:
                    yield flow
                if not flow.tasks:
                    del level[flow.submitter][flow.key]
                    if not level[flow.submitter]:
                        del level[flow.submitter]
            if not level:
                del self._levels[priority]

    def served(self, flow: Flow) -> None:
        """It had its turn: the next walk begins with others of its priority."""
        self._move(flow, last=True)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def _move(self, flow: Flow, last: bool) -> None:
        level = self._levels[flow.demand.priority]
        level[flow.submitter].move_to_end(flow.key, last)
        level.move_to_end(flow.submitter, last)

    def _flow(self, task: Task) -> Flow:
        demand, submitter = task.demand, task.batch.submitter
        level = self._levels.setdefault(demand.priority, OrderedDict())
        flows = level.setdefault(submitter, OrderedDict())
        key = (task.batch.first, task.phase, demand)
        flow = flows.get(key)
        if flow is None:
            flow = flows[key] = Flow(key, submitter)
        return flow


def _in_turn(level: Level) -> Iterator[Flow]:
    """One flow of each submitter, then another of each, and so on, as they stand now."""
    turns = deque([iter(list(flows.values())) for flows in level.values()])
    while turns:
        flow = next(turns[0], None)
        if flow is None:
            turns.popleft()
        else:
            turns.rotate(-1)
            yield flow
