"""What attempts had asked for when their node began to drain.

Rule: the drain waits for the attempts, and they for what they asked for. What runs may end; what nobody
runs would wait until the node is gone, so it ends at once.
"""

from __future__ import annotations

from typing import Protocol

from nova_node.core.errors import Draining
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import UNUSED, Outcome, Status
from nova_node.core.tasks import Task, Tasks

_AT_REST = frozenset({Status.WAITING, Status.BACKOFF})
_DRAINING = Draining("the node that asked for it is draining", "submit to another node").failure()


class Books(Protocol):
    """What of the owner is needed here."""

    tasks: Tasks

    def end_tree(self, task: Task, end: Outcome | None, now: float) -> None: ...


class Asked:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._open: list[Task] = []

    def begin(self) -> None:
        """Nothing more is asked for from now on, so that these are all."""
        self._open = [task for task in self._books.tasks.by_no.values() if task.is_asked]

    def end(self, now: float) -> None:
        """Those of which a part waits to be placed."""
        self._open = [task for task in self._open if task.status not in ENDED]
        for task in self._open:
            if any(each.status in _AT_REST for each in (task, *(task.children or ()))):
                end = Outcome(task.no, task.attempt, Status.FAILED, None, _DRAINING, usage=UNUSED)
                self._books.end_tree(task, end, now)
