"""Who is in the mesh, by this node's own judgement: SWIM with Lifeguard over request and reply.

`handle(signal, now) -> effects`; to be called at `wake_at` with MemberTick at the latest. Membership
says "probably dead"; it decides nothing about tasks. Time is the receiver's own, never a peer's.

How it works: `probing` asks, `suspicion` waits, `roster` weighs records, `gossip` picks what to tell,
`syncing` exchanges whole tables, `admission` refuses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from nova_node.core.admission import Admission
from nova_node.core.gossip import Gossip, matters
from nova_node.core.members import (
    ID_TAKEN,
    OTHER_MESH,
    AnswerProbe,
    AnswerSync,
    Conflict,
    Fault,
    Introduced,
    LagMeasured,
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
    Stranger,
    StreamBroken,
    SyncAnswered,
    SyncAsked,
    SyncFailed,
)
from nova_node.core.model import Digest, Failure, Member, MemberState
from nova_node.core.probing import Prober, Purpose, Silence, target_of
from nova_node.core.roster import HERE, Roster, Seen, Verdict
from nova_node.core.signals import PeerSeen
from nova_node.core.suspicion import Suspicions
from nova_node.core.syncing import Syncer

FAREWELLS_MAX = 8
"""Peers told directly when a node leaves; they tell the others."""


class Membership:
    def __init__(
        self, me: Member, config: MembershipConfig, rng: random.Random, now: float
    ) -> None:
        self.me = me
        #: when the next MemberTick is wanted
        self.wake_at = now
        self._config = config
        self._rng = rng
        self._out: list[MemberEffect] = []
        self._roster = Roster(me.node, config)
        self._gossip = Gossip(config, self._roster)
        self._prober = Prober(config, self._roster, self._words, rng, self._out)
        self._suspicions = Suspicions(config)
        self._admission = Admission(me, self._out)
        self._syncer = Syncer(
            config, self._roster, self._table, rng, self._out, self._prober.keys, now
        )
        #: where another process claims to be this node, and what we answered to it
        self._double: tuple[str, int] = ("", -1)
        self._started = False
        self._next_probe_at = now
        self._next_push_at = now

    # ------------------------------------------------------------ what the node asks

    @property
    def members(self) -> Mapping[str, Seen]:
        """All peers by id, the dead and the departed included until they are forgotten."""
        return MappingProxyType(self._roster.peers)

    def alive(self) -> list[Member]:
        return self._roster.alive()

    @property
    def strangers(self) -> Mapping[str, Stranger]:
        """By address: nodes refused by this one, or refusing it."""
        return MappingProxyType(self._admission.strangers)

    @property
    def conflicts(self) -> Mapping[str, Conflict]:
        """By node id, this node's own included."""
        return MappingProxyType(self._admission.conflicts)

    @property
    def isolated(self) -> bool:
        """More than half of the mesh is dead to it: most likely it is this node that is cut off."""
        return len(self._roster.dead) > len(self._roster.ring)

    @property
    def awareness(self) -> int:
        """0: this node trusts its own judgement; up to 7: it is late or lonely."""
        return self._prober.awareness.score

    def set_digest(self, digest: Digest, now: float) -> list[MemberEffect]:
        """Each message carries the speaker's digest, so only a change that peers act on is news."""
        old = self.me.digest
        if digest == old:
            return []
        self.me = self.me._replace(digest=digest, digest_seq=self.me.digest_seq + 1)
        self._gossip.add(self.me.node, news=matters(old, digest))
        return self._settle(now)

    def leave(self, now: float) -> list[MemberEffect]:
        """Announce LEFT. From here on this node only answers."""
        self.me = self.me._replace(state=MemberState.LEFT)
        self._prober.void()
        peers = [m.node for m in self._roster.alive()]
        for node in self._rng.sample(peers, min(FAREWELLS_MAX, len(peers))):
            self._prober.tell(node, now)
        return self._settle(now)

    # ------------------------------------------------------------ what reached it

    def handle(self, signal: MemberSignal, now: float) -> list[MemberEffect]:
        self._excuse_own_lag(now)
        match signal:
            case MemberTick():
                pass
            case Introduced():
                self._introduce(signal, now)
            case Moved():
                self._move(signal.address)
            case ProbeAsked():
                self._answer_probe(signal, now)
            case ProbeViaAsked():
                self._answer_probe_via(signal, now)
            case ProbeAnswered():
                self._probe_answered(signal, now)
            case ProbeFailed():
                self._probe_failed(signal, now)
            case SyncAsked():
                self._answer_sync(signal, now)
            case SyncAnswered():
                self._sync_answered(signal, now)
            case SyncFailed():
                self._sync_failed(signal, now)
            case StreamBroken():
                if self._roster.is_here(signal.node) and not self._left:
                    self._prober.start(signal.node, now)
            case LagMeasured():
                self._prober.awareness.lagged(signal.lag_s, self._config.probe_timeout_s / 2)
        return self._settle(now)

    def _introduce(self, hint: Introduced, now: float) -> None:
        if hint.mesh and hint.mesh != self.me.mesh:
            why = f"belongs to mesh {hint.mesh}"
            self._admission.note_stranger(hint.address, "", why, now)
        elif hint.address != self.me.address:
            self._syncer.introduce(hint.address, hint.pinned, now)

    def _move(self, address: str) -> None:
        me = self.me
        if address == me.address or self._left:
            return
        self.me = self._admission.me = me._replace(address=address, incarnation=me.incarnation + 1)
        self._gossip.add(me.node, news=True)

    def _answer_probe(self, asked: ProbeAsked, now: float) -> None:
        if not self._admits(asked.token, asked.mesh, asked.sender, asked.gossip, now):
            return
        if asked.target != self.me.node:
            words = f"node {asked.target} is not here, this is {self.me.node}"
            self._out.append(Refuse(asked.token, Failure(Fault.GONE, words)))
            return
        self._listen(asked.gossip, asked.sender, now)
        words = self._words(asked.sender, told=asked.gossip)
        self._out.append(AnswerProbe(asked.token, words))

    def _answer_probe_via(self, asked: ProbeViaAsked, now: float) -> None:
        if not self._admits(asked.token, asked.mesh, asked.sender, asked.gossip, now):
            return
        self._listen(asked.gossip, asked.sender, now)
        if asked.target == self.me.node:
            self._out.append(AnswerProbe(asked.token, self._words(asked.sender)))
        else:
            self._prober.relay(asked, now)

    def _probe_answered(self, answer: ProbeAnswered, now: float) -> None:
        flight = self._prober.claim(answer.key)
        self._listen(answer.gossip, flight.asked if flight else "", now)
        if flight is None:
            return
        if flight.purpose is not Purpose.VIA:
            self._roster.touch(flight.asked, now, answer.rtt_s)
        self._prober.answered(flight)

    def _probe_failed(self, failed: ProbeFailed, now: float) -> None:
        flight = self._prober.claim(failed.key)
        if flight is None:
            return
        silence = self._prober.failed(failed.key, flight, failed.fault, now)
        if silence is not None:
            self._suspect(silence, now)

    def _answer_sync(self, asked: SyncAsked, now: float) -> None:
        sender = asked.sender
        if self._admits(asked.token, asked.mesh, sender.node, (sender,), now):
            self._listen((sender,), sender.node, now)
            self._listen(asked.members, sender.node, now, by_sync=True)
            self._out.append(AnswerSync(asked.token, self._table()))

    def _sync_answered(self, answer: SyncAnswered, now: float) -> None:
        speaker = answer.members[0] if answer.members else None
        if speaker is None or speaker.mesh != self.me.mesh:
            self._sync_failed(SyncFailed(answer.key, OTHER_MESH, "answers for another mesh"), now)
            return
        self._listen(answer.members, speaker.node, now, by_sync=True)
        self._syncer.answered(answer.key, speaker.node)

    def _sync_failed(self, failed: SyncFailed, now: float) -> None:
        address = self._syncer.failed(failed.key, failed.code, now)
        if address and failed.code == OTHER_MESH:
            self._admission.note_stranger(address, "", failed.why, now)
        elif address and failed.code == ID_TAKEN:
            self._admission.note_double(address, now)

    def _admits(
        self, token: object, mesh: str, sender: str, gossip: tuple[Member, ...], now: float
    ) -> bool:
        address = gossip[0].address if gossip else ""
        failure = self._admission.refusal(mesh, sender, address, now)
        if failure is not None:
            self._out.append(Refuse(token, failure))
        return failure is None

    # ------------------------------------------------------------ weighing what is said

    def _listen(
        self, members: Iterable[Member], speaker: str, now: float, by_sync: bool = False
    ) -> None:
        if self._left:
            return
        bound = self._config.max_members if by_sync else self._config.max_gossip
        for heard, _ in zip(members, range(bound + 1), strict=False):
            if heard.node == self.me.node:
                self._hear_of_me(heard, now)
            elif heard.mesh == self.me.mesh:
                self._hear(heard, heard.node == speaker, now, by_sync)

    def _hear(self, heard: Member, first_hand: bool, now: float, by_sync: bool) -> None:
        before = self._roster.member(heard.node)
        verdict = self._roster.hear(heard, now, first_hand, by_sync)
        if verdict is Verdict.ADOPT:
            self._changed(heard.node, now)
        elif verdict is Verdict.REFRESH:
            after = self._roster.peers[heard.node].member
            self._gossip.add(heard.node, before is None or matters(before.digest, after.digest))
            self._out.append(PeerSeen(after))
        elif verdict is Verdict.CHECK:
            self._prober.tell(heard.node, now)
            self._syncer.soon(now)
        while self._roster.conflicts:
            self._admission.note_conflict(self._roster.conflicts.pop())

    def _hear_of_me(self, heard: Member, now: float) -> None:
        """Refute what is not so, with an incarnation above it."""
        me = self.me
        if not 0 <= heard.incarnation - me.incarnation <= self._config.max_own_jump:
            return
        if heard.state is MemberState.ALIVE and heard.address != me.address:
            address, answered = self._double
            if address == heard.address and heard.incarnation > answered:
                self._admission.note_double(address, now)
            if me.node in self._admission.conflicts:
                return  # two that outbid each other would never end
            self._double = (heard.address, heard.incarnation + 1)
        elif heard.state is MemberState.ALIVE and (heard.incarnation, heard.digest_seq) <= (
            me.incarnation,
            me.digest_seq,
        ):
            return
        elif heard.state is not MemberState.ALIVE:
            self._prober.awareness.worsen()
        self.me = me._replace(incarnation=heard.incarnation + 1)
        self._gossip.add(me.node, news=True)

    def _changed(self, node: str, now: float) -> None:
        """A peer is new, or its state, incarnation or address changed."""
        member = self._roster.peers[node].member
        if member.state is MemberState.SUSPECT:
            self._suspicions.begin(node, member.incarnation, len(self._roster.ring), now)
        else:
            self._suspicions.end(node)
        if member.state not in HERE:
            self._prober.drop(node)
            self._syncer.lost(node, now)
        self._gossip.add(node, news=True)
        self._out.append(PeerSeen(member))

    def _suspect(self, silence: Silence, now: float) -> None:
        node, confirmed, gone = silence
        if not self._roster.is_here(node):
            return
        if self._roster.peers[node].member.state is MemberState.ALIVE:
            self._roster.set_state(node, MemberState.SUSPECT, now)
            self._changed(node, now)
        if self._suspicions.confirm(node, confirmed, gone, len(self._roster.ring)):
            self._bury(node, now)

    def _bury(self, node: str, now: float) -> None:
        self._roster.set_state(node, MemberState.DEAD, now)
        self._changed(node, now)

    # ------------------------------------------------------------ what time brings

    def _settle(self, now: float) -> list[MemberEffect]:
        self._started = True
        if self._left:
            self.wake_at = math.inf
        else:
            self._run_due(now)
            self.wake_at = self._next_wake()
        effects = self._out.copy()
        self._out.clear()
        return effects

    def _run_due(self, now: float) -> None:
        for silence in self._prober.due(now):
            self._suspect(silence, now)
        verdicts = self._suspicions.due(now)
        for node in verdicts.ask:
            self._prober.start(node, now, at_once=True)
        for node in verdicts.bury:
            self._bury(node, now)
        if now >= self._next_probe_at:
            self._probe_next(now)
        self._syncer.run_due(now)
        if self._gossip.has_news and now >= self._next_push_at:
            self._push(now)

    def _next_wake(self) -> float:
        return min(
            self._next_probe_at,
            self._next_push_at if self._gossip.has_news else math.inf,
            self._syncer.next_at,
            self._prober.next_at,
            self._suspicions.next_at,
        )

    def _probe_next(self, now: float) -> None:
        """Slots begin at multiples of `probe_s` on every clock; a node late itself skips some."""
        slot = math.floor(now / self._config.probe_s + 1e-3)
        self._next_probe_at = (slot + self._prober.awareness.multiplier) * self._config.probe_s
        self._prober.sweep(now)
        for node in self._roster.expire(now):
            self._gossip.drop(node)
            self._syncer.lost(node, now)
        target = target_of(self._roster.ring, self.me.node, slot)
        if target is None:
            self._prober.awareness.improve()
        else:
            self._prober.start(target, now)

    def _push(self, now: float) -> None:
        self._next_push_at = now + self._config.gossip_s
        peers = [node for node in self._roster.ring if node != self.me.node]
        if not peers:
            self._gossip.clear()
        for node in self._rng.sample(peers, min(self._config.gossip_fanout, len(peers))):
            self._prober.tell(node, now)

    def _excuse_own_lag(self, now: float) -> None:
        """Whoever slept through its own alarm also slept through the answers of others."""
        late_s = now - self.wake_at
        tolerable_s = self._config.probe_timeout_s / 2
        if not self._started or late_s < tolerable_s:
            return
        self._prober.awareness.lagged(late_s, tolerable_s)
        self._prober.void()
        self._suspicions.postpone(late_s)

    # ------------------------------------------------------------ what to say

    def _words(
        self, listener: str, subject: str = "", told: tuple[Member, ...] = ()
    ) -> tuple[Member, ...]:
        return self._gossip.words(self.me, listener, subject, told)

    def _table(self) -> tuple[Member, ...]:
        return (self.me, *(seen.member for seen in self._roster.peers.values()))

    @property
    def _left(self) -> bool:
        return self.me.state is MemberState.LEFT
