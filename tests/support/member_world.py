"""A mesh of Membership machines in one process: a virtual clock, a network with delay, loss and cuts,
nodes that crash, fall silent, pause and leave. All chance comes from one seed."""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from nova_node.core.members import (
    LAN,
    AnswerProbe,
    AnswerSync,
    ConflictSeen,
    Fault,
    Introduced,
    MemberEffect,
    MembershipConfig,
    MemberSignal,
    MemberTick,
    Moved,
    ProbeAnswered,
    ProbeAsked,
    ProbeFailed,
    ProbeViaAsked,
    Refuse,
    SendProbe,
    SendProbeVia,
    SendSync,
    StreamBroken,
    SyncAnswered,
    SyncAsked,
    SyncFailed,
)
from nova_node.core.membership import Membership
from nova_node.core.model import Failure, Member, MemberState
from nova_node.core.signals import PeerSeen

MESH = "testmesh"
MEMBER_BYTES = 100
START = 1_700_000_000.0


def member(no: int, incarnation: int = 1) -> Member:
    """Ids are shuffled, so that their order says nothing about their numbers."""
    node = f"{zlib.crc32(str(no).encode()):08x}-{no}"
    return Member(node, f"node{no}", f"10.0.0.{no}:7000", incarnation, mesh=MESH)


@dataclass
class Call:
    """One request under way; the caller learns of its end exactly once."""

    caller: str
    started_at: float
    done: Callable[[MemberSignal | None], None]
    finish: Callable[[AnswerProbe | AnswerSync | Refuse, float], MemberSignal]


@dataclass
class Node:
    machine: Membership
    #: its clock minus the world's
    skew_s: float
    up: bool = True
    silent: bool = False
    busy_until: float = 0.0
    alarm: int = 0
    #: (world time, peer's id, state) of each change of state seen
    log: list[tuple[float, str, MemberState]] = field(default_factory=list[Any])
    sent: int = 0
    sent_bytes: int = 0
    states: dict[str, MemberState] = field(default_factory=dict[str, MemberState])
    conflicts: list[ConflictSeen] = field(default_factory=list[ConflictSeen])


