"""What a turn of the loop lets out once its events are on disk: answers to clients, events announced to
watchers, and the release of blobs; they leave in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from nova_node.core.effects import Release
from nova_node.core.events import Event
from nova_node.ports import Journal

log = logging.getLogger("nova.runtime")

JOURNAL_RETRY_S = 0.5


class Turn:
    __slots__ = ("answers", "durable", "events", "releases")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[tuple[Callable[[Any], None], Any]] = []
        self.releases: list[Release] = []
        self.durable = True


class Turns:
    """`let_out` gets each turn when it may leave. On the event loop's thread only."""

    def __init__(
        self,
        journal: Journal,
        let_out: Callable[[Turn], None],
    ) -> None:
        self._journal = journal
        self._let_out = let_out
        self._loop = asyncio.get_running_loop()
        self._committing: deque[Turn] = deque()
        self._stopped = False
        #: why the latest append failed, while it does
        self.error = ""

    def stop(self) -> None:
        self._stopped = True

    def add(self, turn: Turn) -> None:
        journaled = [event for event in turn.events if event.journaled]
        if not journaled:
            if self._committing:
                self._committing.append(turn)
            else:
                self._let_out(turn)
            return
        turn.durable = False
        self._committing.append(turn)
        self._append(turn, journaled)

    def _append(self, turn: Turn, journaled: list[Event]) -> None:
        if self._stopped:
            return

        def done(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(self._committed, turn, journaled, error)

        self._journal.append(journaled, done)

    def _committed(self, turn: Turn, journaled: list[Event], error: Exception | None) -> None:
        if error is not None:
            self._failed(error)
            self._loop.call_later(JOURNAL_RETRY_S, self._append, turn, journaled)
            return
        if self.error:
            log.info("the journal can be written again")
            self.error = ""
        turn.durable = True
        while self._committing and self._committing[0].durable:
            self._let_out(self._committing.popleft())

    def _failed(self, error: Exception) -> None:
        """Nothing is lost: what could not be written is tried again, whoever waits for it waits on,
        and new work is refused meanwhile."""
        if not self.error:
            log.error("the journal cannot be written, new work is refused: %s", error)
        self.error = str(error)
