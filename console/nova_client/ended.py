"""Tasks that ended, as the nodes recorded them: also those that their owners keep no longer.

The history has no arguments, results, output or texts of errors: `code` is why a task failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from nova_client.ended_sql import Place
from nova_client.filters import Filter, task_fields
from nova_client.model import (
    TAG_LENGTH,
    AttemptView,
    Durability,
    Failure,
    Options,
    Status,
    TaskView,
    task_id,
)
from nova_client.table import Missing

OPEN = (Status.WAITING, Status.BACKOFF, Status.RUNNING)
ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class EndedTask:
    """Times are unix seconds; of the last attempt: `node` ("" when none began), `started_at` (0),
    `elapsed_s`. A task that was requeued has one of these for each of its ends."""

    id: str
    owner: str
    status: Status
    capability: str
    phase: str
    #: id of the task it is a part of; "" when it is none
    parent: str
    node: str
    submitter: str
    durability: Durability
    accepted_at: float
    started_at: float
    ended_at: float
    elapsed_s: float
    attempts: int
    code: str

    @property
    def place(self) -> Place:
        return Place(round(self.accepted_at * 1e6), *_numbered(self.id))

    def view(self) -> TaskView:
        """In the form of a task that is kept, with what is not known left empty."""
        failure = Failure(self.code, "") if self.code else None
        attempt = AttemptView(
            self.attempts,
            self.node,
            self.status,
            failure,
            self.started_at,
            self.started_at + self.elapsed_s if self.started_at else 0.0,
        )
        return TaskView(
            id=self.id,
            owner=self.owner,
            status=self.status,
            capability=self.capability,
            options=Options(durability=self.durability),
            args={},
            inputs=(),
            phase=self.phase,
            parent=self.parent,
            value=None,
            failure=failure,
            attempts=(attempt,) if self.attempts else (),
            accepted_at=self.accepted_at,
            ended_at=self.ended_at,
            children=(),
            children_done=0,
            children_total=0,
            node=self.node,
            submitter=self.submitter,
        )


@dataclass(frozen=True, slots=True)
class EndedPage:
    """The newest first, by when they were accepted. `total` is how many match in all, older and newer
    pages included; `next` is what to give as `before` for the next page, "" when there is none.
    What the nodes in `missing` recorded is in neither."""

    tasks: tuple[EndedTask, ...]
    total: int
    next: str
    missing: tuple[Missing, ...]


def place_of(view: TaskView) -> Place:
    """Of a task that is kept, among those that are not."""
    return Place(int(view.accepted_at * 1e6), *_numbered(view.id))


def fields_of(view: TaskView, names: Mapping[str, str]) -> dict[str, str]:
    """For Filter.passes; `names` of nodes by id."""
    return task_fields(
        id=view.id,
        status=view.status.value,
        capability=view.capability,
        phase=view.phase,
        node=view.node,
        name=names.get(view.node, ""),
        code=view.failure.code if view.failure else "",
        why=view.failure.message if view.failure else "",
    )


def narrowed(wanted: Filter, among: Iterable[Status]) -> tuple[Status, ...]:
    """The statuses that the filter leaves."""
    return tuple(Status(word) for word in wanted.of("status", (each.value for each in among)))


def paged(
    answers: Iterable[tuple[str, Sequence[str], Sequence[Sequence[Any]]]],
    limit: int,
    missing: tuple[Missing, ...],
) -> EndedPage:
    """Of what each node answered to ended_sql, asked for one more than `limit`: its id, columns, rows."""
    total, more = 0, False
    found: list[tuple[Place, int, str, Mapping[str, int], Sequence[Any]]] = []
    for owner, columns, rows in answers:
        at = {name: index for index, name in enumerate(columns)}
        more |= len(rows) > limit + 1
        tag, count = owner[:TAG_LENGTH], at["total"]
        when, no, end = at["accepted_us"], at["no"], at["ended_us"]
        for row in rows:
            if row[count] is not None:
                total += row[count]
            else:
                found.append((Place(row[when], tag, row[no]), row[end], owner, at, row))
    found.sort(key=itemgetter(0, 1), reverse=True)
    # of one task the latest end comes first, and the others are left out
    ends = [next(same) for _, same in groupby(found, key=itemgetter(0))]
    page = tuple(_ended(owner, at, row) for _, _, owner, at, row in ends[:limit])
    more |= len(ends) > limit
    return EndedPage(page, total, page[-1].place.mark if more else "", missing)


def _ended(owner: str, at: Mapping[str, int], row: Sequence[Any]) -> EndedTask:
    def value(name: str) -> Any:
        return row[at[name]]

    parent_no = value("parent_no")
    return EndedTask(
        id=task_id(owner, value("no")),
        owner=owner,
        status=Status(value("status")),
        capability=value("capability"),
        phase=value("phase"),
        parent=task_id(owner, parent_no) if parent_no else "",
        node=value("worker"),
        submitter=value("submitter"),
        durability=value("durability"),
        accepted_at=value("accepted_us") / 1e6,
        started_at=(value("started_us") or 0) / 1e6,
        ended_at=value("ended_us") / 1e6,
        elapsed_s=(value("elapsed_us") or 0) / 1e6,
        attempts=value("attempts"),
        code=value("code"),
    )


def _numbered(id: str) -> tuple[str, int]:
    tag, _, no = id.rpartition("-")
    return tag[:TAG_LENGTH], int(no)