class World:
    def __init__(
        self,
        seed: int,
        config: MembershipConfig = LAN,
        loss: float = 0.0,
        skew_s: float = 0.05,
        delay_s: tuple[float, float] = (0.0005, 0.003),
    ) -> None:
        self.rng = random.Random(seed)
        self.config = config
        self.loss = loss
        self.skew_s = skew_s
        self.delay_s = delay_s
        self.now = START
        self.nodes: dict[str, Node] = {}
        self.by_address: dict[str, str] = {}
        self.cut: Callable[[str, str], bool] = lambda source, target: False
        self.trace = 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    # -------------------------------------------------------- what a test does

    def add(self, me: Member) -> Node:
        skew_s = self.rng.uniform(-self.skew_s, self.skew_s)
        rng = random.Random(self.rng.random())
        node = Node(Membership(me, self.config, rng, self.now + skew_s), skew_s)
        self.nodes[me.node] = node
        self.by_address[me.address] = me.node
        self._set_alarm(me.node)
        return node

    def mesh(self, size: int) -> list[str]:
        """`size` nodes, each introduced to the first, settled."""
        ids = [member(no).node for no in range(size)]
        for no in range(size):
            self.add(member(no))
            if no:
                self.tell(ids[no], Introduced(member(0).address, pinned=True))
        self.run(8.0)
        assert self.agrees(), "the mesh did not form"
        return ids

    def tell(self, node: str, signal: MemberSignal) -> None:
        self._deliver(node, signal)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> float:
        """Let time pass; stops when `until` holds, asked every 10 ms. Returns the time passed."""
        begun, end = self.now, self.now + seconds
        while self.now < end and not (until is not None and until()):
            pause = end if until is None else min(end, self.now + 0.01)
            while self._agenda and self._agenda[0][0] <= pause:
                self.now, _, act = heapq.heappop(self._agenda)
                act()
            self.now = pause
        return self.now - begun

    def crash(self, node: str, streams: bool = True) -> None:
        """The process dies, its host lives: connections are refused, streams break."""
        self.nodes[node].up = False
        if streams:
            for other in self.running():
                self._later(self._delay(), lambda o=other: self._deliver(o, StreamBroken(node)))

    def silence(self, node: str) -> None:
        """The host is gone: what is sent to it vanishes."""
        self.nodes[node].up = False
        self.nodes[node].silent = True

    def move(self, node: str, address: str) -> None:
        """Its host has another address; nobody is at the old one."""
        del self.by_address[self.nodes[node].machine.me.address]
        self.by_address[address] = node
        self._deliver(node, Moved(address))

    def block(self, node: str, seconds: float) -> None:
        """The process gets no time; what reaches it waits."""
        self.nodes[node].busy_until = self.now + seconds

    def running(self) -> list[str]:
        return [name for name, node in self.nodes.items() if node.up]

    def sees(self, node: str, peer: str) -> MemberState | None:
        seen = self.nodes[node].machine.members.get(peer)
        return seen.member.state if seen else None

    def noticed(self, dead: str) -> list[float]:
        """World times at which the running nodes called it dead or departed, first time each."""
        times: list[float] = []
        for name in self.running():
            gone = [at for at, peer, state in self.nodes[name].log if peer == dead and state >= 2]
            times += gone[:1]
        return times

    def agrees(self, on: Iterable[str] | None = None) -> bool:
        """All running nodes see exactly the running nodes alive, with one record of each."""
        names = sorted(on if on is not None else self.running())
        own = {name: self.nodes[name].machine.me for name in names}
        for name in names:
            seen = {m.node: m for m in self.nodes[name].machine.alive()}
            if len(seen) != len(names) - 1:
                return False
            for peer, record in seen.items():
                if peer not in own or _place(own[peer]) != _place(record):
                    return False
        return True

    def deaths(self) -> list[tuple[float, str, str]]:
        """(seconds since the start, by whom, who) for each peer called dead."""
        return [
            (at - START, name, peer)
            for name, node in self.nodes.items()
            for at, peer, state in node.log
            if state is MemberState.DEAD
        ]

    def reset_costs(self) -> None:
        for node in self.nodes.values():
            node.sent = node.sent_bytes = 0

    # -------------------------------------------------------- how the world works

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), act))

    def _delay(self) -> float:
        return self.rng.uniform(*self.delay_s)

    def _set_alarm(self, name: str) -> None:
        node = self.nodes[name]
        node.alarm += 1
        alarm, wake_at = node.alarm, node.machine.wake_at - node.skew_s
        if wake_at == float("inf"):
            return

        def ring() -> None:
            if node.alarm == alarm:
                self._deliver(name, MemberTick())

        self._later(max(0.0, wake_at - self.now), ring)

    def _deliver(self, name: str, signal: MemberSignal) -> None:
        node = self.nodes[name]
        if not node.up:
            return
        if node.busy_until > self.now:
            self._later(node.busy_until - self.now, lambda: self._deliver(name, signal))
            return
        self.trace = zlib.crc32(f"{self.now} {name} {type(signal).__name__}".encode(), self.trace)
        self.perform(name, node.machine.handle(signal, self.now + node.skew_s))

    def perform(self, name: str, effects: list[MemberEffect]) -> None:
        for effect in effects:
            match effect:
                case SendProbe() | SendProbeVia() | SendSync():
                    self._call(name, effect)
                case AnswerProbe() | AnswerSync() | Refuse():
                    self._reply(name, effect)
                case PeerSeen(seen):
                    self._note(name, seen)
                case ConflictSeen():
                    self.nodes[name].conflicts.append(effect)
        self._set_alarm(name)

    def _note(self, name: str, seen: Member) -> None:
        node = self.nodes[name]
        if node.states.get(seen.node) != seen.state:
            node.states[seen.node] = seen.state
            node.log.append((self.now, seen.node, seen.state))

    def _charge(self, name: str, members: tuple[Member, ...]) -> None:
        node = self.nodes[name]
        node.sent += 1
        node.sent_bytes += MEMBER_BYTES * len(members)

    def _call(self, name: str, ask: SendProbe | SendProbeVia | SendSync) -> None:
        node = self.nodes[name]
        ended = False

        def done(signal: MemberSignal | None) -> None:
            nonlocal ended
            if not ended and signal is not None:
                ended = True
                self._deliver(name, signal)

        if isinstance(ask, SendSync):
            self._charge(name, ask.members)
            finish, failed, address = _finish_sync(ask.key), SyncFailed(ask.key), ask.address
        else:
            self._charge(name, ask.gossip)
            finish, failed = _finish_probe(ask.key), ProbeFailed(ask.key)
            address = ask.address if isinstance(ask, SendProbe) else ask.via_address
        call = Call(name, self.now, done, finish)
        self._later(ask.timeout_s, lambda: done(failed))
        target = self.by_address.get(address)
        if target is None or self._lost(name, target):
            return
        request = _request(ask, call, node.machine.me)
        self._later(self._delay(), lambda: self._arrive(target, request, call, ask, failed))

    def _arrive(
        self,
        target: str,
        request: MemberSignal,
        call: Call,
        ask: SendProbe | SendProbeVia | SendSync,
        failed: MemberSignal,
    ) -> None:
        node = self.nodes[target]
        if node.up and node.busy_until > self.now:
            if node.busy_until <= call.started_at + ask.timeout_s:
                self._later(
                    node.busy_until - self.now,
                    lambda: self._arrive(target, request, call, ask, failed),
                )
        elif node.up:
            self._deliver(target, request)
        elif not node.silent:
            gone = ProbeFailed(ask.key, Fault.GONE) if isinstance(ask, SendProbe) else failed
            self._later(self._delay(), lambda: call.done(gone))

    def _reply(self, name: str, answer: AnswerProbe | AnswerSync | Refuse) -> None:
        call: Call = answer.token
        if isinstance(answer, AnswerProbe):
            self._charge(name, answer.gossip)
        elif isinstance(answer, AnswerSync):
            self._charge(name, answer.members)
        else:
            self._charge(name, ())
        if self._lost(name, call.caller):
            return
        delay_s = self._delay()
        signal = call.finish(answer, self.now + delay_s - call.started_at)
        self._later(delay_s, lambda: call.done(signal))

    def _lost(self, source: str, target: str) -> bool:
        return (self.loss > 0 and self.rng.random() < self.loss) or self.cut(source, target)


