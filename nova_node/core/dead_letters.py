"""Dead letters: tasks whose attempts are used up, and what gives them fresh ones.

Rule: the call stays as its submitter signed it, and its numbers go on, so that no late result of an
earlier attempt counts. What had grown from the task is dropped: it splits anew.
"""

from __future__ import annotations

from typing import Protocol

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Acknowledge, Effect
from nova_node.core.errors import Invalid, NotFound, NovaError, Refused
from nova_node.core.events import Fact, Requeued
from nova_node.core.intake import no_room
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Status
from nova_node.core.retention import Retention
from nova_node.core.signals import Requeue
from nova_node.core.tasks import Batch, Task, Tasks
from nova_node.core.timers import Timers


class Books(Protocol):
    """What of the owner is needed here."""

    tasks: Tasks
    dispatch: Dispatch
    timers: Timers
    retention: Retention
    out: list[Effect]
    draining: bool

    def record(self, fact: Fact, batch: int, now: float, journaled: bool) -> None: ...


class DeadLetters:
    def __init__(self, books: Books, unended_max: int) -> None:
        self._books = books
        self._unended_max = unended_max

    def requeue(self, signal: Requeue, now: float) -> None:
        """Each by itself: one that cannot be requeued does not keep the others back."""
        books = self._books
        chosen: dict[Batch, list[Task]] = {}
        unended = books.tasks.unended
        answers: dict[int, Status | NovaError] = {}
        for no in dict.fromkeys(signal.nos):
            refusal = self._refusal(no)
            task = books.tasks.by_no.get(no)
            if task is not None and refusal is None and task.status is Status.FAILED:
                refusal = no_room(1, unended, self._unended_max, books.draining)
                if refusal is None:
                    chosen.setdefault(task.batch, []).append(task)
                    unended += 1
            answers[no] = refusal or (task.status if task is not None else Status.WAITING)
        for batch, tasks in chosen.items():
            self._give_fresh_attempts(batch, tasks, now)
            answers |= {task.no: task.status for task in tasks}
        books.out.append(Acknowledge(signal.token, [answers[no] for no in signal.nos]))

    def _refusal(self, no: int) -> NovaError | None:
        """Why this task cannot be requeued; None for a dead letter, and for one that was and is under
        way again."""
        task = self._books.tasks.by_no.get(no)
        if task is None:
            return NotFound(f"no task {no} here", "see `nova tasks --dead`")
        if task.parent is not None:
            return Invalid("a shard cannot be requeued alone", f"requeue task {task.root.no}")
        if task.status is Status.FAILED or (task.requeued_at and task.status not in ENDED):
            return None
        return Refused(
            f"task {no} is no dead letter, it is {task.status.name.lower()}",
            "requeue what failed (`nova tasks --dead`); to run another again, submit it",
            "not_dead",
        )

    def _give_fresh_attempts(self, batch: Batch, tasks: list[Task], now: float) -> None:
        books = self._books
        books.retention.reopened(batch)
        fact = Requeued(tuple([task.no for task in tasks]))
        books.record(fact, batch.first, now, batch.journaled)
        for task in tasks:
            books.timers.expire(task)
        books.dispatch.ready.extend(tasks)
