"""Bugs about money and places to plant in the core: the simulator must find every one of them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nova_node.core.effects import Assign
from nova_node.core.model import UNUSED, Attempt, Outcome
from nova_node.core.owner import OWNER_DIED
from nova_node.core.placement import Worker as Peer
from nova_node.core.places import Places
from nova_node.core.purse import Purse
from nova_node.core.signals import SlotDied
from nova_node.core.slots import Slots
from nova_node.core.spending import Spending
from nova_node.core.tasks import Task

Patch = pytest.MonkeyPatch
Settle = Callable[[Purse, Outcome], None]

MONEY_BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    MONEY_BUGS[plant.__name__] = plant
    return plant


@bug
def send_before_the_reservation_is_on_disk(patch: Patch) -> None:
    def hasty(self: Spending, node: str, attempts: list[Attempt]) -> None:
        self._books.out.append(Assign(node, attempts))

    patch.setattr(Spending, "hold", hasty)


@bug
def charge_nothing_for_the_lost(patch: Patch) -> None:
    def used(self: Spending, task: Task) -> Any:
        return UNUSED

    patch.setattr(Spending, "used", used)


@bug
def charge_nothing_for_what_was_out_at_a_crash(patch: Patch) -> None:
    settle: Settle = Purse.settle

    def forgetful(self: Purse, outcome: Outcome) -> None:
        settle(self, outcome._replace(usage=UNUSED) if outcome.failure == OWNER_DIED else outcome)

    patch.setattr(Purse, "settle", forgetful)


@bug
def charge_nothing_for_the_silent(patch: Patch) -> None:
    settle: Settle = Purse.settle

    def trusting(self: Purse, outcome: Outcome) -> None:
        settle(self, outcome if outcome.usage is not None else outcome._replace(usage=UNUSED))

    patch.setattr(Purse, "settle", trusting)


@bug
def spend_what_is_reserved(patch: Patch) -> None:
    def fits(self: Purse, allowance_uusd: int) -> int:
        return max(0, self.limit_uusd - self.spent_uusd) // allowance_uusd

    patch.setattr(Purse, "fits", fits)


@bug
def keep_the_money_of_attempts_that_came_back(patch: Patch) -> None:
    settle: Settle = Purse.settle

    def greedy(self: Purse, outcome: Outcome) -> None:
        if outcome.failure is None or outcome.failure.code != "lost":
            settle(self, outcome)

    patch.setattr(Purse, "settle", greedy)


@bug
def put_two_into_a_place(patch: Patch) -> None:
    def feed(self: Places, now: float) -> None:
        while self.queue and self._free:
            number, _ = self._free.popitem()
            items = [self.queue.popleft() for _ in range(min(2, len(self.queue)))]
            self.hand(number, items, now)

    patch.setattr(Places, "feed", feed)


@bug
def count_attempts_that_wait_as_others(patch: Patch) -> None:
    disown: Callable[[Peer], list[Task]] = Peer.disown

    def careless(self: Peer) -> list[Task]:
        waiting = self.owed_waiting
        owed = disown(self)
        self.owed_waiting = waiting
        return owed

    patch.setattr(Peer, "disown", careless)


@bug
def lose_a_place_that_was_killed(patch: Patch) -> None:
    died: Callable[[Places, SlotDied], Any] = Places.died

    def careless(self: Places, signal: SlotDied) -> Any:
        item = died(self, signal)
        self._free[signal.slot] = None
        return item

    patch.setattr(Places, "died", careless)
    patch.setattr(Places, "begin", Slots.begin)
