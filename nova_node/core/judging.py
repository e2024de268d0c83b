"""The owner's verdict on what workers answer: a result counts once, a failure is tried again or given up, and
what a lost worker owed goes elsewhere.

Rule: only the worker that owes an attempt may answer for it (the fence).
"""

from __future__ import annotations

import random
from typing import Protocol

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Effect, Pull
from nova_node.core.events import Fact, Output, Retried
from nova_node.core.model import Failure, Outcome, Status
from nova_node.core.placement import Worker
from nova_node.core.retry import RetryPolicy, delay_s, gives_up, is_charged
from nova_node.core.shards import Shards
from nova_node.core.signals import Heard, Pulled, Resulted
from nova_node.core.spending import Spending
from nova_node.core.tasks import Batch, Task, Tasks
from nova_node.core.timers import Timers


class Books(Protocol):
    """What of the owner is needed here."""

    me: str
    tasks: Tasks
    dispatch: Dispatch
    shards: Shards
    spending: Spending
    timers: Timers
    out: list[Effect]

    def record(self, fact: Fact, batch: int, now: float, journaled: bool) -> None: ...

    def finish(self, batch: Batch, outcomes: list[Outcome], now: float) -> None: ...

    def fail(self, task: Task, outcome: Outcome, now: float) -> None: ...


class Judging:
    def __init__(self, books: Books, policy: RetryPolicy, rng: random.Random) -> None:
        self._books = books
        self._policy = policy
        self._rng = rng
        #: results that came too late to count
        self.fenced = 0

    def resulted(self, signal: Resulted, now: float) -> None:
        worker = self._books.dispatch.workers.get(signal.node)
        if worker is None:
            return
        # what is done counts before a failure beside it, which may take its whole batch along
        done: dict[Batch, list[Outcome]] = {}
        bad: list[Outcome] = []
        for outcome in signal.outcomes:
            if outcome.status is not Status.DONE:
                bad.append(outcome)
            elif task := self._settle(worker, outcome.no, outcome.attempt):
                worker.failures *= 0.5
                self._books.dispatch.learn(task.demand, task.phase, outcome.elapsed_us)
                self._done(task, outcome, signal.node, done)
        for batch, outcomes in done.items():
            self._books.finish(batch, outcomes, now)
        for outcome in bad:
            if task := self._settle(worker, outcome.no, outcome.attempt):
                if outcome.failure is None or not outcome.failure.retry_after_s:
                    worker.failures += 1.0
                self.failed(task, outcome, now)
        for cut in signal.cuts:
            if task := self._settle(worker, cut.no, cut.attempt):
                self._books.dispatch.learn(task.demand, task.phase, cut.elapsed_us)
                self._books.shards.cut(task, cut, now)
        for no, attempt in signal.returned:
            if task := self._settle(worker, no, attempt):
                self._requeue(task, Outcome(no, attempt, Status.WAITING, node=signal.node), now)

    def _settle(self, worker: Worker, no: int, attempt: int) -> Task | None:
        """The fence: the task, if this worker owed this attempt of it; it does no more."""
        task = worker.owed.get(no)
        if task is None or task.attempt != attempt:
            self.fenced += 1
            return None
        self._books.dispatch.settle(worker, task)
        return task

    def _done(
        self, task: Task, outcome: Outcome, node: str, done: dict[Batch, list[Outcome]]
    ) -> None:
        value = outcome.value
        if value is not None and (value.blob is not None or value.pack is not None):
            value = value.held_by(node)
            if node != self._books.me and not self._books.shards.is_part(task):
                self._books.out.append(Pull(task.no, task.attempt, value, outcome.usage))
                return
        done.setdefault(task.batch, []).append(
            Outcome(
                task.no,
                task.attempt,
                Status.DONE,
                value,
                None,
                node,
                task.started_at,
                outcome.elapsed_us,
                outcome.usage,
            )
        )

    def pulled(self, signal: Pulled, now: float) -> None:
        task = self._books.tasks.by_no.get(signal.no)
        if task is None or task.status is not Status.RUNNING or task.attempt != signal.attempt:
            return
        status = Status.DONE if signal.failure is None else Status.FAILED
        outcome = Outcome(
            task.no,
            task.attempt,
            status,
            signal.value,
            signal.failure,
            task.node,
            task.started_at,
            usage=signal.usage,
        )
        if signal.failure is None:
            self._books.finish(task.batch, [outcome], now)
        else:
            self.failed(task, outcome, now)

    def failed(self, task: Task, outcome: Outcome, now: float) -> None:
        """An attempt ended badly: try again, or set the task aside."""
        failure = outcome.failure or Failure(
            "internal", "the attempt gave neither value nor reason"
        )
        outcome = outcome._replace(node=task.node, started_at=task.started_at, value=None)
        if self._books.shards.recover(task, outcome, failure, now):
            return
        policy, charged = self._policy, is_charged(failure)
        tries = 1 + (task.failures if charged else task.losses)
        if gives_up(failure, tries, task.demand.max_attempts if charged else policy.max_losses):
            self._books.fail(task, outcome._replace(status=Status.FAILED), now)
            return
        # a pause that was asked for is not made longer, only so that not all come back at once
        not_before = now + delay_s(policy, 1 if failure.retry_after_s else tries, self._rng)
        if failure.retry_after_s:
            until = now + min(failure.retry_after_s, policy.pause_cap_s)
            begin = self._books.dispatch.rest(task.node, task.demand, until, now)
            not_before = begin + not_before - now if begin > now else 0.0
        retried = Retried(outcome, not_before, charged)
        self._books.record(retried, task.batch.first, now, task.batch.journaled)
        if not_before:
            self._books.timers.back_off(task)
        else:
            self._books.dispatch.ready.push(task, first=True)

    def lost(self, worker: Worker, why: str, now: float) -> None:
        """A worker is gone: whatever it owes goes elsewhere at once."""
        failure = Failure("lost", f"node {worker.node} was lost: {why}", retryable=True)
        for task in worker.disown():
            if task.status is not Status.RUNNING or task.node != worker.node:
                continue
            outcome = Outcome(
                task.no, task.attempt, Status.FAILED, None, failure, worker.node, task.started_at
            )._replace(usage=self._books.spending.used(task))
            if task.losses >= self._policy.max_losses:
                self._books.fail(task, outcome, now)
            else:
                self._requeue(task, outcome, now)

    def _requeue(self, task: Task, outcome: Outcome, now: float) -> None:
        batch = task.batch
        spends = batch.purse is not None and batch.journaled
        self._books.record(Retried(outcome, 0.0, False), batch.first, now, spends)
        self._books.dispatch.ready.push(task, urgent=True)

    def heard(self, signal: Heard, now: float) -> None:
        worker = self._books.dispatch.workers.get(signal.node)
        owed = worker.owed if worker is not None else {}
        for said in signal.said:
            task = owed.get(said.no)
            if task is not None and task.attempt == said.attempt:
                self._books.record(Output(said), task.batch.first, now, task.batch.journaled)
