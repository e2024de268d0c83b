"""Events for whoever watches: the recent ones in memory, older ones from the journal.

A watcher that cannot keep up is told so and dropped; it resumes from its last sequence number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from nova_node.core.errors import Overloaded
from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
    Finished,
)

RECENT_MAX = 8192
RECENT_BYTES_MAX = 32 << 20
UNSENT_BYTES_MAX = 32 << 20
ITEM_BYTES = 400

Offer = Callable[[Sequence[Event]], None]


class Watch:
    """Called on the event loop's thread only."""

    def __init__(self, seq: int, unsent_max: int) -> None:
        #: the latest announced; later subscribers start here
        self.seq = seq
        #: events that may wait for one watcher
        self.unsent_max = unsent_max
        self._recent: deque[tuple[Event, int]] = deque()
        self._recent_bytes = 0
        self._offers: dict[int, Offer] = {}
        self._next = 0

    def announce(self, events: Sequence[Event]) -> None:
        for event in events:
            size_bytes = size_bytes_of(event)
            self._recent.append((event, size_bytes))
            self._recent_bytes += size_bytes
        while len(self._recent) > RECENT_MAX or self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= self._recent.popleft()[1]
        self.seq = events[-1].seq
        for offer in list(self._offers.values()):
            offer(events)

    def subscribe(self, offer: Offer) -> int:
        """Returns a number for `unsubscribe`."""
        self._next += 1
        self._offers[self._next] = offer
        return self._next

    def unsubscribe(self, number: int) -> None:
        self._offers.pop(number, None)

    def everything(self) -> list[Event]:
        """All that memory holds."""
        return [event for event, _ in self._recent]

    def recent(self, from_seq: int) -> tuple[list[Event], int]:
        """What memory holds from `from_seq` on, and the seq from which on it holds everything."""
        held = [event for event, _ in self._recent if event.seq >= from_seq]
        return held, self._recent[0][0].seq if self._recent else self.seq + 1


class Backlog:
    """What waits for one watcher. Past its bound all of it is dropped, which `take` tells."""

    def __init__(self, events_max: float, bytes_max: int = UNSENT_BYTES_MAX) -> None:
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._events: deque[tuple[Event, int]] = deque()
        self._size_bytes = 0
        self._overrun = False

    def __bool__(self) -> bool:
        """Whether there is something to take."""
        return self._overrun or bool(self._events)

    def add(self, events: Sequence[Event]) -> None:
        """What finds nothing waiting is taken in whole, however much it is."""
        if self._overrun:
            return
        waited = bool(self._events)
        for event in events:
            size_bytes = size_bytes_of(event)
            self._events.append((event, size_bytes))
            self._size_bytes += size_bytes
        much = len(self._events) > self._events_max or self._size_bytes > self._bytes_max
        if waited and much:
            self._events.clear()
            self._overrun = True

    def take(self, bytes_max: int) -> list[Event]:
        """The next events, about so many bytes, one at least. Raises NovaError (slow)."""
        if self._overrun:
            raise Overloaded("the watcher is too slow", "resume from the last seq", "slow")
        taken: list[Event] = []
        left_bytes = bytes_max
        while self._events and left_bytes > 0:
            event, size_bytes = self._events.popleft()
            self._size_bytes -= size_bytes
            left_bytes -= size_bytes
            taken.append(event)
        return taken


def size_bytes_of(event: Event) -> int:
    """About what the event keeps alive in memory."""
    fact = event.fact
    if isinstance(fact, Finished):
        outcomes = fact.outcomes
        return ITEM_BYTES * len(outcomes) + sum([len(o.value.data) for o in outcomes if o.value])
    if isinstance(fact, Accepted):
        calls = [c for group in fact.groups for c in group.calls]
        return ITEM_BYTES * len(calls) + sum(
            [c.size_bytes if c.inputs else len(c.args) for c in calls]
        )
    if isinstance(fact, Assigned):
        return ITEM_BYTES + 64 * len(fact.fences)
    return ITEM_BYTES
