"""The disk of a simulated node: a journal that forgets what was not synced when the process dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from support.world_clock import Clock

from nova_node.core.events import Accepted, Event, Grown


class Turn:
    """What a turn of a node releases once it is on disk."""

    __slots__ = ("answers", "durable", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[tuple[Callable[[Any], None], Any]] = []
        self.durable = True


class Disk:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._incarnation = 0
        self._events: list[Event] = []
        self._waiting: deque[tuple[Sequence[Event], Callable[[], None]]] = deque()
        self._writing = 0
        self._life = 0
        #: extra seconds of each commit
        self.slow_s = 0.0
        #: all that was ever on disk, forgotten or not, for the checks
        self.ever: list[Event] = []
        self.synced_seq = 0

    def open(self) -> int:
        self._incarnation += 1
        return self._incarnation

    def read(self) -> list[Event]:
        return list(self._events)

    @property
    def used_no(self) -> int:
        """The highest task number it ever held."""
        return max((_last_no(e) for e in self.ever), default=0)

    def append(self, events: Sequence[Event], done: Callable[[], None]) -> None:
        """`done` is called once they are synced. All that waits goes into one commit."""
        self._waiting.append((events, done))
        if not self._writing:
            self._commit()

    def _commit(self) -> None:
        rng, life = self._clock.rng, self._life
        self._writing = len(self._waiting)
        wait_s = rng.uniform(0.0005, 0.004) + (rng.uniform(0.0, self.slow_s) if self.slow_s else 0)

        def synced() -> None:
            if life != self._life:
                return
            for done in self._sync():
                done()
            if self._waiting:
                self._commit()

        self._clock.later(wait_s, synced)

    def _sync(self) -> list[Callable[[], None]]:
        dones: list[Callable[[], None]] = []
        for _ in range(self._writing):
            events, done = self._waiting.popleft()
            self._events.extend(events)
            self.ever.extend(events)
            self.synced_seq = events[-1].seq
            dones.append(done)
        self._writing = 0
        return dones

    def forget(self, batches: Iterable[int]) -> None:
        gone = set(batches)
        self._events = [e for e in self._events if e.batch not in gone]

    def forget_some(self, batches: Iterable[int]) -> None:
        """What a process killed while it forgets leaves of a batch has no beginning."""
        for batch in batches:
            rows = [e.seq for e in self._events if e.batch == batch]
            gone = set(rows[: self._clock.rng.randint(0, len(rows))])
            self._events = [e for e in self._events if e.seq not in gone]

    def close(self) -> None:
        self._writing = len(self._waiting)
        self._sync()

    def crash(self) -> None:
        """A commit under way may have reached the disk, without anybody having been told."""
        self._life += 1
        if self._writing and self._clock.rng.random() < 0.5:
            self._sync()
        self._waiting.clear()
        self._writing = 0


def _last_no(event: Event) -> int:
    fact = event.fact
    if isinstance(fact, Accepted):
        return event.batch + sum(len(g.calls) for g in fact.groups) - 1
    return fact.first + len(fact.calls) - 1 if isinstance(fact, Grown) else 0
