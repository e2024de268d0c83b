"""The tasks of one owner: what the fold of its events holds.

`Tasks.apply` is the only writer of a task's fields, live and at replay alike. A batch is the tasks of
one submit with all that grew from them; it is forgotten as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nova_node.core.events import (
    Accepted,
    AnomalySeen,
    Assigned,
    Event,
    Finished,
    Grown,
    Output,
    PeerChanged,
    Requeued,
    Retried,
)
from nova_node.core.lifecycle import ENDED, NEXT
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Demand,
    Mandate,
    Outcome,
    Phase,
    Status,
    Usage,
)
from nova_node.core.purse import Purse

HISTORY_MAX = 128
"""Attempts of a task before its latest requeue that are kept."""


class Task:
    """One unit a person asked for, or a shard, split or merge that grew from one."""

    __slots__ = (
        "attempt",
        "batch",
        "blobs",
        "call",
        "children",
        "cost_us",
        "demand",
        "depth",
        "failures",
        "history",
        "losses",
        "no",
        "node",
        "not_before",
        "outcome",
        "parent",
        "parts",
        "phase",
        "requeued_at",
        "started_at",
        "status",
    )

    def __init__(
        self, no: int, batch: Batch, demand: Demand, call: Call, blobs: tuple[BlobRef, ...]
    ) -> None:
        self.no = no
        self.batch = batch
        self.demand = demand
        self.call = call
        self.blobs = blobs
        self.phase = Phase.RUN
        self.parent: Task | None = None
        self.parts: tuple[int, ...] = ()
        self.children: list[Task] | None = None
        self.depth = 0
        self.status = Status.WAITING
        #: number of the latest attempt; with the owner's incarnation, the fence
        self.attempt = 0
        self.failures = 0
        self.losses = 0
        self.node = ""
        self.started_at = 0.0
        self.cost_us = 0.0
        self.not_before = 0.0
        #: when it was last given fresh attempts; 0 = never
        self.requeued_at = 0.0
        self.outcome: Outcome | None = None
        #: earlier attempts; those before a requeue are bounded by HISTORY_MAX
        self.history: list[Outcome] | None = None

    @property
    def root(self) -> Task:
        """The task that a person asked for."""
        task = self
        while task.parent is not None:
            task = task.parent
        return task

    @property
    def is_asked(self) -> bool:
        """An attempt asked for it. What was adopted is as deep, and nobody's request."""
        return self.parent is None and self.depth > 0 and bool(self.batch.request_id)


class Batch:
    __slots__ = (
        "accepted_at",
        "children",
        "count",
        "ended_at",
        "first",
        "journaled",
        "mandate",
        "purse",
        "request_id",
        "size_bytes",
        "unended",
    )

    def __init__(
        self,
        first: int,
        count: int,
        request_id: str,
        now: float,
        journaled: bool,
        mandate: Mandate | None = None,
        budget_uusd: int = 0,
    ) -> None:
        self.first = first
        self.count = count
        self.request_id = request_id
        self.accepted_at = now
        self.ended_at = 0.0
        self.journaled = journaled
        self.mandate = mandate
        #: None: there is no limit to what its tasks spend
        self.purse = Purse(budget_uusd) if budget_uusd else None
        #: root tasks that have not ended
        self.unended = count
        #: of their arguments and results in memory
        self.size_bytes = 0
        #: numbers of tasks that grew from this batch
        self.children: list[int] = []

    @property
    def submitter(self) -> str:
        """ "<role>/<id>"; "" in a mesh without identity."""
        return self.mandate.submitter if self.mandate else ""

    @property
    def size(self) -> int:
        """Tasks, those that grew included."""
        return self.count + len(self.children)

    def numbers(self) -> Iterator[int]:
        yield from range(self.first, self.first + self.count)
        yield from self.children


