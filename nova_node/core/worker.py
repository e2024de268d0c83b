"""The worker: takes attempts from owners, keeps its slots fed, and reports back in batches.

Owners know this node by links: one per work stream, and LOCAL for the node's own owner. A link that
breaks takes its attempts along, running ones too: their owner has already given them to others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nova_node.core.cost import Cost
from nova_node.core.effects import (
    Effect,
    Grant,
    Kill,
    Relay,
    Report,
    Run,
)
from nova_node.core.model import (
    Attempt,
    Call,
    Credit,
    Cut,
    Failure,
    Fence,
    Outcome,
    Phase,
    Said,
    Status,
)
from nova_node.core.signals import (
    Ran,
    SlotDied,
    Spoke,
    Work,
)

LOCAL = 0
"""The link of the node's own owner."""

OVERHEAD_US = 4.0
"""Of handing over an attempt, beside its run time."""

CANCELLED = Failure("cancelled", "cancelled by its owner")
NOT_SHARED = Failure(
    "not_permitted", "that node runs this for its own tasks only", "submit it to that node"
)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    slots: int = 1
    #: expected work an owner may have here, per slot
    budget_us: int = 20_000
    #: expected work handed to a worker process at once
    slot_budget_us: float = 4_000.0
    items_max: int = 2048
    bytes_max: int = 8 << 20
    #: wall-clock limit of attempts that name none; 0 = none
    wall_s: float = 0.0


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