def _place(member: Member) -> tuple[str, int]:
    return member.address, member.incarnation


def _request(ask: SendProbe | SendProbeVia | SendSync, call: Call, me: Member) -> MemberSignal:
    match ask:
        case SendProbe(_, node, _, gossip, _):
            return ProbeAsked(call, me.mesh, me.node, node, gossip)
        case SendProbeVia(_, _, _, target, address, gossip, timeout_s):
            return ProbeViaAsked(call, me.mesh, me.node, target, gossip, address, timeout_s)
        case SendSync():
            return SyncAsked(call, me.mesh, me, ask.members[1:])


def _finish_probe(key: int) -> Callable[[Any, float], MemberSignal]:
    def finish(answer: AnswerProbe | Refuse, rtt_s: float) -> MemberSignal:
        if isinstance(answer, AnswerProbe):
            return ProbeAnswered(key, answer.gossip, rtt_s)
        return ProbeFailed(key, fault_of(answer.failure))

    return finish


def _finish_sync(key: int) -> Callable[[Any, float], MemberSignal]:
    def finish(answer: AnswerSync | Refuse, rtt_s: float) -> MemberSignal:
        if isinstance(answer, AnswerSync):
            return SyncAnswered(key, answer.members)
        return SyncFailed(key, answer.failure.code, answer.failure.message)

    return finish


def fault_of(failure: Failure) -> Fault:
    return Fault(failure.code) if failure.code in set(Fault) else Fault.SILENT
