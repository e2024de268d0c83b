"""Fakes of the ports that keep bytes. Each passes the contract suite of the real one.

MemoryJournal forgets what was not synced, as a disk does, when a simulator tells it to crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from nova_node.adapters.journal_rows import highest_no
from nova_node.core.errors import InUse, Invalid, NovaError, Unavailable
from nova_node.core.events import Event

Done = Callable[[Exception | None], None]


class MemoryJournal:
    """The port Journal. With `auto_sync` each append is durable at once and `done` is called before
    it returns; without, both wait for `sync`. `fail` is what the next appends end with."""

    def __init__(self, auto_sync: bool = True) -> None:
        self.fail: NovaError | None = None
        self._auto_sync = auto_sync
        self._events: dict[int, Event] = {}
        self._waiting: list[tuple[Sequence[Event], Done]] = []
        self._used = (0, 0)
        self._incarnation = 0
        self._open = False

    def open(self) -> int:
        if self._open:
            raise InUse("the journal is open already", "close it first")
        self._open = True
        self._incarnation += 1
        return self._incarnation

    def append(self, events: Sequence[Event], done: Done) -> None:
        if not self._open:
            done(Unavailable("the journal is closed", "ask again once the node has started"))
            return
        self._waiting.append((events, done))
        if self._auto_sync:
            self.sync()

    def sync(self) -> None:
        """What waits is durable, and whoever appended it is told, in order."""
        waiting, self._waiting = self._waiting, []
        for events, done in waiting:
            done(self.fail or self._keep([event for event in events if event.journaled]))

    def crash(self) -> None:
        """What waits is lost, and nobody is told. Open again to go on."""
        self._waiting.clear()
        self._open = False

    def _keep(self, events: list[Event]) -> NovaError | None:
        seqs = {event.seq for event in events}
        if len(seqs) < len(events) or seqs & self._events.keys():
            return Invalid("the journal has that event already", "number each event once")
        for event in events:
            self._events[event.seq] = event
            seq, no = self._used
            self._used = max(seq, event.seq), max(no, highest_no(event))
        return None

    def read(self, from_seq: int = 0, batch: int | None = None) -> Iterator[Event]:
        if not self._open:
            raise Unavailable("the journal is closed", "ask again once the node has started")
        for seq, event in sorted(self._events.items()):
            if seq >= from_seq and (batch is None or event.batch == batch):
                yield event

    def used(self) -> tuple[int, int]:
        return self._used

    def forget(self, batches: Iterable[int]) -> None:
        gone = set(batches)
        self._events = {s: e for s, e in self._events.items() if e.batch not in gone}

    def size_bytes(self) -> int:
        return 100 * len(self._events)

    def close(self) -> None:
        self.sync()
        self._open = False
