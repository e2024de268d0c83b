"""What a turn of the loop lets out once its events are on disk: answers to clients, events announced to
watchers, and the release of blobs; they leave in order.

A turn that only accepted what will have ended in a moment is held for that moment: one write to the
disk and one message to the client then do for both. What it assigned is on its way meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from nova_node.core.effects import Release
from nova_node.core.events import Accepted, Assigned, Event
from nova_node.core.model import Group
from nova_node.ports import Journal

log = logging.getLogger("nova.runtime")

HOLD_S = 0.002
"""At most; a brief task and its way there and back take less."""

JOURNAL_RETRY_S = 0.5


class Turn:
    __slots__ = ("answers", "durable", "events", "releases")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[tuple[Callable[[Any], None], Any]] = []
        self.releases: list[Release] = []
        self.durable = True

    def add(self, later: Turn) -> None:
        self.events += later.events
        self.answers += later.answers
        self.releases += later.releases


class Turns:
    """`let_out` gets each turn when it may leave. `is_brief` tells whether calls will have ended in a
    moment once they were assigned. On the event loop's thread only."""

    def __init__(
        self,
        journal: Journal,
        let_out: Callable[[Turn], None],
        is_brief: Callable[[Group], bool],
    ) -> None:
        self._journal = journal
        self._let_out = let_out
        self._is_brief = is_brief
        self._loop = asyncio.get_running_loop()
        self._committing: deque[Turn] = deque()
        self._held: Turn | None = None
        self._letting_go: asyncio.TimerHandle | None = None
        self._stopped = False
        #: why the latest append failed, while it does
        self.error = ""

    def add(self, turn: Turn) -> None:
        """Commit it, with the one that was held for it, or hold it for the next."""
        held, self._held = self._held, None
        if held is not None:
            if self._letting_go is not None:
                self._letting_go.cancel()
            held.add(turn)
            self._commit(held)
        elif self._ends_soon(turn):
            self._held = turn
            self._letting_go = self._loop.call_later(HOLD_S, self._let_go)
        else:
            self._commit(turn)

    def stop(self) -> None:
        self._let_go()
        self._stopped = True

    def _ends_soon(self, turn: Turn) -> bool:
        """Whether all it did was to accept tasks, and assign them, that will have ended soon."""
        if self._committing or len(turn.answers) != 1 or turn.releases:
            return False
        match turn.events:
            case [
                Event(fact=Accepted(groups=(group,))),
                Event(fact=Assigned(fences=fences)),
            ]:
                return len(fences) == len(group.calls) and self._is_brief(group)
            case _:
                return False

    def _let_go(self) -> None:
        """Of what is held, if anything is."""
        held, self._held = self._held, None
        if held is not None:
            self._commit(held)

    def _commit(self, turn: Turn) -> None:
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
