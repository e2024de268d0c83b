"""What an owner does for the money of its batches: reserve before an attempt leaves, and stop in time.

Rule: an attempt of a journaled batch with a budget is sent only once its reservation is on disk.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Assign, Confirm, Effect
from nova_node.core.model import UNUSED, Attempt, Failure, Outcome, Status, Usage
from nova_node.core.purse import Purse
from nova_node.core.signals import Confirmed
from nova_node.core.tasks import Task


class Books(Protocol):
    """What of the owner is needed here."""

    dispatch: Dispatch
    out: list[Effect]

    def fail(self, task: Task, outcome: Outcome, now: float) -> None: ...


class Held(NamedTuple):
    node: str
    attempts: list[Attempt]


class Spending:
    def __init__(self, books: Books) -> None:
        self._books = books
        #: attempts that wait for the disk, by the number of their Confirm
        self._held: dict[int, Held] = {}
        self._unsent: dict[int, int] = {}
        self._next = 1

    def hold(self, node: str, attempts: list[Attempt]) -> None:
        """Send them once what was recorded before, their reservation, is on disk."""
        self._held[self._next] = Held(node, attempts)
        self._unsent.update((a.no, a.attempt) for a in attempts)
        self._books.out.append(Confirm(self._next))
        self._next += 1

    def confirmed(self, signal: Confirmed, now: float) -> None:
        """Those that are still wanted may go."""
        node, attempts = self._held.pop(signal.number)
        worker = self._books.dispatch.workers.get(node)
        owed = worker.owed if worker is not None else {}
        for attempt in attempts:
            if self._unsent.get(attempt.no) == attempt.attempt:
                del self._unsent[attempt.no]
        wanted = [a for a in attempts if a.no in owed and owed[a.no].attempt == a.attempt]
        if wanted:
            self._books.out.append(Assign(node, wanted))

    def used(self, task: Task) -> Usage | None:
        """Of an attempt that ends without an answer: nothing when it never left, else nobody knows."""
        return UNUSED if self._unsent.get(task.no) == task.attempt else None

    def end_broke(self, now: float) -> None:
        """End what waits for money that will not come back."""
        broke = self._books.dispatch.broke
        while broke:
            flow = broke.pop()
            for task in flow.take(len(flow.tasks)):
                if task.status is Status.WAITING and task.batch.purse is not None:
                    failure = _exhausted(task.batch.purse, task.demand.allowance_uusd)
                    outcome = Outcome(task.no, task.attempt, Status.FAILED, None, failure)
                    self._books.fail(task, outcome, now)

    def __len__(self) -> int:
        """Groups of attempts that wait for the disk."""
        return len(self._held)


def _exhausted(purse: Purse, allowance_uusd: int) -> Failure:
    spent, limit = purse.spent_uusd / 1e6, purse.limit_uusd / 1e6
    return Failure(
        "budget_exhausted",
        f"${spent:.6f} of ${limit:.6f} are spent, and an attempt may cost ${allowance_uusd / 1e6:.6f}",
        "submit it again with a larger budget, or let an attempt spend less",
    )
