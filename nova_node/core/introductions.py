"""Addresses where a node may be, and when to try each again.

An introduction is only a hint: it is forgotten when it leads nowhere, unless it is pinned.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from nova_node.core.members import MembershipConfig

UNDER_WAY_MAX = 4


@dataclass(slots=True)
class Introduction:
    pinned: bool
    #: infinite while it is being tried, or while the node it led to is there
    next_at: float
    failures: int = 0
    #: id of the node that it led to
    node: str = ""
    under_way: bool = False


class Introductions:
    def __init__(self, config: MembershipConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._known: dict[str, Introduction] = {}

    def __contains__(self, address: str) -> bool:
        return address in self._known

    @property
    def next_at(self) -> float:
        if self._under_way >= UNDER_WAY_MAX:
            return math.inf
        return min((i.next_at for i in self._known.values()), default=math.inf)

    def add(self, address: str, pinned: bool, now: float) -> None:
        """The first half of the room is for any, the second for pinned ones only."""
        known = self._known.get(address)
        room = self._config.max_introductions // (1 if pinned else 2)
        if known is not None:
            known.pinned |= pinned
        elif len(self._known) < room:
            self._known[address] = Introduction(pinned, next_at=now)

    def take(self, now: float) -> str | None:
        """An address to try now, if any; to be followed by `reached`, `failed` or `forget`."""
        if self._under_way >= UNDER_WAY_MAX:
            return None
        for address, known in self._known.items():
            if known.next_at <= now:
                known.next_at = math.inf
                known.under_way = True
                return address
        return None

    def reached(self, address: str, node: str) -> None:
        known = self._known.get(address)
        if known is None:
            return
        if not known.pinned:
            del self._known[address]
            return
        known.node, known.failures = node, 0
        known.next_at, known.under_way = math.inf, False

    def failed(self, address: str, now: float) -> None:
        known = self._known.get(address)
        if known is None:
            return
        known.failures += 1
        known.under_way = False
        if not known.pinned and known.failures >= self._config.max_retries:
            del self._known[address]
            return
        doubled = self._config.retry_s * 2.0 ** min(known.failures - 1, 16)
        wait_s = min(self._config.retry_max_s, doubled)
        known.next_at = now + wait_s * self._rng.uniform(0.5, 1.0)

    def forget(self, address: str) -> None:
        self._known.pop(address, None)

    def lost(self, node: str, now: float) -> None:
        """A node is no longer there: the pinned addresses that led to it are tried again."""
        for known in self._known.values():
            if known.node == node:
                known.node = ""
                known.next_at = now + self._config.retry_s

    @property
    def _under_way(self) -> int:
        return sum(i.under_way for i in self._known.values())
