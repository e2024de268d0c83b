"""The worker: takes attempts from owners, keeps its slots fed, and reports back in batches.

Owners know this node by links: one per work stream, and LOCAL for the node's own owner. A link that
breaks takes its attempts along, running ones too: their owner has already given them to others.
Attempts that wait for others go to places, in a line of their own; all else goes to slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nova_node.core.cost import Cost
from nova_node.core.effects import (
    Effect,
    Grant,
    Relay,
    Report,
)
from nova_node.core.model import (
    UNUSED,
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
from nova_node.core.places import Places
from nova_node.core.signals import (
    Ran,
    SlotDied,
    Spoke,
    Work,
)
from nova_node.core.slots import Item, Link, Slots

LOCAL = 0
"""The link of the node's own owner."""

OVERHEAD_US = 4.0
"""Of handing over an attempt, beside its run time."""

NOT_SHARED = Failure(
    "not_permitted", "that node runs this for its own tasks only", "submit it to that node"
)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    slots: int = 1
    #: for attempts that wait; numbered after the slots
    places: int = 0
    #: capabilities that may ask for tasks while they run
    asking: frozenset[str] = frozenset()
    #: expected work an owner may have here, per slot
    budget_us: int = 20_000
    #: expected work handed to a worker process at once
    slot_budget_us: float = 4_000.0
    items_max: int = 2048
    bytes_max: int = 8 << 20
    #: wall-clock limit of attempts that name none; 0 = none
    wall_s: float = 0.0


