"""Events for whoever watches: the recent ones in memory, older ones from the journal.

A watcher that cannot keep up is told so and dropped; it resumes from its last sequence number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
    Finished,
)

RECENT_MAX = 8192
RECENT_BYTES_MAX = 32 << 20
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


def size_bytes_of(event: Event) -> int:
    """About what the event keeps alive in memory."""
    fact = event.fact
    if isinstance(fact, Finished):
        outcomes = fact.outcomes
        return ITEM_BYTES * len(outcomes) + sum([len(o.value.data) for o in outcomes if o.value])
    if isinstance(fact, Accepted):
        calls = [c for group in fact.groups for c in group.calls]
        return ITEM_BYTES * len(calls) + sum([c.size_bytes for c in calls if c.inputs])
    if isinstance(fact, Assigned):
        return ITEM_BYTES + 64 * len(fact.fences)
    return ITEM_BYTES
