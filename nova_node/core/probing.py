"""The probes under way, and what their failure says.

In every slot of time each node probes the one that stands `slot` places after it in the ring of
all ids. Where clocks agree, each node is so probed exactly once a slot, by another peer each time;
where they do not, about once. A round is one probed node: asked directly, and when it is silent for
`hedge_s` through `indirect` peers; any answer ends it well.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import Any, NamedTuple

from nova_node.core.awareness import Awareness
from nova_node.core.members import (
    AnswerProbe,
    Fault,
    MemberEffect,
    MembershipConfig,
    ProbeViaAsked,
    Refuse,
    SendProbe,
    SendProbeVia,
)
from nova_node.core.model import Failure, Member
from nova_node.core.roster import Roster

RELAY_SHARE = 0.8
"""Of the asker's time is the relay's, so that its "no answer" still arrives."""

Words = Callable[[str, str], tuple[Member, ...]]
"""What to tell this node now, and of which other node in any case ("": none); the speaker first."""


class Purpose(Enum):
    DIRECT = auto()
    VIA = auto()
    #: carries gossip, or checks a claim; nothing follows from its failure
    TELL = auto()
    #: on behalf of a peer
    RELAY = auto()


class Flight(NamedTuple):
    """One probe on its way."""

    purpose: Purpose
    asked: str
    target: str
    ends_at: float
    token: Any = None


class Silence(NamedTuple):
    """A round ended without an answer."""

    node: str
    #: peers that got no answer either
    confirmed: int
    #: its host says that nothing listens there, and nobody contradicts
    gone: bool


@dataclass(slots=True)
class Round:
    node: str
    #: when others are asked to probe it, unless they were
    ask_at: float
    ends_at: float
    pending: set[int] = field(default_factory=set[int])
    vias: int = 0
    #: vias that answered that they cannot reach it either
    confirmed: int = 0
    #: faults of each kind, whoever found them
    gone: int = 0
    unreached: int = 0


def target_of(ring: Sequence[str], me: str, slot: int) -> str | None:
    """Whom `me` probes in this slot; `ring` is sorted and holds `me`."""
    others = len(ring) - 1
    if others < 1:
        return None
    place = bisect.bisect_left(ring, me)
    return ring[(place + 1 + slot % others) % (others + 1)]


class Prober:
    """Bounded: one round for each node, one flight for each ask of it, `max_relays` relays."""

    def __init__(
        self,
        config: MembershipConfig,
        roster: Roster,
        words: Words,
        rng: random.Random,
        out: list[MemberEffect],
    ) -> None:
        self._config = config
        self._roster = roster
        self._words = words
        self._rng = rng
        self._out = out
        self._rounds: dict[str, Round] = {}
        self._flights: dict[int, Flight] = {}
        self._relays = 0
        self.keys = count(1)
        self.awareness = Awareness()

    @property
    def next_at(self) -> float:
        return min((min(r.ask_at, r.ends_at) for r in self._rounds.values()), default=math.inf)

    def start(self, node: str, now: float, at_once: bool = False) -> None:
        """Begin a round unless one is under way. `at_once`: begin anew, ask the others now too."""
        member = self._roster.member(node)
        if member is None or (node in self._rounds and not at_once):
            return
        self.drop(node)
        ask_at = now + self._config.hedge_s * self.awareness.multiplier
        round = self._rounds[node] = Round(node, ask_at, ends_at=now + self._longest_s)
        key = self._send(Purpose.DIRECT, member.address, node, self._longest_s, now)
        round.pending.add(key)
        if at_once:
            self._ask_others(round, now)

    def tell(self, node: str, now: float) -> None:
        """Probe without a round."""
        address = self._roster.peers[node].member.address
        self._send(Purpose.TELL, address, node, self._longest_s, now)

    def relay(self, asked: ProbeViaAsked, now: float) -> None:
        if self._relays >= self._config.max_relays:
            busy = Failure(Fault.SILENT, "too many probes for others are under way", retryable=True)
            self._out.append(Refuse(asked.token, busy))
            return
        self._relays += 1
        known = self._roster.member(asked.target)
        address = known.address if known else asked.address
        timeout_s = min(asked.timeout_s * RELAY_SHARE, self._longest_s)
        self._send(
            Purpose.RELAY, address, asked.target, timeout_s, now, (asked.token, asked.sender)
        )

    def claim(self, key: int) -> Flight | None:
        """The flight that an answer or a failure belongs to; None when it comes too late."""
        flight = self._flights.pop(key, None)
        if flight is not None and flight.purpose is Purpose.RELAY:
            self._relays -= 1
        return flight

    def answered(self, flight: Flight) -> None:
        """To be called when the gossip of the answer was heard."""
        match flight.purpose:
            case Purpose.DIRECT | Purpose.VIA:
                if self.drop(flight.target):
                    self.awareness.improve()
            case Purpose.RELAY:
                token, sender = flight.token
                self._out.append(AnswerProbe(token, self._words(sender, flight.target)))
            case Purpose.TELL:
                pass

    def failed(self, key: int, flight: Flight, fault: Fault, now: float) -> Silence | None:
        round = self._rounds.get(flight.target)
        match flight.purpose:
            case Purpose.RELAY:
                self._refuse_relay(flight, fault)
                return None
            case Purpose.TELL:
                return None
            case Purpose.DIRECT | Purpose.VIA:
                if round is None or key not in round.pending:
                    return None
        round.pending.discard(key)
        round.gone += fault is Fault.GONE
        round.unreached += fault is Fault.UNREACHED
        if flight.purpose is Purpose.DIRECT:
            self._ask_others(round, now)
        elif fault is not Fault.SILENT:
            round.confirmed += 1
        return None if round.pending else self._end(round)

    def due(self, now: float) -> list[Silence]:
        """Go on with the rounds whose time has come."""
        silences: list[Silence] = []
        for round in list(self._rounds.values()):
            if now >= round.ends_at:
                silences.append(self._end(round))
            elif now >= round.ask_at:
                self._ask_others(round, now)
        return silences

    def sweep(self, now: float) -> None:
        """Forget flights that the adapter never answered."""
        for key, flight in list(self._flights.items()):
            if now > flight.ends_at + 1.0:
                self.claim(key)
                if flight.purpose is Purpose.RELAY:
                    self._refuse_relay(flight, Fault.UNREACHED)

    def drop(self, node: str) -> bool:
        """End the round of this node without a finding."""
        round = self._rounds.pop(node, None)
        if round is None:
            return False
        for key in round.pending:
            self._flights.pop(key, None)
        return True

    def void(self) -> None:
        """This node slept: the probes under way prove nothing."""
        for node in list(self._rounds):
            self.drop(node)

    @property
    def _longest_s(self) -> float:
        patience_s = self._config.hedge_s + self._config.probe_timeout_s
        return patience_s * self.awareness.multiplier

    def _ask_others(self, round: Round, now: float) -> None:
        round.ask_at = math.inf
        target = self._roster.member(round.node)
        if round.vias or target is None:
            return
        others = [m for m in self._roster.alive() if m.node != round.node]
        timeout_s = round.ends_at - now
        for via in self._rng.sample(others, min(self._config.indirect, len(others))):
            key = next(self.keys)
            self._flights[key] = Flight(Purpose.VIA, via.node, round.node, round.ends_at)
            round.pending.add(key)
            round.vias += 1
            # The relay tells the suspect that it is one, so it must hear so itself.
            words = self._words(via.node, round.node)
            self._out.append(
                SendProbeVia(
                    key, via.node, via.address, round.node, target.address, words, timeout_s
                )
            )

    def _end(self, round: Round) -> Silence:
        self.drop(round.node)
        self.awareness.worsen(round.vias - round.confirmed if round.vias else 1)
        return Silence(round.node, round.confirmed, round.gone > 0 and round.unreached == 0)

    def _send(
        self,
        purpose: Purpose,
        address: str,
        node: str,
        timeout_s: float,
        now: float,
        token: Any = None,
    ) -> int:
        key = next(self.keys)
        self._flights[key] = Flight(purpose, node, node, now + timeout_s, token)
        self._out.append(SendProbe(key, node, address, self._words(node, ""), timeout_s))
        return key

    def _refuse_relay(self, flight: Flight, fault: Fault) -> None:
        answer = Fault.GONE if fault is Fault.GONE else Fault.UNREACHED
        failure = Failure(answer, f"no answer from node {flight.target}", retryable=True)
        self._out.append(Refuse(flight.token[0], failure))
