"""What a worker keeps of its attempts and of its slots: which attempt is where, and what ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from nova_node.core.effects import Effect, Kill, Run
from nova_node.core.model import Attempt, Credit, Failure, Fence
from nova_node.core.signals import SlotDied

CANCELLED = Failure("cancelled", "cancelled by its owner")


class Item:
    """An attempt here, under this node's own number."""

    __slots__ = ("attempt", "cancelled", "key", "link")

    def __init__(self, key: int, link: int, attempt: Attempt) -> None:
        self.key = key
        self.link = link
        self.attempt = attempt
        self.cancelled = False


class Slot:
    __slots__ = ("doomed", "head_since", "items", "ready")

    def __init__(self) -> None:
        self.ready = False
        #: handed over and not answered, in order; the first one runs
        self.items: dict[int, Item] = {}
        self.head_since = 0.0
        #: the attempt that its process is being killed for
        self.doomed = 0


class Link:
    __slots__ = ("adopted", "credit", "outstanding")

    def __init__(self) -> None:
        self.outstanding = 0
        #: attempts that answered with shards, which the owner here sees through
        self.adopted = 0
        self.credit: Credit | None = None


class Slots:
    """Slots of one kind by their numbers, and the attempts that stand in line for one."""

    def __init__(
        self, numbers: Iterable[int], wall_s: Callable[[Attempt], float], out: list[Effect]
    ) -> None:
        """`wall_s` tells how long an attempt may run; 0 = for ever."""
        self.all: dict[int, Slot] = {number: Slot() for number in numbers}
        self.queue: deque[Item] = deque()
        #: how many are ready
        self.ready = 0
        self._busy: dict[int, Slot] = {}
        self._wall_s = wall_s
        self._out = out

    # ------------------------------------------------------------ to and from a slot

    def begin(self, number: int) -> None:
        """Its process can take attempts."""
        slot = self.all[number]
        self.ready += not slot.ready
        slot.ready = True

    def hand(self, number: int, items: Sequence[Item], now: float) -> None:
        slot = self.all[number]
        if not slot.items:
            slot.head_since = now
            self._busy[number] = slot
        for item in items:
            slot.items[item.key] = item
        self._out.append(Run(number, [i.key for i in items], [i.attempt for i in items]))

    def answered(self, number: int, now: float) -> None:
        """What it answered was taken from its items; the next one runs."""
        slot = self.all[number]
        slot.head_since = now
        head = next(iter(slot.items.values()), None)
        if head is None:
            self._busy.pop(number, None)
        elif head.cancelled and slot.ready:
            self.kill(number, CANCELLED)

    def died(self, signal: SlotDied) -> Item | None:
        """The one that ran, to be charged; what stood behind it goes back to the queue's head.
        When another had its turn before the kill reached the process, that one is innocent."""
        slot = self.all[signal.slot]
        self._rest(slot)
        self._busy.pop(signal.slot, None)
        items, slot.items = slot.items, {}
        doomed, slot.doomed = slot.doomed, 0
        # nothing ran (None): the kill met an attempt that still waited for its inputs
        ran = signal.key if signal.key is not None else doomed
        guilty = items.pop(ran, None) if doomed in (0, ran) else None
        for item in reversed(items.values()):
            if not item.cancelled:
                self.queue.appendleft(item)
        return guilty if guilty is not None and not guilty.cancelled else None

    def kill(self, number: int, failure: Failure) -> None:
        """End the process of what runs there now."""
        slot = self.all[number]
        self._rest(slot)
        slot.doomed = next(iter(slot.items))
        self._out.append(Kill(number, failure))

    def _rest(self, slot: Slot) -> None:
        self.ready -= slot.ready
        slot.ready = False

    # ------------------------------------------------------------ time

    @property
    def wake_at(self) -> float:
        busy = self._busy
        return min(map(self._wall_end, busy.values())) if busy else float("inf")

    def tick(self, now: float) -> None:
        """Kill what ran past its wall-clock limit."""
        for number, slot in self._busy.items():
            if slot.ready and self._wall_end(slot) <= now:
                wall_s = self._wall_s(next(iter(slot.items.values())).attempt)
                failure = Failure(
                    "wall_limit",
                    f"ran longer than its limit of {wall_s:g} s and was killed",
                    "raise the limit, or split the work",
                    retryable=True,
                )
                self.kill(number, failure)

    def _wall_end(self, slot: Slot) -> float:
        wall_s = self._wall_s(next(iter(slot.items.values())).attempt)
        return slot.head_since + wall_s if wall_s and slot.ready else float("inf")

    # ------------------------------------------------------------ giving up work

    def leave(self, link: int) -> None:
        """Its owner is gone."""
        self._keep([item for item in self.queue if item.link != link])
        for number, slot in list(self._busy.items()):
            self._cancel_in(number, [i for i in slot.items.values() if i.link == link])

    def cancel(self, link: int, fences: set[Fence]) -> int:
        """How many were cancelled that were not before."""

        def is_meant(item: Item) -> bool:
            return item.link == link and Fence(item.attempt.no, item.attempt.attempt) in fences

        before = len(self.queue)
        self._keep([item for item in self.queue if not is_meant(item)])
        cancelled = before - len(self.queue)
        for number, slot in list(self._busy.items()):
            cancelled += self._cancel_in(number, [i for i in slot.items.values() if is_meant(i)])
        return cancelled

    def _cancel_in(self, number: int, hit: Iterable[Item]) -> int:
        """Mark as cancelled; if one of them runs now, its process is killed."""
        slot = self.all[number]
        running = next(iter(slot.items.values()))
        count = 0
        for item in hit:
            count += not item.cancelled
            item.cancelled = True
            if item is running and slot.ready:
                self.kill(number, CANCELLED)
        return count

    def give_back(self, link: int, count: int) -> list[Fence]:
        """Up to `count` attempts of this owner that have not started, the latest first."""
        returned: list[Fence] = []
        kept: list[Item] = []
        while self.queue and len(returned) < count:
            item = self.queue.pop()
            if item.link == link:
                returned.append(Fence(item.attempt.no, item.attempt.attempt))
            else:
                kept.append(item)
        self.queue.extend(reversed(kept))
        return returned

    def _keep(self, items: list[Item]) -> None:
        if len(items) != len(self.queue):
            self.queue.clear()
            self.queue.extend(items)

    @property
    def held(self) -> int:
        """Attempts that were handed over and not answered."""
        return sum(len(slot.items) for slot in self._busy.values())

    @property
    def is_idle(self) -> bool:
        return not self.queue and not self._busy