class Worker:
    def __init__(self, config: WorkerConfig, out: list[Effect]) -> None:
        self.draining = False
        self.slots = Slots(range(config.slots), self._wall_s, out)
        numbers = range(config.slots, config.slots + config.places)
        self.places = Places(numbers, self._wall_s, out, config.asking)
        self.links: dict[int, Link] = {}
        #: attempts that answered with shards: (link, attempt, shards), for the owner here to adopt
        self.grown: list[tuple[int, Attempt, tuple[Call, ...]]] = []
        self.out = out
        self._config = config
        #: wall-clock limits that capabilities declare
        self.walls_s: dict[str, float] = {}
        #: capabilities for tasks of this node's own owner only
        self.local: frozenset[str] = frozenset()
        #: capabilities whose attempts take a place
        self.waiting: frozenset[str] = frozenset()
        self._next_key = 1
        self._costs: dict[str, Cost] = {}

    # ------------------------------------------------------------ links

    def link_up(self, link: int) -> None:
        self.links[link] = Link()
        self._grant()

    def link_down(self, link: int) -> None:
        if self.links.pop(link, None) is None:
            return
        self.slots.leave(link)
        self.places.leave(link)
        self._grant()

    def _grant(self, everyone: bool = True) -> None:
        """Tell owners their room, which is shared among those that use it now; only these need to
        know at once that there are more or fewer of them."""
        busy = sum(1 for link in self.links.values() if link.outstanding)
        for number, link in self.links.items():
            if not (everyone or link.outstanding):
                continue
            others = busy - (1 if link.outstanding else 0)
            credit = self._credit(1 + others, link.adopted)
            if credit != link.credit:
                link.credit = credit
                self.out.append(Grant(number, credit))

    def _credit(self, owners: int, adopted: int) -> Credit:
        """Adopted attempts take no room: they wait for others, which may need it."""
        config, ready, places = self._config, self.slots.ready, self.places.ready
        if self.draining or not (ready or places):
            return Credit(0, 0, 0, 0)
        places = max(1, places // owners) if places else 0
        if not ready:
            return Credit(0, 0, 0, config.bytes_max // owners, places)
        return Credit(
            config.budget_us * ready // owners,
            max(1, 2 * ready // owners) + adopted,
            max(2, config.items_max // owners) + adopted,
            config.bytes_max // owners,
            places,
        )

    # ------------------------------------------------------------ taking work

    def work(self, signal: Work) -> None:
        link = self.links.get(signal.link)
        if link is None:
            return
        number = signal.link
        attempts, refused = self._shared(signal) if self.local else (signal.attempts, ())
        if self.waiting:
            waiting = [a for a in attempts if a.demand.capability in self.waiting]
            if waiting:
                self._stand_in_line(waiting, number, self.places)
                attempts = [a for a in attempts if a.demand.capability not in self.waiting]
        self._stand_in_line(attempts, number, self.slots)
        if signal.attempts:
            was_idle = not link.outstanding
            link.outstanding += len(signal.attempts)
            if was_idle and len(self.links) > 1:
                self._grant(everyone=False)
        if refused:
            self.report(number, refused)
        if signal.cancels:
            fences = set(signal.cancels)
            cancelled = self.slots.cancel(number, fences) + self.places.cancel(number, fences)
            self._settle(number, cancelled)
        if signal.recall:
            self._give_back(self.slots, number, signal.recall)

    def _stand_in_line(self, attempts: Sequence[Attempt], link: int, kind: Slots) -> None:
        key, queue = self._next_key, kind.queue
        for attempt in attempts:
            queue.append(Item(key, link, attempt))
            key += 1
        self._next_key = key

    def _shared(self, signal: Work) -> tuple[Sequence[Attempt], Sequence[Outcome]]:
        """The attempts that may come on this link, and the ends of those that may not."""
        if signal.link == LOCAL:
            return signal.attempts, ()
        theirs = [a for a in signal.attempts if a.demand.capability not in self.local]
        ours = [a for a in signal.attempts if a.demand.capability in self.local]
        return theirs, [
            Outcome(a.no, a.attempt, Status.FAILED, None, NOT_SHARED, usage=UNUSED) for a in ours
        ]

    def feed(self, now: float) -> None:
        """Hand queued attempts to slots that have room, and to places."""
        if self.places.queue:
            self.places.feed(now)
        queue = self.slots.queue
        if not queue:
            return
        ready = [(n, s) for n, s in self.slots.all.items() if s.ready]
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
                self.slots.hand(number, batch, now)

    def _cost(self, attempt: Attempt) -> float:
        cost = self._costs.get(attempt.demand.capability)
        return cost.cautious_us if cost is not None else self._config.slot_budget_us

    def _kind(self, number: int) -> Slots:
        """Whether the number is of a slot or of a place."""
        return self.slots if number < self._config.slots else self.places

    # ------------------------------------------------------------ answering

    def ran(self, signal: Ran, now: float) -> None:
        kind = self._kind(signal.slot)
        outcomes: dict[int, list[Outcome]] = {}
        cuts: dict[int, list[Cut]] = {}
        items, costs = kind.all[signal.slot].items, self._costs
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
        kind.answered(signal.slot, now)
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
                self._grant(everyone=False)

    def spoke(self, signal: Spoke) -> None:
        item = self._kind(signal.slot).all[signal.slot].items.get(signal.key)
        if item is not None and not item.cancelled:
            attempt = item.attempt
            said = Said(attempt.no, attempt.attempt, signal.stderr, signal.text)
            self.out.append(Relay(item.link, [said]))

    # ------------------------------------------------------------ slots

    def slot_ready(self, number: int) -> None:
        self._kind(number).begin(number)
        self._grant()

    def slot_died(self, signal: SlotDied) -> None:
        """Only the attempt that ran is charged."""
        guilty = self._kind(signal.slot).died(signal)
        if guilty is not None:
            no, attempt = guilty.attempt.no, guilty.attempt.attempt
            outcome = Outcome(no, attempt, Status.FAILED, None, signal.failure, usage=signal.usage)
            self.report(guilty.link, [outcome])
        self._grant()

    def _wall_s(self, attempt: Attempt) -> float:
        demand = attempt.demand
        return (
            demand.limits.wall_s or self.walls_s.get(demand.capability, 0.0) or self._config.wall_s
        )

    @property
    def wake_at(self) -> float:
        return min(self.slots.wake_at, self.places.wake_at)

    def tick(self, now: float) -> None:
        self.slots.tick(now)
        self.places.tick(now)

    # ------------------------------------------------------------ giving up work

    def _give_back(self, kind: Slots, link: int, count: int) -> None:
        returned = kind.give_back(link, count)
        if returned:
            self.report(link, returned=returned)

    def drain(self) -> None:
        """Take nothing more; give back what has not started."""
        self.draining = True
        for kind in (self.slots, self.places):
            for link in list(self.links):
                self._give_back(kind, link, len(kind.queue))
        self._grant()

    def resume(self) -> None:
        self.draining = False
        self._grant()

    @property
    def slots_free(self) -> int:
        return sum(1 for s in self.slots.all.values() if s.ready and not s.items)

    @property
    def held(self) -> int:
        """Attempts in slots and places."""
        return self.slots.held + self.places.held

    @property
    def is_idle(self) -> bool:
        return self.slots.is_idle and self.places.is_idle
