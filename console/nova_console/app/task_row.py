"""What the console keeps of a task, and how each thing it hears changes that. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nova_client import Outcome, Status
from nova_client.ended import EndedTask
from nova_client.model import TaskView

ENDED = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Growth:
    """Children numbered from `first`: `phase` is run (shards), split or merge."""

    first: int
    count: int
    phase: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Times are unix seconds, 0 when not known; `node` is where its latest attempt is or was."""

    id: str
    owner: str
    capability: str
    status: Status
    accepted_at: float
    parent: str = ""
    phase: str = "run"
    node: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    attempt: int = 0
    #: how it failed: of docs/errors.md, and as a person is told
    code: str = ""
    why: str = ""
    grown: tuple[Growth, ...] = ()
    children: int = 0
    children_done: int = 0
    #: of `children_done`, those that events told of here
    children_told: int = 0
    volatile: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ENDED


_UNKNOWN = TaskRow("", "", "", Status.UNKNOWN, 0.0)


def assigned(row: TaskRow, node: str, at: float) -> TaskRow:
    return replace(
        row,
        status=Status.RUNNING,
        node=node,
        started_at=at,
        attempt=row.attempt + 1,
        code="",
        why="",
    )


def retried(row: TaskRow, outcome: Outcome) -> TaskRow:
    return replace(
        row,
        status=Status.BACKOFF,
        node=outcome.node or row.node,
        attempt=outcome.attempt,
        code=outcome.failure.code if outcome.failure else "",
        why=outcome.failure.message if outcome.failure else "",
    )


def finished(row: TaskRow, outcome: Outcome, at: float) -> TaskRow:
    """The outcome of a parent is that of its last merge: it began when it first grew."""
    return replace(
        row,
        status=outcome.status,
        node=outcome.node or row.node,
        started_at=(row.started_at if row.grown else 0.0) or outcome.started_at or row.started_at,
        ended_at=at,
        attempt=outcome.attempt or row.attempt,
        code=outcome.failure.code if outcome.failure else "",
        why=outcome.failure.message if outcome.failure else "",
    )


def requeued(row: TaskRow) -> TaskRow:
    """A dead letter has fresh attempts; what had grown from it is gone."""
    return replace(
        row,
        status=Status.WAITING,
        node="",
        started_at=0.0,
        ended_at=0.0,
        code="",
        why="",
        grown=(),
        children=0,
        children_done=0,
        children_told=0,
    )


def grew(row: TaskRow, growth: Growth, at: float) -> TaskRow:
    grown = (*row.grown, growth)
    return replace(
        row,
        status=row.status if row.ended else Status.RUNNING,
        grown=grown,
        children=max(row.children, sum(one.count for one in grown)),
        started_at=row.started_at or at,
    )


def child_done(row: TaskRow) -> TaskRow:
    told = row.children_told + 1
    return replace(row, children_told=told, children_done=max(row.children_done, told))


def listed(row: TaskRow | None, view: TaskView) -> TaskRow:
    """A node was asked about it; what only events tell is kept."""
    if row is not None and _is_old(row, view):
        return row
    last = view.attempts[-1] if view.attempts else None
    known = row or _UNKNOWN
    return TaskRow(
        id=view.id,
        owner=view.owner,
        capability=view.capability,
        status=view.status,
        accepted_at=view.accepted_at,
        parent=view.parent or known.parent,
        phase=view.phase,
        node=view.node or known.node,
        started_at=(last.started_at if last else 0.0) or known.started_at,
        ended_at=view.ended_at,
        attempt=max(last.attempt if last else 0, known.attempt),
        code=view.failure.code if view.failure else "",
        why=view.failure.message if view.failure else "",
        grown=known.grown,
        children=max(view.children_total, known.children),
        children_done=max(view.children_done, known.children_done),
        children_told=known.children_told,
        volatile=view.options.durability == "volatile",
    )


def _is_old(row: TaskRow, view: TaskView) -> bool:
    """It had ended, and that is what the node says again."""
    return (
        row.ended
        and row.status is view.status
        and row.ended_at == view.ended_at
        and row.accepted_at == view.accepted_at
        and row.children == view.children_total
    )


def recalled(task: EndedTask) -> TaskRow:
    """The history told of it: no message, only the code."""
    return TaskRow(
        id=task.id,
        owner=task.owner,
        capability=task.capability,
        status=task.status,
        accepted_at=task.accepted_at,
        parent=task.parent,
        phase=task.phase,
        node=task.node,
        started_at=task.started_at,
        ended_at=task.ended_at,
        attempt=task.attempts,
        code=task.code,
        why=task.code,
        volatile=task.durability == "volatile",
    )
