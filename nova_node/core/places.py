"""Places: for attempts that wait for others more than they compute, so that they need no slot.

Rule: a place holds one attempt, and each is as good as the next. What an attempt asks for may need a
place too, so those that ask leave some free: were all places theirs, all would wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from nova_node.core.effects import Effect
from nova_node.core.model import Attempt
from nova_node.core.signals import SlotDied
from nova_node.core.slots import Item, Slots


def places_for(depth: int, places: int) -> int:
    """How many may be busy when one that asks is to begin: the deeper, the more, and never all."""
    return min(places - 1, places - (places >> depth + 1))


class Places(Slots):
    def __init__(
        self,
        numbers: Iterable[int],
        wall_s: Callable[[Attempt], float],
        out: list[Effect],
        asking: Container[str] = (),
    ) -> None:
        """`asking`: the capabilities that may ask for tasks."""
        super().__init__(numbers, wall_s, out)
        self._asking = asking
        self._free: dict[int, None] = {}

    def begin(self, number: int) -> None:
        super().begin(number)
        if not self.all[number].items:
            self._free[number] = None

    def answered(self, number: int, now: float) -> None:
        super().answered(number, now)
        slot = self.all[number]
        if slot.ready and not slot.items:
            self._free[number] = None

    def died(self, signal: SlotDied) -> Item | None:
        self._free.pop(signal.slot, None)
        return super().died(signal)

    def feed(self, now: float) -> None:
        """The first come first, but for the places that are kept for deeper ones."""
        if not self._free or not self.queue:
            return
        kept: list[Item] = []
        while self.queue and self._free:
            item = self.queue.popleft()
            if self._may_begin(item.attempt):
                number, _ = self._free.popitem()
                self.hand(number, [item], now)
            else:
                kept.append(item)
        self.queue.extendleft(reversed(kept))

    def _may_begin(self, attempt: Attempt) -> bool:
        if attempt.demand.capability not in self._asking:
            return True
        places = len(self.all)
        return places - len(self._free) < places_for(attempt.depth, places)
