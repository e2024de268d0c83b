"""The console's picture of one mesh: a fold of inputs, pure and bounded.

`take` is the only thing that changes it. It asks nobody and looks at no clock, so the same inputs give
the same picture, live or in a replay. Rows are frozen values: `copy` costs a few dicts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from nova_client import Event, Status, event
from nova_client.model import NodeView, task_id

from nova_console.app import task_row
from nova_console.app.inputs import (
    Blind,
    Input,
    Joined,
    Listed,
    Looked,
    Lost,
    Recalled,
    Recalling,
    Told,
    Unrecalled,
)
from nova_console.app.past import Past
from nova_console.app.task_row import Growth, TaskRow

TASKS_MAX = 20_000
EVENTS_MAX = 5_000
MOVES_MAX = 128
SAMPLES_MAX = 60
ODD_MAX = 32
STALE_S = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Of a node: share of its slots in use (0 to 1), attempts queued, lag of its event loop."""

    at: float
    load: float
    queued: int
    lag_ms: int


@dataclass(frozen=True, slots=True)
class Eye:
    """What one node thinks of the others: state and round trip in ms by node id. `why` says why it
    cannot be asked now."""

    at: float
    states: dict[str, str]
    rtts_ms: dict[str, float]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A task on its way between two nodes; `back` when its result returns."""

    at: float
    source: str
    target: str
    back: bool


class World:
    """Owned by whoever made it; panes only read."""

    def __init__(self) -> None:
        self.mesh = ""
        self.home = ""
        self.address = ""
        self.lost: Lost | None = None
        #: when the node asked last said anything, by the console's clock
        self.heard_at = 0.0
        self.nodes: dict[str, NodeView] = {}
        self.eyes: dict[str, Eye] = {}
        self.samples: dict[str, tuple[Sample, ...]] = {}
        self.tasks: dict[str, TaskRow] = {}
        self.ends: Counter[Status] = Counter()
        self.tasks_total = 0
        self.tasks_listed = False
        #: beside the tasks: what the history told of others
        self.past = Past()
        self.missing: tuple[str, ...] = ()
        #: by node id: its series that are out of their ordinary range
        self.odd: dict[str, tuple[event.Anomaly, ...]] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self.moves: deque[Move] = deque(maxlen=MOVES_MAX)
        #: grows with every change of the nodes, of the tasks
        self.nodes_turn = self.tasks_turn = self.events_turn = 0

    def copy(self) -> Self:
        """An independent picture of the same moment."""
        other = type(self)()
        for name, value in vars(self).items():
            plain = not isinstance(value, dict | deque)
            setattr(other, name, value if plain else value.copy())
        return other

    def name(self, node: str) -> str:
        """How a person calls a node."""
        view = self.nodes.get(node)
        return view.name if view and view.name else node[:8]

    def take(self, given: Input) -> None:
        match given:
            case Joined():
                self.home, self.address, self.lost = given.node, given.address, None
                self.heard_at, self.eyes = given.at, {}
                self.nodes_turn += 1
            case Lost():
                self.address, self.lost = given.address, given
                self.nodes_turn += 1
            case Looked():
                self._look(given)
            case Blind(at=at, node=node, why=why):
                known = self.eyes.get(node)
                self.eyes[node] = replace(known, why=why) if known else Eye(at, {}, {}, why)
                self.nodes_turn += 1
            case Told():
                self._tell(given.event)
            case Listed():
                self._list(given)
            case Recalling() | Recalled() | Unrecalled():
                self.past = self.past.take(given)
                self.tasks_turn += 1

    # ------------------------------------------------------------ nodes

    def _look(self, looked: Looked) -> None:
        views = looked.seen.nodes
        others = [view for view in views if view.node != looked.viewer]
        self.eyes[looked.viewer] = Eye(
            looked.at,
            {view.node: view.state for view in others},
            {view.node: view.rtt_ms for view in others if view.rtt_ms},
        )
        self.nodes_turn += 1
        if looked.viewer != self.home:
            return
        self.heard_at, self.mesh = looked.at, looked.seen.mesh
        self.nodes = {view.node: view for view in views}
        self.eyes = {node: eye for node, eye in self.eyes.items() if node in self.nodes}
        self.odd = {node: odd for node, odd in self.odd.items() if odd and node in self.nodes}
        self.samples = {view.node: self._sampled(looked.at, view) for view in views}

    def _sampled(self, at: float, view: NodeView) -> tuple[Sample, ...]:
        """One for each moment."""
        before = [sample for sample in self.samples.get(view.node, ()) if sample.at != at]
        return *before[1 - SAMPLES_MAX :], Sample(at, load(view), view.queued, view.lag_ms)

    def _peer(self, owner: str, fact: event.PeerChanged) -> None:
        eye = self.eyes.get(owner)
        if eye is not None:
            self.eyes[owner] = replace(eye, states={**eye.states, fact.node: fact.state})
        view = self.nodes.get(fact.node)
        if owner == self.home and view is not None:
            self.nodes[fact.node] = replace(view, state=fact.state)
        self.nodes_turn += 1

    def _odd(self, owner: str, fact: event.Anomaly) -> None:
        others = tuple(one for one in self.odd.get(owner, ()) if one.series != fact.series)
        self.odd[owner] = others if fact.ended else (*others[-ODD_MAX:], fact)
        self.nodes_turn += 1

    # ------------------------------------------------------------ tasks

    def _list(self, given: Listed) -> None:
        for view in reversed(given.page.tasks):
            self.tasks[view.id] = task_row.listed(self.tasks.get(view.id), view)
        if given.of_all:
            self.tasks_total, self.missing = given.page.total, given.page.missing
        self.tasks_listed = True
        self.heard_at = given.at
        self._bound_tasks()
        self.tasks_turn += 1

    def _tell(self, happened: Event) -> None:
        owner, at, fact = happened.owner, happened.time, happened.fact
        self.events.append(happened)
        self.events_turn += 1
        match fact:
            case event.Accepted():
                self._accept(owner, at, fact)
            case event.Assigned(node=node, tasks=ids):
                for id in ids:
                    if id in self.tasks:
                        self.tasks[id] = task_row.assigned(self.tasks[id], node, at)
                self._move(at, owner, node, back=False)
            case event.Retried(outcome=outcome):
                if outcome.id in self.tasks:
                    self.tasks[outcome.id] = task_row.retried(self.tasks[outcome.id], outcome)
            case event.Grown():
                self._grow(owner, at, fact)
            case event.Finished():
                self._finish(owner, at, fact)
            case event.Output():
                return
            case event.Requeued(tasks=ids):
                for id in ids:
                    self._requeue(id)
            case event.PeerChanged():
                self._peer(owner, fact)
                return
            case event.Anomaly():
                self._odd(owner, fact)
                return
        self.tasks_turn += 1

    def _requeue(self, id: str) -> None:
        row = self.tasks.get(id) or self.past.rows.get(id)
        if row is not None:
            self.tasks[id] = task_row.requeued(row)
        if id in self.past.rows:
            self.past = self.past.without(id)

    def _accept(self, owner: str, at: float, fact: event.Accepted) -> None:
        first = number(fact.first)
        capability = "|".join(fact.capabilities)
        for no in range(first, first + min(fact.count, TASKS_MAX)):
            id = task_id(owner, no)
            if id not in self.tasks:
                self.tasks[id] = TaskRow(
                    id, owner, capability, Status.WAITING, at, volatile=fact.volatile
                )
                self.tasks_total += 1
        self._bound_tasks()

    def _grow(self, owner: str, at: float, fact: event.Grown) -> None:
        parent = self.tasks.get(fact.parent)
        first = number(fact.first)
        if parent is None:
            return
        growth = Growth(first, fact.count, fact.phase, fact.parts)
        if growth in parent.grown:
            return
        self.tasks[parent.id] = task_row.grew(parent, growth, at)
        for no in range(first, first + min(fact.count, TASKS_MAX)):
            id = task_id(owner, no)
            if id not in self.tasks:
                self.tasks[id] = TaskRow(
                    id, owner, parent.capability, Status.WAITING, at, parent.id, fact.phase
                )
        self._bound_tasks()

    def _finish(self, owner: str, at: float, fact: event.Finished) -> None:
        for outcome in fact.outcomes:
            self.ends[outcome.status] += 1
            row = self.tasks.get(outcome.id)
            if row is None:
                continue
            if row.parent in self.tasks and not row.ended:
                self.tasks[row.parent] = task_row.child_done(self.tasks[row.parent])
            self.tasks[row.id] = task_row.finished(row, outcome, at)
        for node in {outcome.node for outcome in fact.outcomes if outcome.node}:
            self._move(at, node, owner, back=True)

    def _move(self, at: float, source: str, target: str, back: bool) -> None:
        if source != target:
            self.moves.append(Move(at, source, target, back))

    def _bound_tasks(self) -> None:
        """Forget the oldest that have ended, and if that is not enough the oldest."""
        over = len(self.tasks) - TASKS_MAX
        if over <= 0:
            return
        over += TASKS_MAX // 10
        ended = (id for id, row in self.tasks.items() if row.ended)
        for id in [id for id, _ in zip(ended, range(over), strict=False)]:
            del self.tasks[id]
        for id in list(self.tasks)[: max(0, len(self.tasks) - TASKS_MAX)]:
            del self.tasks[id]

    def children(self, row: TaskRow) -> Iterator[tuple[TaskRow, Growth]]:
        """Those that are still kept, in their order, each with the growth it came from."""
        for growth in row.grown:
            for no in range(growth.first, growth.first + growth.count):
                child = self.tasks.get(task_id(row.owner, no))
                if child is not None:
                    yield child, growth


def load(view: NodeView) -> float:
    """The share of its slots in use, 0 to 1."""
    return (view.slots - view.slots_free) / view.slots if view.slots else 0.0


def number(id: str) -> int:
    """Of a task with its owner."""
    _, _, no = id.rpartition("-")
    return int(no) if no.isdecimal() else 0
