"""Tasks that become many and one again: split, shards, merges, nested splits, lost parts.

A root task whose capability splits first grows a SPLIT child; the shards that child answers with
become RUN children; merges grow as `fanout` plans them. A shard that answers with shards of its own is
*adopted* by the node that ran it: a volatile task there, whose end is reported as the attempt's result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import (
    Effect,
    Release,
    Report,
)
from nova_node.core.events import (
    Accepted,
    Fact,
    Grown,
    Retried,
)
from nova_node.core.fanout import DEPTH_MAX, SHARDS_MAX, Fanout, shards_wanted
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import (
    NULL,
    UNUSED,
    Attempt,
    Call,
    Cut,
    Durability,
    Failure,
    Fence,
    Group,
    Outcome,
    Phase,
    Status,
    Value,
)
from nova_node.core.tasks import Batch, Task, Tasks, usage_of

PATIENCE = 3
"""Failed tries of a merge to get its parts, before they are made again."""
REMAKES_MAX = 10
"""Of one part."""


class Books(Protocol):
    """What of the owner is needed here."""

    tasks: Tasks
    dispatch: Dispatch
    out: list[Effect]

    def record(self, fact: Fact, batch: int, now: float, journaled: bool) -> None: ...
    def finish(self, batch: Batch, outcomes: list[Outcome], now: float) -> None: ...
    def fail(self, task: Task, outcome: Outcome, now: float) -> None: ...
    def end_tree(self, task: Task, end: Outcome | None, now: float) -> None: ...
    def discard(self, batch: Batch) -> None: ...


class Origin(NamedTuple):
    """Whose attempt an adopted task answers for."""

    link: int
    fence: Fence


class Shards:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._fanouts: dict[int, Fanout] = {}
        self._origins: dict[int, Origin] = {}
        #: links of adopted attempts that were seen through or given up, for the worker here
        self.closed: list[int] = []

    # ------------------------------------------------------------ growing

    def split(self, roots: Sequence[Task], now: float) -> bool:
        """Grow a SPLIT child of each; whether there is any."""
        for root in roots:
            self._grow(root, Phase.SPLIT, (Call(),), (), now)
        return bool(roots)

    def cut(self, split: Task, cut: Cut, now: float) -> None:
        """A SPLIT answered."""
        parent = split.parent
        assert parent is not None
        refusal = _cut_refusal(len(cut.shards), parent.depth)
        outcome = Outcome(
            split.no,
            cut.attempt,
            Status.DONE,
            NULL,
            None,
            split.node,
            split.started_at,
            cut.elapsed_us,
        )
        if refusal is not None:
            self._books.fail(split, outcome._replace(status=Status.FAILED, failure=refusal), now)
            return
        self._grow(parent, Phase.RUN, cut.shards, (), now)
        self._books.finish(split.batch, [outcome], now)

    def adopt(self, link: int, attempt: Attempt, shards: tuple[Call, ...], now: float) -> None:
        """An attempt for the owner on `link` answered with shards: see them through here."""
        fence = Fence(attempt.no, attempt.attempt)
        refusal = _cut_refusal(len(shards), attempt.depth)
        if refusal is not None:
            outcome = Outcome(attempt.no, attempt.attempt, Status.FAILED, None, refusal)
            self._books.out.append(Report(link, [outcome]))
            self.closed.append(link)
            return
        demand = replace(attempt.demand, durability=Durability.VOLATILE)
        no = self._books.tasks.next_no
        group = Group(demand, (Call(attempt.call.args),), attempt.blobs)
        fact = Accepted("", (group,), attempt.mandate, demand.allowance_uusd)
        self._books.record(fact, no, now, False)
        parent = self._books.tasks.by_no[no]
        parent.depth = attempt.depth
        self._origins[no] = Origin(link, fence)
        self._grow(parent, Phase.RUN, shards, (), now)

    def abandon(self, link: int, fence: Fence | None, now: float) -> None:
        """The owner on `link` is gone, or no longer wants this attempt."""
        for no, origin in list(self._origins.items()):
            if origin.link == link and fence in (None, origin.fence):
                del self._origins[no]
                self.closed.append(link)
                task = self._books.tasks.by_no[no]
                self._books.end_tree(task, None, now)
                self._books.discard(task.batch)

    def _grow(
        self,
        parent: Task,
        phase: Phase,
        calls: tuple[Call, ...],
        parts: tuple[int, ...],
        now: float,
    ) -> None:
        books, batch = self._books, parent.batch
        first = books.tasks.next_no
        blobs = parent.blobs if phase is Phase.RUN else ()
        fact = Grown(parent.no, first, phase, calls, blobs, parts)
        books.record(fact, batch.first, now, batch.journaled)
        children = [books.tasks.by_no[no] for no in range(first, first + len(calls))]
        if phase is Phase.RUN:
            self._fanouts[parent.no] = Fanout(parent)
        elif phase is Phase.MERGE:
            self._fanouts[parent.no].grew(children[0])
        books.dispatch.ready.extend(children)

    # ------------------------------------------------------------ attempts

    def attempt(self, task: Task, number: int) -> Attempt:
        """What to send for a child."""
        parent = task.parent
        assert parent is not None
        demand, call, parts = task.demand, task.call, tuple[Value, ...]()
        match task.phase:
            case Phase.SPLIT:
                demand = replace(demand, shards=shards_wanted(demand.shards, self._slots(task)))
                call = parent.call
            case Phase.MERGE:
                call = Call(parent.call.args)
                by_no = self._books.tasks.by_no
                parts = tuple(_value(by_no[no]) for no in task.parts)
            case Phase.RUN:
                pass
        blobs = parent.blobs if task.phase is Phase.SPLIT else task.blobs
        return Attempt(
            task.no,
            number,
            demand,
            task.phase,
            call,
            parts,
            self.is_part(task),
            task.depth,
            blobs,
            task.batch.mandate,
            task.batch.first,
        )

    def is_part(self, task: Task) -> bool:
        """Whether its value is only a part of its parent's."""
        if task.parent is None or task.phase is Phase.SPLIT:
            return False
        fanout = self._fanouts[task.parent.no]
        return not fanout.is_final(task.parts) if task.parts else fanout.top > 0

    def _slots(self, task: Task) -> int:
        capability = task.demand.capability
        return sum(
            w.card.slots
            for w in self._books.dispatch.workers.values()
            if w.up and w.card is not None and capability in w.capabilities
        )

    # ------------------------------------------------------------ ends

    def ended(self, task: Task, now: float) -> None:
        """A task of a batch that grew has ended."""
        parent = task.parent
        if parent is None:
            self._fanouts.pop(task.no, None)
            self._report(task)
        elif task.status is Status.DONE and task.phase is not Phase.SPLIT:
            self._advance(parent, task, now)

    def _advance(self, parent: Task, done: Task, now: float) -> None:
        fanout = self._fanouts.get(parent.no)
        if fanout is None or parent.status in ENDED:
            return
        whole = fanout.whole()
        if whole is not None:
            end = whole.outcome
            assert end is not None
            # what the child used is its own
            outcome = end._replace(no=parent.no, attempt=parent.attempt, usage=None)
            self._books.finish(parent.batch, [outcome], now)
            return
        due = fanout.due(done)
        if due is not None:
            self._grow(parent, Phase.MERGE, (Call(),), due, now)

    def failed(self, parent: Task, child: Task, outcome: Outcome, now: float) -> None:
        """A child was set aside, so its parent is."""
        failure = outcome.failure
        assert failure is not None
        what = child.phase.name.lower() if child.phase is not Phase.RUN else "shard"
        failure = failure._replace(message=f"{what} {child.no}: {failure.message}")
        end = outcome._replace(no=parent.no, attempt=parent.attempt, failure=failure, usage=None)
        self._books.end_tree(parent, end, now)

    def _report(self, root: Task) -> None:
        origin = self._origins.pop(root.no, None)
        if origin is None:
            return
        end = root.outcome
        assert end is not None
        self.closed.append(origin.link)
        usage = usage_of(root)
        if root.batch.purse is not None:
            usage = (usage or UNUSED)._replace(spent_uusd=root.batch.purse.spent_uusd)
        outcome = end._replace(no=origin.fence.no, attempt=origin.fence.attempt, usage=usage)
        self._books.out.append(Report(origin.link, [outcome]))
        self._books.discard(root.batch)

    def release(self, outcomes: Sequence[Outcome]) -> None:
        """Before these ends are recorded: parts of the parents among them are no longer needed."""
        by_node: dict[str, list[str]] = {}
        for outcome in outcomes:
            kept = outcome.value.blob.id if outcome.value and outcome.value.blob else ""
            for child in self._books.tasks.by_no[outcome.no].children or ():
                value = child.outcome.value if child.outcome else None
                if value is not None and value.blob is not None and value.blob.id != kept:
                    for node in value.blob.holders:
                        by_node.setdefault(node, []).append(value.blob.id)
        self._books.out.extend(Release(node, ids) for node, ids in by_node.items())

    # ------------------------------------------------------------ trouble

    def recover(self, task: Task, end: Outcome, failure: Failure, now: float) -> bool:
        """A merge missed parts: those whose node is gone are made again, and after a few tries all
        that are blobs, since a node may have lost one. Whether that is under way."""
        if task.phase is not Phase.MERGE or failure.code != "blob_unavailable":
            return False
        parent, books = task.parent, self._books
        assert parent is not None
        blobs = [p for no in task.parts if _is_blob(p := books.tasks.by_no[no])]
        lost = [part for part in blobs if self._is_lost(part)]
        if not lost and task.losses >= PATIENCE:
            lost = blobs
        if not lost or any(part.losses >= REMAKES_MAX for part in lost):
            return False
        self._fanouts[parent.no].withdrew(task)
        given_up = Outcome(task.no, task.attempt, Status.CANCELLED, usage=end.usage)
        books.finish(task.batch, [given_up], now)
        for part in lost:
            outcome = Outcome(part.no, part.attempt, Status.FAILED, None, failure, part.node)
            books.record(Retried(outcome, 0.0, False), task.batch.first, now, task.batch.journaled)
            books.dispatch.ready.push(part, first=True)
        return True

    def _is_lost(self, part: Task) -> bool:
        blob, workers = _value(part).blob, self._books.dispatch.workers
        assert blob is not None
        return not any(node in workers and workers[node].up for node in blob.holders)

    def wants(self, task: Task) -> bool:
        """After replay: whether this waiting task is still of use."""
        return task.parent is None or task.parent.status not in ENDED

    def take_up(self, now: float) -> None:
        """After replay: take up every unfinished parent where it stood."""
        for parent in list(self._books.tasks.by_no.values()):
            if parent.children is not None and parent.status not in ENDED:
                self._resume_parent(parent, now)

    def _resume_parent(self, parent: Task, now: float) -> None:
        children = parent.children or []
        for child in children:
            if child.status is Status.FAILED and child.outcome is not None:
                self.failed(parent, child, child.outcome, now)
                return
        if not any(c.phase is Phase.RUN for c in children):
            return
        self._fanouts[parent.no] = Fanout(parent)
        for child in list(children):
            if child.phase is Phase.SPLIT and child.status not in ENDED:
                outcome = Outcome(child.no, child.attempt, Status.DONE, NULL)
                self._books.finish(child.batch, [outcome], now)
            elif child.status is Status.DONE and child.phase is not Phase.SPLIT:
                self._advance(parent, child, now)


def _is_blob(part: Task) -> bool:
    return _value(part).blob is not None


def _value(task: Task) -> Value:
    value = task.outcome.value if task.outcome else None
    return value if value is not None else NULL


def _cut_refusal(count: int, depth: int) -> Failure | None:
    if count == 0:
        return Failure("split_empty", "the split gave no shards", "return at least one shard")
    if count > SHARDS_MAX:
        return Failure(
            "split_too_many",
            f"the split gave {count} shards, more than {SHARDS_MAX}",
            "cut coarser",
        )
    if depth >= DEPTH_MAX:
        return Failure("split_too_deep", f"shards split {DEPTH_MAX} times over", "split flatter")
    return None
