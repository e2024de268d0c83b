"""When whole tables are exchanged, and with whom.

With an address somebody gave, to get in; with a random peer now and then, to find what gossip left
behind; and with one of the dead, which heals a partition without a restart.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nova_node.core.introductions import Introductions
from nova_node.core.members import SELF, MemberEffect, MembershipConfig, SendSync
from nova_node.core.model import Member
from nova_node.core.roster import Roster

Table = Callable[[], tuple[Member, ...]]
"""All members, this node first."""


class SyncFlight(NamedTuple):
    address: str
    ends_at: float


class Syncer:
    """Bounded: one reconnect and one periodic sync at a time, a few introductions."""

    def __init__(
        self,
        config: MembershipConfig,
        roster: Roster,
        table: Table,
        rng: random.Random,
        out: list[MemberEffect],
        keys: Iterator[int],
        now: float,
    ) -> None:
        self._config = config
        self._roster = roster
        self._table = table
        self._rng = rng
        self._out = out
        self._keys = keys
        self._introductions = Introductions(config, rng)
        self._flights: dict[int, SyncFlight] = {}
        self._next_reconnect_at = now
        self._next_sync_at = now + self._pause_s()

    @property
    def next_at(self) -> float:
        return min(
            self._next_sync_at,
            self._next_reconnect_at if self._roster.dead else math.inf,
            self._introductions.next_at,
            min((f.ends_at for f in self._flights.values()), default=math.inf),
        )

    def introduce(self, address: str, pinned: bool, now: float) -> None:
        if pinned or not self._roster.at(address):
            self._introductions.add(address, pinned, now)

    def answered(self, key: int, node: str) -> None:
        flight = self._flights.pop(key, None)
        if flight is not None:
            self._introductions.reached(flight.address, node)

    def failed(self, key: int, code: str, now: float) -> str:
        """The address that was tried; "" when the failure comes too late."""
        flight = self._flights.pop(key, None)
        if flight is None:
            return ""
        if code == SELF:
            self._introductions.forget(flight.address)
        else:
            self._introductions.failed(flight.address, now)
        return flight.address

    def lost(self, node: str, now: float) -> None:
        self._introductions.lost(node, now)

    def soon(self, now: float) -> None:
        """A partition healed: compare tables again once gossip has done its part."""
        self._next_sync_at = min(self._next_sync_at, now + self._rng.uniform(1.0, 3.0))

    def run_due(self, now: float) -> None:
        for key, flight in list(self._flights.items()):
            if now >= flight.ends_at:
                self.failed(key, "", now)
        while (address := self._introductions.take(now)) is not None:
            if node := self._roster.at(address):
                self._introductions.reached(address, node)
            else:
                self._sync("", address, now)
        if now >= self._next_sync_at:
            self._next_sync_at = now + self._pause_s()
            if peers := self._roster.alive():
                peer = self._rng.choice(peers)
                self._sync(peer.node, peer.address, now)
        if self._roster.dead and now >= self._next_reconnect_at:
            self._next_reconnect_at = now + self._config.reconnect_s * self._rng.uniform(0.75, 1.25)
            node = self._rng.choice(list(self._roster.dead))
            self._sync(node, self._roster.peers[node].member.address, now)

    def _pause_s(self) -> float:
        return self._config.sync_s * self._rng.uniform(0.75, 1.5)

    def _sync(self, node: str, address: str, now: float) -> None:
        key = next(self._keys)
        timeout_s = self._config.sync_timeout_s
        self._flights[key] = SyncFlight(address, now + timeout_s)
        self._out.append(SendSync(key, node, address, self._table(), timeout_s))