def root_attempt(task: Task, number: int) -> Attempt:
    """What to send for a task that did not grow from another."""
    batch = task.batch
    return Attempt(
        task.no,
        number,
        task.demand,
        Phase.RUN,
        task.call,
        (),
        False,
        task.depth,
        task.blobs,
        batch.mandate,
        batch.first,
    )


def usage_of(task: Task) -> Usage | None:
    """What all its attempts used, and those of what grew from it, so far as they told."""
    told = [o.usage for o in task.history or () if o.usage is not None]
    if task.outcome is not None and task.outcome.usage is not None:
        told.append(task.outcome.usage)
    told += [usage for child in task.children or () if (usage := usage_of(child)) is not None]
    if len(told) < 2:
        return told[0] if told else None
    models, caches = {usage.model for usage in told}, {usage.cache for usage in told}
    spent = [usage.spent_uusd for usage in told]
    return Usage(
        models.pop() if len(models) == 1 else "",
        sum(usage.input_tokens for usage in told),
        sum(usage.output_tokens for usage in told),
        None if None in spent else sum(uusd or 0 for uusd in spent),
        caches.pop() if len(caches) == 1 else "",
    )


class Tasks:
    def __init__(self) -> None:
        self.by_no: dict[int, Task] = {}
        self.batches: dict[int, Batch] = {}
        self.by_request: dict[str, Batch] = {}
        self.next_no = 1
        #: of root tasks, by how they ended since the journal began; a requeued one is open again
        self.ended: dict[Status, int] = dict.fromkeys(ENDED, 0)
        #: root tasks that have not ended
        self.unended = 0
        #: of the arguments and results of all batches
        self.size_bytes = 0

    def replay(self, history: Iterable[Event]) -> set[int]:
        """Fold a journal; the batches of which it holds only a rest, because the process died while
        it forgot them, are left out and returned."""
        orphans: set[int] = set()
        for event in history:
            if isinstance(event.fact, Accepted) or event.batch in self.batches:
                self.apply(event)
            else:
                orphans.add(event.batch)
        return orphans

    def apply(self, event: Event) -> None:
        fact = event.fact
        match fact:
            case Accepted():
                self._accepted(event, fact)
            case Finished(outcomes):
                self._finished(outcomes, event.time)
            case Assigned(node, fences):
                for no, attempt in fences:
                    task = self.by_no[no]
                    _move(task, Status.RUNNING)
                    task.node, task.attempt, task.started_at = node, attempt, event.time
                    if task.batch.purse is not None:
                        task.batch.purse.reserve(no, task.demand.allowance_uusd)
            case Retried():
                self._retried(fact)
            case Grown():
                self._grown(fact)
            case Requeued(nos):
                self._requeued(nos, event.time)
            case Output() | PeerChanged() | AnomalySeen():
                pass

    def blob_ids(self) -> set[str]:
        """Every blob that a task names."""
        ids: set[str] = set()
        for task in self.by_no.values():
            ids.update([blob.id for blob in task.blobs])
            value = task.outcome.value if task.outcome else None
            if value is not None:
                ids.update([blob.id for blob in value.blobs])
        return ids

    def forget(self, batch: Batch) -> None:
        for no in batch.numbers():
            del self.by_no[no]
        del self.batches[batch.first]
        self.size_bytes -= batch.size_bytes
        self.by_request.pop(batch.request_id, None)

    # ------------------------------------------------------------ one fact each

    def _accepted(self, event: Event, fact: Accepted) -> None:
        count = sum(len(group.calls) for group in fact.groups)
        batch = Batch(
            event.batch,
            count,
            fact.request_id,
            event.time,
            event.journaled,
            fact.mandate,
            fact.budget_uusd,
        )
        no, by_no, size_bytes = event.batch, self.by_no, 0
        for demand, calls, blobs in fact.groups:
            for call in calls:
                by_no[no] = Task(no, batch, demand, call, blobs)
                size_bytes += call.size_bytes if call.inputs else len(call.args)
                no += 1
        batch.size_bytes = size_bytes
        self.size_bytes += size_bytes
        self.batches[batch.first] = batch
        if fact.request_id:
            self.by_request[fact.request_id] = batch
        self.next_no = max(self.next_no, no)
        self.unended += count

    def _grown(self, fact: Grown) -> None:
        parent = self.by_no[fact.parent]
        if parent.status is not Status.RUNNING:
            parent.status = Status.RUNNING
        if parent.children is None:
            parent.children = []
        for no, call in enumerate(fact.calls, fact.first):
            child = Task(no, parent.batch, parent.demand, call, fact.blobs)
            child.phase = fact.phase
            child.parent = parent
            child.parts = fact.parts
            child.depth = parent.depth + 1
            self.by_no[no] = child
            parent.children.append(child)
            parent.batch.children.append(no)
        self.next_no = max(self.next_no, fact.first + len(fact.calls))

    def _retried(self, fact: Retried) -> None:
        outcome = fact.outcome
        task = self.by_no[outcome.no]
        if task.batch.purse is not None:
            task.batch.purse.settle(outcome)
        _move(task, Status.BACKOFF if fact.not_before else Status.WAITING)
        task.attempt = max(task.attempt, outcome.attempt)
        task.not_before = fact.not_before
        task.outcome = None
        if outcome.status is Status.WAITING:
            return  # given back before it began: no attempt was made
        if task.history is None:
            task.history = []
        task.history.append(outcome)
        if fact.charged:
            task.failures += 1
        else:
            task.losses += 1

    def _finished(self, outcomes: tuple[Outcome, ...], now: float) -> None:
        by_no, ended = self.by_no, self.ended
        purse = by_no[outcomes[0].no].batch.purse if outcomes else None
        if purse is not None:
            for outcome in outcomes:
                purse.settle(outcome)
        for outcome in outcomes:
            task = by_no[outcome.no]
            status = outcome.status
            task.status = status
            task.outcome = outcome
            if task.attempt < outcome.attempt:
                task.attempt = outcome.attempt
            if task.children is not None:
                for child in task.children:
                    child.call = Call()
                    if child.outcome is not None:
                        child.outcome = child.outcome._replace(value=None)
            if task.parent is None:
                ended[status] += 1
                self.unended -= 1
                batch = task.batch
                grown = len(outcome.value.data) if outcome.value is not None else 0
                if status is Status.DONE and task.call.inputs:
                    grown -= _let_go_of_inputs(task)
                batch.size_bytes += grown
                self.size_bytes += grown
                batch.unended -= 1
                if not batch.unended:
                    batch.ended_at = now

    def _requeued(self, nos: tuple[int, ...], now: float) -> None:
        for no in nos:
            task = self.by_no[no]
            _move(task, Status.WAITING)
            if task.outcome is not None and task.outcome.attempt:
                task.history = [*(task.history or ()), task.outcome][-HISTORY_MAX:]
            task.outcome, task.node, task.started_at = None, "", 0.0
            task.failures, task.losses = 0, 0
            task.requeued_at = now
            self._drop_children(task)
            self.ended[Status.FAILED] -= 1
            self.unended += 1
            task.batch.unended += 1
            task.batch.ended_at = 0.0

    def _drop_children(self, task: Task) -> None:
        """It grows anew. Their numbers are not given again."""
        gone = {child.no for child in task.children or ()}
        task.children = None
        if gone:
            task.batch.children = [no for no in task.batch.children if no not in gone]
        for no in gone:
            del self.by_no[no]


def _let_go_of_inputs(task: Task) -> int:
    """Of their bytes: what is done does not run again. How many these were."""
    call = task.call
    task.call = call._replace(inputs=tuple([i._replace(raw=b"") for i in call.inputs]))
    return call.size_bytes - task.call.size_bytes


def _move(task: Task, status: Status) -> None:
    if status not in NEXT[task.status]:
        raise AssertionError(f"task {task.no}: {task.status.name} cannot become {status.name}")
    task.status = status
