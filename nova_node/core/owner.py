"""The owner of tasks: accepts and places them, ends them, and alone decides each task's fate.

Rule: every change of a task is an event, applied to `Tasks` and appended in the same step. What
becomes of an answer is in `judging.py`, splitting and merging in `shards.py`, matching with workers in
`dispatch.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from nova_node.core.asked import Asked
from nova_node.core.dead_letters import DeadLetters
from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Acknowledge, Append, Assign, Effect, Forget, Recall, Revoke
from nova_node.core.errors import Invalid, NotFound
from nova_node.core.events import Accepted, Assigned, Event, Fact, Finished, Retried
from nova_node.core.intake import Held, refuse
from nova_node.core.judging import Judging
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Attempt, Durability, Failure, Fence, Outcome, Phase, Status
from nova_node.core.placement import Worker
from nova_node.core.retention import Retention, RetentionConfig
from nova_node.core.retry import RetryPolicy
from nova_node.core.shards import Shards
from nova_node.core.signals import Cancel, Submit
from nova_node.core.spending import Spending
from nova_node.core.tasks import Batch, Task, Tasks, root_attempt
from nova_node.core.timers import Timers


@dataclass(frozen=True, slots=True)
class OwnerConfig:
    #: root tasks that have not ended; more are refused
    unended_max: int = 200_000
    #: of arguments and results in memory; what has ended is let go long before
    held_bytes_max: int = 3 << 30
    retention: RetentionConfig = RetentionConfig()
    retry: RetryPolicy = RetryPolicy()


class SubmitAnswer(NamedTuple):
    """The tasks are numbered from `first` on, in the order of the calls."""

    request_id: str
    first: int
    tasks: int


OWNER_DIED = Failure("lost", "its owner was restarted while it ran", retryable=True)

SEQ_BITS = 32
"""Sequence numbers are incarnation << SEQ_BITS + n: live-only events of a former life, which no journal
holds, never share a number with new ones."""


class Owner:
    def __init__(
        self,
        me: str,
        incarnation: int,
        config: OwnerConfig,
        rng: random.Random,
        tasks: Tasks,
        out: list[Effect],
    ) -> None:
        self.me = me
        self.tasks = tasks
        self.dispatch = Dispatch(rng)
        self.shards = Shards(self)
        self.spending = Spending(self)
        self.draining = False
        self.seq = incarnation << SEQ_BITS
        self.out = out
        self._config = config
        self.timers = Timers(tasks)
        self.retention = Retention(tasks, config.retention)
        self.dead_letters = DeadLetters(self, config.unended_max)
        self.asked = Asked(self)
        self.judging = Judging(self, config.retry, rng)

    # ------------------------------------------------------------ accepting

    def take_up(self, now: float) -> None:
        """After replay: queue whatever had not ended."""
        for batch in self.tasks.batches.values():
            if not batch.unended:
                self.retention.ended(batch)
        waiting: list[Task] = []
        for task in self.tasks.by_no.values():
            if task.status is Status.RUNNING and task.children is None:
                outcome = Outcome(task.no, task.attempt, Status.FAILED, None, OWNER_DIED, task.node)
                fact = Retried(outcome, 0.0, False)
                self.record(fact, task.batch.first, now, task.batch.journaled)
            if task.status is Status.BACKOFF:
                self.timers.back_off(task)
            elif task.status is Status.WAITING and self.shards.wants(task):
                waiting.append(task)
            if task.parent is None and task.status not in ENDED:
                self.timers.expire(task)
        self.dispatch.ready.extend(waiting)
        self.shards.take_up(now)

    def submit(self, signal: Submit, now: float) -> None:
        known = self.tasks.by_request.get(signal.request_id)
        if known is not None and known.submitter == signal.submitter:
            answer = SubmitAnswer(signal.request_id, known.first, known.count)
            self.out.append(Acknowledge(signal.token, answer))
            return
        tasks, config = self.tasks, self._config
        held = Held(tasks.size_bytes, config.held_bytes_max)
        most = config.unended_max
        refusal = refuse(signal, known, tasks.unended, most, held, self.draining)
        if refusal is not None:
            self.out.append(Acknowledge(signal.token, refusal))
            return
        batch = self.accept(signal.request_id, signal, now)
        self.dispatch.ready.extend([self.tasks.by_no[no] for no in batch.numbers()])
        answer = SubmitAnswer(signal.request_id, batch.first, batch.count)
        self.out.append(Acknowledge(signal.token, answer))

    def accept(self, request_id: str, signal: Submit, now: float) -> Batch:
        first = self.tasks.next_no
        journaled = any(g.demand.durability is Durability.JOURNALED for g in signal.groups)
        fact = Accepted(request_id, signal.groups, signal.mandate, signal.budget_uusd)
        self.record(fact, first, now, journaled)
        for no in range(first, self.tasks.next_no):
            task = self.tasks.by_no[no]
            task.depth = signal.depth
            self.timers.expire(task)
        return self.tasks.batches[first]

    def cancel(self, signal: Cancel, now: float) -> None:
        task = self.tasks.by_no.get(signal.no)
        answer: Any
        if task is None:
            answer = NotFound(f"no task {signal.no} here", "see `nova tasks`")
        elif task.parent is not None:
            answer = Invalid("a shard cannot be cancelled alone", f"cancel task {task.root.no}")
        else:
            self.end_tree(task, None, now)
            answer = task.status
        self.out.append(Acknowledge(signal.token, answer))

    def end_tree(self, task: Task, end: Outcome | None, now: float) -> None:
        """End a task, as `end` says or as cancelled, and cancel all that grew from it."""
        outcomes = [self._stop(c) for c in task.children or () if c.status not in ENDED]
        if task.status not in ENDED:
            cancelled = self._stop(task)
            outcomes.append(end or cancelled)
        if outcomes:
            self.finish(task.batch, outcomes, now)

    def _stop(self, task: Task) -> Outcome:
        worker = self.dispatch.workers.get(task.node)
        if task.status is Status.RUNNING and worker is not None and task.no in worker.owed:
            self.dispatch.settle(worker, task)
            self.out.append(Revoke(task.node, [Fence(task.no, task.attempt)]))
        used = self.spending.used(task)
        return Outcome(task.no, task.attempt, Status.CANCELLED, node=task.node, usage=used)

    # ------------------------------------------------------------ placing

    def place(self, now: float) -> None:
        """Hand out all that there is room for."""
        self.dispatch.wake_at = float("inf")
        if self.draining:
            self.asked.end(now)
            return
        again = bool(self.dispatch.ready)
        while again:
            again = False
            for worker, tasks in self.dispatch.pick(now):
                if tasks[0].phase is Phase.RUN and worker.splits(tasks[0]):
                    again |= self.shards.split([t for t in tasks if t.parent is None], now)
                    tasks = [t for t in tasks if t.parent is not None]
                if tasks:
                    self._assign(worker, tasks, now)
            if self.dispatch.broke:
                self.spending.end_broke(now)
        recall = self.dispatch.recall(now)
        if recall is not None:
            self.out.append(Recall(recall[0].node, recall[1]))

    def _assign(self, worker: Worker, tasks: list[Task], now: float) -> None:
        """They are of one flow."""
        batch = tasks[0].batch
        attempts: list[Attempt] = []
        fences: list[Fence] = []
        for task in tasks:
            number = task.attempt + 1
            fences.append(Fence(task.no, number))
            if task.parent is None:
                attempts.append(root_attempt(task, number))
            else:
                attempts.append(self.shards.attempt(task, number))
        self.dispatch.owe(worker, tasks)
        reserves = batch.purse is not None and batch.journaled
        self.record(Assigned(worker.node, tuple(fences)), batch.first, now, reserves)
        if reserves:
            self.spending.hold(worker.node, attempts)
        else:
            self.out.append(Assign(worker.node, attempts))

    # ------------------------------------------------------------ ending

    def fail(self, task: Task, outcome: Outcome, now: float) -> None:
        """Set a task aside for good; a shard takes its parent, and that its other shards, along."""
        parent = task.parent
        self.finish(task.batch, [outcome], now)
        if parent is not None and parent.status not in ENDED:
            self.shards.failed(parent, task, outcome, now)

    def finish(self, batch: Batch, outcomes: list[Outcome], now: float) -> None:
        """Record ends of tasks of one batch, and go on with what waited for them."""
        if batch.children:
            self.shards.release(outcomes)
        self.record(Finished(tuple(outcomes)), batch.first, now, batch.journaled)
        if batch.children:
            for task in [self.tasks.by_no[outcome.no] for outcome in outcomes]:
                self.shards.ended(task, now)
        if not batch.unended and batch.first in self.tasks.batches:
            self.retention.ended(batch)

    # ------------------------------------------------------------ time

    @property
    def wake_at(self) -> float:
        return min(self.timers.wake_at, self.dispatch.wake_at)

    def tick(self, now: float) -> None:
        for task in self.timers.rested(now):
            task.status = Status.WAITING
            self.dispatch.ready.push(task, first=True)
        for task in self.timers.expired(now):
            self._expire(task, now)

    def _expire(self, task: Task, now: float) -> None:
        failure = Failure(
            "deadline",
            f"not done {task.demand.deadline_s:g} s after it was accepted",
            "give it a longer deadline, or see `nova explain` for what it waited for",
        )
        outcome = Outcome(task.no, task.attempt, Status.FAILED, None, failure, task.node)
        self.end_tree(task, outcome, now)

    # ------------------------------------------------------------ books

    def record(self, fact: Fact, batch: int, now: float, journaled: bool) -> None:
        self.seq += 1
        event = Event(self.seq, batch, now, fact, journaled)
        self.tasks.apply(event)
        self.out.append(Append(event))

    def forget(self, now: float) -> None:
        """Drop the oldest finished batches beyond what is kept, from memory and journal."""
        dropped = self.retention.forget(now)
        if dropped:
            self.out.append(Forget(dropped))

    def discard(self, batch: Batch) -> None:
        self.retention.discard(batch)

    def owed(self) -> int:
        return sum(len(w.owed) for w in self.dispatch.workers.values())