class Worker:
    def __init__(self, config: WorkerConfig, out: list[Effect]) -> None:
        self.draining = False
        self.queue: deque[Item] = deque()
        self.slots: dict[int, Slot] = {n: Slot() for n in range(config.slots)}
        self.links: dict[int, Link] = {}
        #: attempts that answered with shards: (link, attempt, shards), for the owner here to adopt
        self.grown: list[tuple[int, Attempt, tuple[Call, ...]]] = []
        self.out = out
        self._config = config
        #: wall-clock limits that capabilities declare
        self.walls_s: dict[str, float] = {}
        #: capabilities for tasks of this node's own owner only
        self.local: frozenset[str] = frozenset()
        self._next_key = 1
        self._costs: dict[str, Cost] = {}

    # ------------------------------------------------------------ links

    def link_up(self, link: int) -> None:
        self.links[link] = Link()
        self._grant()

    def link_down(self, link: int) -> None:
        if self.links.pop(link, None) is None:
            return
        self.queue = deque(i for i in self.queue if i.link != link)
        for number, slot in self.slots.items():
            self._cancel_in_slot(number, slot, [i for i in slot.items.values() if i.link == link])
        self._grant()

    def _grant(self) -> None:
        """Tell each owner its room; the room is shared among the owners that use it now."""
        ready = sum(slot.ready for slot in self.slots.values())
        busy = sum(1 for link in self.links.values() if link.outstanding)
        for number, link in self.links.items():
            others = busy - (1 if link.outstanding else 0)
            credit = self._credit(ready, 1 + others, link.adopted)
            if credit != link.credit:
                link.credit = credit
                self.out.append(Grant(number, credit))

    def _credit(self, ready: int, owners: int, adopted: int) -> Credit:
        """Adopted attempts take no room: they wait for others, which may need it."""
        config = self._config
        if self.draining or not ready:
            return Credit(0, 0, 0, 0)
        return Credit(
            budget_us=config.budget_us * ready // owners,
            min_items=max(1, 2 * ready // owners) + adopted,
            max_items=max(2, config.items_max // owners) + adopted,
            max_bytes=config.bytes_max // owners,
        )

    # ------------------------------------------------------------ taking work

    def work(self, signal: Work) -> None:
        link = self.links.get(signal.link)
        if link is None:
            return
        key, queue, number = self._next_key, self.queue, signal.link
        attempts, refused = self._shared(signal) if self.local else (signal.attempts, ())
        for attempt in attempts:
            queue.append(Item(key, number, attempt))
            key += 1
        self._next_key = key
        if signal.attempts:
            was_idle = not link.outstanding
            link.outstanding += len(signal.attempts)
            if was_idle and len(self.links) > 1:
                self._grant()
        if refused:
            self.report(number, refused)
        if signal.cancels:
            self._cancel(signal.link, set(signal.cancels))
        if signal.recall:
            self._give_back(signal.link, signal.recall)

    def _shared(self, signal: Work) -> tuple[Sequence[Attempt], Sequence[Outcome]]:
        """The attempts that may come on this link, and the ends of those that may not."""
        if signal.link == LOCAL:
            return signal.attempts, ()
        theirs = [a for a in signal.attempts if a.demand.capability not in self.local]
        ours = [a for a in signal.attempts if a.demand.capability in self.local]
        return theirs, [Outcome(a.no, a.attempt, Status.FAILED, None, NOT_SHARED) for a in ours]

    def feed(self, now: float) -> None:
        """Hand queued attempts to slots that have room."""
        queue = self.queue
        if not queue:
            return
        ready = [(n, s) for n, s in self.slots.items() if s.ready]
        ready.sort(key=lambda pair: len(pair[1].items))
        for number, slot in ready:
            if not queue:
                return
            share = -(-len(queue) // len(ready))
            budget = self._config.slot_budget_us - sum(
                self._cost(i.attempt) for i in slot.items.values()
            )
            batch: list[Item] = []
            while queue and len(batch) < share:
                cost = self._cost(queue[0].attempt)
                if budget < cost and (batch or slot.items):
                    break
                budget -= cost
                batch.append(queue.popleft())
            if batch:
                if not slot.items:
                    slot.head_since = now
                for item in batch:
                    slot.items[item.key] = item
                self.out.append(Run(number, [i.key for i in batch], [i.attempt for i in batch]))

    def _cost(self, attempt: Attempt) -> float:
        cost = self._costs.get(attempt.demand.capability)
        return cost.cautious_us if cost is not None else self._config.slot_budget_us

    # ------------------------------------------------------------ answering

    def ran(self, signal: Ran, now: float) -> None:
        slot = self.slots[signal.slot]
        outcomes: dict[int, list[Outcome]] = {}
        cuts: dict[int, list[Cut]] = {}
        items, costs = slot.items, self._costs
        for key, outcome, shards in signal.results:
            item = items.pop(key, None)
            if item is None or item.cancelled:
                continue
            attempt = item.attempt
            name = attempt.demand.capability
            cost = costs.get(name)
            if cost is None:
                costs[name] = Cost(outcome.elapsed_us + OVERHEAD_US)
            else:
                cost.learn(outcome.elapsed_us + OVERHEAD_US)
            if shards is None:
                outcomes.setdefault(item.link, []).append(outcome)
            elif attempt.phase is Phase.SPLIT:
                cut = Cut(attempt.no, attempt.attempt, shards, outcome.elapsed_us)
                cuts.setdefault(item.link, []).append(cut)
            else:
                self.grown.append((item.link, attempt, shards))
        slot.head_since = now
        head = next(iter(items.values()), None)
        if head is not None and head.cancelled and slot.ready:
            self._kill(signal.slot, slot, CANCELLED)
        for link in outcomes.keys() | cuts.keys():
            self.report(link, outcomes.get(link, ()), cuts=cuts.get(link, ()))

    def report(
        self,
        link: int,
        outcomes: Sequence[Outcome] = (),
        returned: Sequence[Fence] = (),
        cuts: Sequence[Cut] = (),
    ) -> None:
        self.out.append(Report(link, outcomes, returned, cuts))
        self._settle(link, len(outcomes) + len(returned) + len(cuts))

    def adopted(self, link: int, count: int) -> None:
        """The owner here took over so many attempts of this link, or, if negative, saw them through."""
        self.links[link].adopted += count
        self._settle(link, max(0, count))
        self._grant()

    def _settle(self, number: int, count: int) -> None:
        link = self.links.get(number)
        if link is not None:
            link.outstanding -= count
            if not link.outstanding and len(self.links) > 1:
                self._grant()

    def spoke(self, signal: Spoke) -> None:
        item = self.slots[signal.slot].items.get(signal.key)
        if item is not None and not item.cancelled:
            attempt = item.attempt
            said = Said(attempt.no, attempt.attempt, signal.stderr, signal.text)
            self.out.append(Relay(item.link, [said]))

    # ------------------------------------------------------------ slots

    def slot_ready(self, number: int) -> None:
        self.slots[number].ready = True
        self._grant()

    def slot_died(self, signal: SlotDied) -> None:
        """Only the attempt that ran is charged; what stood behind it goes back to the queue's head.
        When another had its turn before the kill reached the process, that one is innocent."""
        slot = self.slots[signal.slot]
        slot.ready = False
        items, slot.items = slot.items, {}
        doomed, slot.doomed = slot.doomed, 0
        # nothing ran (None): the kill met an attempt that still waited for its inputs
        ran = signal.key if signal.key is not None else doomed
        guilty = items.pop(ran, None) if doomed in (0, ran) else None
        for item in reversed(items.values()):
            if not item.cancelled:
                self.queue.appendleft(item)
        if guilty is not None and not guilty.cancelled:
            attempt = guilty.attempt
            outcome = Outcome(attempt.no, attempt.attempt, Status.FAILED, None, signal.failure)
            self.report(guilty.link, [outcome])
        self._grant()

    @property
    def wake_at(self) -> float:
        return min(
            (self._wall_end(s) for s in self.slots.values() if s.items), default=float("inf")
        )

    def tick(self, now: float) -> None:
        """Kill what ran past its wall-clock limit."""
        for number, slot in self.slots.items():
            if slot.ready and slot.items and self._wall_end(slot) <= now:
                wall_s = self._wall_s(next(iter(slot.items.values())).attempt)
                failure = Failure(
                    "wall_limit",
                    f"ran longer than its limit of {wall_s:g} s and was killed",
                    "raise the limit, or split the work",
                    retryable=True,
                )
                self._kill(number, slot, failure)

    def _wall_s(self, attempt: Attempt) -> float:
        demand = attempt.demand
        return (
            demand.limits.wall_s or self.walls_s.get(demand.capability, 0.0) or self._config.wall_s
        )

    def _wall_end(self, slot: Slot) -> float:
        wall_s = self._wall_s(next(iter(slot.items.values())).attempt)
        return slot.head_since + wall_s if wall_s and slot.ready else float("inf")

    def _kill(self, number: int, slot: Slot, failure: Failure) -> None:
        """End the process of what runs there now."""
        slot.ready = False
        slot.doomed = next(iter(slot.items))
        self.out.append(Kill(number, failure))

    # ------------------------------------------------------------ giving up work

    def _cancel(self, link: int, fences: set[Fence]) -> None:
        kept: deque[Item] = deque()
        cancelled = 0
        for item in self.queue:
            if item.link == link and Fence(item.attempt.no, item.attempt.attempt) in fences:
                cancelled += 1
            else:
                kept.append(item)
        self.queue = kept
        for number, slot in self.slots.items():
            hit = [
                i
                for i in slot.items.values()
                if i.link == link and Fence(i.attempt.no, i.attempt.attempt) in fences
            ]
            cancelled += self._cancel_in_slot(number, slot, hit)
        self._settle(link, cancelled)

    def _cancel_in_slot(self, number: int, slot: Slot, hit: Iterable[Item]) -> int:
        """Mark as cancelled; if one of them runs now, its process is killed."""
        running = next(iter(slot.items.values()), None)
        count = 0
        for item in hit:
            count += not item.cancelled
            item.cancelled = True
            if item is running and slot.ready:
                self._kill(number, slot, CANCELLED)
        return count

    def _give_back(self, link: int, count: int) -> None:
        """Return up to `count` attempts of this owner that have not started, the latest first."""
        returned: list[Fence] = []
        kept: list[Item] = []
        while self.queue and len(returned) < count:
            item = self.queue.pop()
            if item.link == link:
                returned.append(Fence(item.attempt.no, item.attempt.attempt))
            else:
                kept.append(item)
        self.queue.extend(reversed(kept))
        if returned:
            self.report(link, returned=returned)

    def drain(self) -> None:
        """Take nothing more; give back what has not started."""
        self.draining = True
        for link in list(self.links):
            self._give_back(link, len(self.queue))
        self._grant()

    @property
    def slots_free(self) -> int:
        return sum(1 for s in self.slots.values() if s.ready and not s.items)

    @property
    def is_idle(self) -> bool:
        return not self.queue and not any(s.items for s in self.slots.values())
