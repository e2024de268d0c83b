"""One membership machine, spoken to by hand."""

from __future__ import annotations

import math
import random
from typing import TypeVar

from support.member_world import MESH, member

from nova_node.core.admission import skew
from nova_node.core.members import (
    ID_TAKEN,
    LAN,
    OTHER_MESH,
    SELF,
    AnswerProbe,
    AnswerSync,
    ConflictSeen,
    Fault,
    Introduced,
    LagMeasured,
    MemberEffect,
    MembershipConfig,
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
from nova_node.core.model import Digest, Member, MemberState
from nova_node.core.signals import PeerSeen

ALIVE, SUSPECT, DEAD, LEFT = MemberState
T0 = 1000.0
ME = member(0)
OTHERS = [member(no) for no in range(1, 6)]

E = TypeVar("E", bound=MemberEffect)


def only(kind: type[E], effects: list[MemberEffect]) -> list[E]:
    return [e for e in effects if isinstance(e, kind)]


def alone(config: MembershipConfig = LAN) -> Membership:
    return Membership(ME, config, random.Random(1), T0)


def among(*peers: Member, config: MembershipConfig = LAN) -> Membership:
    """A machine that has just met these peers, each in person, and told all its news."""
    machine = alone(config)
    for peer in peers:
        answer_all(machine, machine.handle(SyncAsked(0, MESH, peer, ()), T0), T0)
    while machine.wake_at < T0 + 4.0:
        now = machine.wake_at
        answer_all(machine, machine.handle(MemberTick(), now), now)
    return machine


def answer_all(machine: Membership, effects: list[MemberEffect], now: float) -> None:
    for sent in only(SendProbe, effects):
        answer_all(machine, machine.handle(ProbeAnswered(sent.key, (), 0.001), now), now)


def states(machine: Membership) -> dict[str, MemberState]:
    return {node: seen.member.state for node, seen in machine.members.items()}


def probe_of(machine: Membership, peer: Member) -> tuple[SendProbe, float]:
    """Let time pass until it probes this peer; everybody else answers."""
    for _ in range(100):
        now = machine.wake_at
        for effect in machine.handle(MemberTick(), now):
            if isinstance(effect, SendProbe):
                if effect.node == peer.node:
                    return effect, now
                machine.handle(ProbeAnswered(effect.key, (), 0.001), now)
    raise AssertionError("it was never probed")


def fail_all(machine: Membership, effects: list[MemberEffect], fault: Fault, now: float) -> None:
    for effect in effects:
        if isinstance(effect, SendProbe | SendProbeVia):
            fail_all(machine, machine.handle(ProbeFailed(effect.key, fault), now), fault, now)


def suspect(machine: Membership, peer: Member) -> float:
    sent, now = probe_of(machine, peer)
    fail_all(machine, [sent], Fault.UNREACHED, now)
    assert states(machine)[peer.node] is SUSPECT
    return now


def bury(machine: Membership, peer: Member) -> float:
    effects = machine.handle(StreamBroken(peer.node), machine.wake_at - 0.01)
    now = machine.wake_at
    for _ in range(40):
        for effect in effects:
            if isinstance(effect, SendProbe | SendProbeVia):
                target = effect.node if isinstance(effect, SendProbe) else effect.target
                if target == peer.node:
                    effects += machine.handle(ProbeFailed(effect.key, Fault.GONE), now)
                else:
                    effects += machine.handle(ProbeAnswered(effect.key, (), 0.001), now)
        if states(machine)[peer.node] is DEAD:
            return now
        now = machine.wake_at
        effects = machine.handle(MemberTick(), now)
    raise AssertionError("it was never called dead")


# ------------------------------------------------------------ getting in


def test_two_nodes_know_each_other_after_one_sync() -> None:
    a, b = alone(), Membership(OTHERS[0], LAN, random.Random(2), T0)
    (sync,) = only(SendSync, a.handle(Introduced(b.me.address), T0))
    assert sync.address == b.me.address
    answered = b.handle(SyncAsked("t", MESH, a.me, sync.members[1:]), T0)
    (answer,) = only(AnswerSync, answered)
    assert answer.token == "t"
    seen = only(PeerSeen, a.handle(SyncAnswered(sync.key, answer.members), T0))
    assert [s.member for s in seen] == [b.me]
    assert [m.node for m in a.alive()] == [b.me.node]
    assert [m.node for m in b.alive()] == [a.me.node]


def test_an_introduction_to_a_known_or_own_address_costs_nothing() -> None:
    machine = among(OTHERS[0])
    now = machine.wake_at - 0.01
    for address in (OTHERS[0].address, ME.address):
        assert not only(SendSync, machine.handle(Introduced(address), now))


def test_a_failed_introduction_is_tried_again() -> None:
    machine = alone()
    (sync,) = only(SendSync, machine.handle(Introduced("10.1.1.1:1"), T0))
    assert not only(SendSync, machine.handle(SyncFailed(sync.key), T0))
    again = list[MemberEffect]()
    while not again:
        again += only(SendSync, machine.handle(MemberTick(), machine.wake_at))
    assert machine.wake_at <= T0 + 2 * LAN.retry_s


def test_an_address_that_leads_back_here_is_dropped() -> None:
    machine = alone()
    (sync,) = only(SendSync, machine.handle(Introduced("localhost:7000", pinned=True), T0))
    (refused,) = only(Refuse, machine.handle(SyncAsked("t", MESH, machine.me, ()), T0))
    assert refused.failure.code == SELF
    machine.handle(SyncFailed(sync.key, SELF), T0)
    while machine.wake_at < T0 + 60.0:
        assert not only(SendSync, machine.handle(MemberTick(), machine.wake_at))
    assert not machine.conflicts


def test_another_mesh_is_refused_with_words_and_remembered() -> None:
    machine = alone()
    other = OTHERS[0]._replace(mesh="elsewhere")
    for asked in (
        SyncAsked("t", "elsewhere", other, ()),
        ProbeAsked("t", "elsewhere", other.node, ME.node, (other,)),
    ):
        (refused,) = only(Refuse, machine.handle(asked, T0))
        assert refused.failure.code == OTHER_MESH
        assert "elsewhere" in refused.failure.message
    machine.handle(Introduced("10.7.7.7:1", mesh="third"), T0)
    assert set(machine.strangers) == {other.address, "10.7.7.7:1"}
    assert not machine.members


def test_strangers_are_bounded() -> None:
    machine = alone()
    for no in range(500):
        machine.handle(Introduced(f"10.0.{no}.1:1", mesh="other"), T0)
    assert len(machine.strangers) == 64
    assert "10.0.499.1:1" in machine.strangers


def test_a_node_of_unlike_protocol_is_kept_and_flagged() -> None:
    newer = OTHERS[0]._replace(protocol=99)
    machine = among(newer)
    assert machine.alive() == [newer]
    assert "99" in skew(newer)
    assert skew(ME) == ""


# ------------------------------------------------------------ answering


def test_a_probe_for_another_node_is_refused() -> None:
    asked = ProbeAsked("t", MESH, OTHERS[0].node, OTHERS[1].node, (OTHERS[0],))
    (refused,) = only(Refuse, alone().handle(asked, T0))
    assert refused.failure.code == Fault.GONE


def test_a_probe_introduces_its_sender_and_brings_what_it_tells() -> None:
    machine = alone()
    asked = ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0], OTHERS[1]))
    (answer,) = only(AnswerProbe, machine.handle(asked, T0))
    assert answer.gossip[0] == ME
    assert {m.node for m in machine.alive()} == {OTHERS[0].node, OTHERS[1].node}


def test_a_rumour_of_own_death_is_refuted_in_the_answer() -> None:
    machine = among(OTHERS[0])
    rumour = ME._replace(state=DEAD, incarnation=7)
    asked = ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0], rumour))
    (answer,) = only(AnswerProbe, machine.handle(asked, machine.wake_at - 0.01))
    assert answer.gossip[0] == ME._replace(incarnation=8)


def test_a_probe_is_relayed_with_its_answer_or_its_fault() -> None:
    asker, target = OTHERS[0], OTHERS[1]
    machine = among(asker, target)
    now = machine.wake_at - 0.01
    asked = ProbeViaAsked("t", MESH, asker.node, target.node, (asker,), target.address, 0.5)
    (sent,) = only(SendProbe, machine.handle(asked, now))
    assert (sent.node, sent.address) == (target.node, target.address)
    assert sent.timeout_s < 0.5
    back = target._replace(incarnation=2)
    (answer,) = only(AnswerProbe, machine.handle(ProbeAnswered(sent.key, (back,), 0.01), now))
    assert answer.token == "t"
    assert back in answer.gossip
    (sent,) = only(SendProbe, machine.handle(asked, now))
    (refused,) = only(Refuse, machine.handle(ProbeFailed(sent.key), now))
    assert refused.failure.code == Fault.UNREACHED


def test_relays_are_bounded() -> None:
    machine = among(OTHERS[0], OTHERS[1], config=MembershipConfig(max_relays=2))
    now = machine.wake_at - 0.01
    asked = ProbeViaAsked("t", MESH, OTHERS[0].node, OTHERS[1].node, (OTHERS[0],), "a:1", 0.5)
    results = [machine.handle(asked, now) for _ in range(3)]
    assert [len(only(SendProbe, r)) for r in results] == [1, 1, 0]
    assert only(Refuse, results[2])[0].failure.code == Fault.SILENT


# ------------------------------------------------------------ judging


def test_silence_is_hedged_through_others_before_it_is_suspicious() -> None:
    machine = among(*OTHERS)
    peer = OTHERS[2]
    sent, now = probe_of(machine, peer)
    vias: list[SendProbeVia] = []
    latest = now + LAN.hedge_s
    while not vias and machine.wake_at <= latest:
        now = machine.wake_at
        effects = machine.handle(MemberTick(), now)
        vias = only(SendProbeVia, effects)
        for other in only(SendProbe, effects):
            machine.handle(ProbeAnswered(other.key, (), 0.001), now)
    assert len(vias) == LAN.indirect
    assert {v.target for v in vias} == {peer.node}
    assert peer.node not in {v.via_node for v in vias}
    machine.handle(ProbeAnswered(vias[0].key, (peer,), 0.1), now)
    for key in (sent.key, *(v.key for v in vias[1:])):
        machine.handle(ProbeFailed(key), now)
    assert states(machine)[peer.node] is ALIVE


def test_a_suspect_is_told_so_and_its_answer_clears_it() -> None:
    machine = among(*OTHERS)
    peer = OTHERS[0]
    suspect(machine, peer)
    sent, now = probe_of(machine, peer)
    assert peer._replace(state=SUSPECT) in sent.gossip
    back = peer._replace(incarnation=2)
    machine.handle(ProbeAnswered(sent.key, (back,), 0.001), now)
    assert machine.members[peer.node].member == back
    assert machine.members[peer.node].rtt_s == 0.001


def test_a_crash_is_noticed_within_a_second() -> None:
    machine = among(*OTHERS)
    begun = machine.wake_at
    assert bury(machine, OTHERS[0]) - begun < 1.0


def test_a_broken_stream_alone_harms_nobody() -> None:
    machine = among(*OTHERS)
    now = machine.wake_at - 0.01
    (probe,) = machine.handle(StreamBroken(OTHERS[0].node), now)
    assert isinstance(probe, SendProbe)
    assert probe.node == OTHERS[0].node
    assert not machine.handle(StreamBroken(OTHERS[0].node), now)  # its stream to us broke as well
    machine.handle(ProbeAnswered(probe.key, (OTHERS[0],), 0.001), now)
    assert states(machine)[OTHERS[0].node] is ALIVE
    assert not machine.handle(StreamBroken("unheard-of"), now)


def test_who_cannot_be_reached_after_its_stream_broke_is_looked_for_by_others_too() -> None:
    machine = among(*OTHERS)
    now = machine.wake_at - 0.01
    (probe,) = only(SendProbe, machine.handle(StreamBroken(OTHERS[0].node), now))
    vias = only(SendProbeVia, machine.handle(ProbeFailed(probe.key, Fault.GONE), now))
    assert len(vias) == LAN.indirect
    assert {via.target for via in vias} == {OTHERS[0].node}


def test_who_slept_through_its_alarm_suspects_nobody() -> None:
    machine = among(*OTHERS)
    sent, now = probe_of(machine, OTHERS[0])
    late = now + 5.0
    machine.handle(MemberTick(), late)
    machine.handle(ProbeFailed(sent.key), late)
    assert set(states(machine).values()) == {ALIVE}
    assert machine.awareness > 0


def test_own_lag_makes_probes_rarer_and_more_patient() -> None:
    machine = among(*OTHERS)
    before, _ = probe_of(machine, OTHERS[0])
    machine.handle(LagMeasured(2.0), machine.wake_at - 0.01)
    after, _ = probe_of(machine, OTHERS[1])
    assert after.timeout_s > before.timeout_s


def test_isolated_when_most_of_the_mesh_seems_dead() -> None:
    machine = among(*OTHERS)
    bury(machine, OTHERS[0])
    bury(machine, OTHERS[1])
    assert not machine.isolated
    bury(machine, OTHERS[2])
    bury(machine, OTHERS[3])
    assert machine.isolated


# ------------------------------------------------------------ the dead


def test_only_the_node_itself_is_believed_to_live_again() -> None:
    machine = among(*OTHERS)
    peer = OTHERS[0]
    now = bury(machine, peer)
    claim = peer._replace(incarnation=9)
    asked = ProbeAsked("t", MESH, OTHERS[1].node, ME.node, (OTHERS[1], claim))
    effects = machine.handle(asked, now)
    assert states(machine)[peer.node] is DEAD
    (check,) = [e for e in only(SendProbe, effects) if e.node == peer.node]
    assert peer._replace(state=DEAD) in check.gossip
    machine.handle(ProbeAnswered(check.key, (claim,), 0.001), now)
    assert states(machine)[peer.node] is ALIVE


def test_a_restarted_node_beats_its_tombstone() -> None:
    machine = among(*OTHERS)
    peer = OTHERS[0]
    now = bury(machine, peer)
    reborn = Membership(peer._replace(incarnation=0), LAN, random.Random(3), now)
    (sync,) = only(SendSync, reborn.handle(Introduced(ME.address), now))
    (answer,) = only(
        AnswerSync, machine.handle(SyncAsked("t", MESH, reborn.me, sync.members[1:]), now)
    )
    sent = only(SendProbe, reborn.handle(SyncAnswered(sync.key, answer.members), now))
    assert reborn.me.incarnation > peer.incarnation
    assert ME.node in {s.node for s in sent}
    machine.handle(ProbeAsked("t", MESH, reborn.me.node, ME.node, sent[0].gossip), now)
    assert machine.members[peer.node].member == reborn.me


def test_the_dead_are_tried_again_and_forgotten_in_the_end() -> None:
    machine = among(OTHERS[0], config=MembershipConfig(tombstone_s=30.0))
    now = bury(machine, OTHERS[0])
    tries = 0
    while OTHERS[0].node in machine.members:
        for sync in only(SendSync, machine.handle(MemberTick(), machine.wake_at)):
            assert sync.node == OTHERS[0].node
            machine.handle(SyncFailed(sync.key), machine.wake_at - 0.01)
            tries += 1
    assert 5 <= tries <= 12
    assert 29.0 < machine.wake_at - now < 32.0


def test_leaving_is_announced_and_final() -> None:
    machine = among(*OTHERS)
    now = machine.wake_at - 0.01
    told = only(SendProbe, machine.leave(now))
    assert {t.node for t in told} == {m.node for m in OTHERS}
    assert all(t.gossip[0].state is LEFT for t in told)
    assert machine.wake_at == math.inf
    other = among(ME, config=LAN)
    other.handle(ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0],)), now)
    dead = ME._replace(state=DEAD, incarnation=50)
    asked = ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0], dead))
    (answer,) = only(AnswerProbe, machine.handle(asked, now))
    assert answer.gossip[0].state is LEFT


# ------------------------------------------------------------ lies and copies


def test_hearsay_cannot_raise_an_incarnation_without_bound() -> None:
    machine = among(*OTHERS)
    lie = OTHERS[0]._replace(incarnation=10**6, state=SUSPECT)
    asked = ProbeAsked("t", MESH, OTHERS[1].node, ME.node, (OTHERS[1], lie))
    machine.handle(asked, machine.wake_at - 0.01)
    assert machine.members[OTHERS[0].node].member == OTHERS[0]


def test_hearsay_does_not_drive_a_node_to_the_end_of_its_numbers() -> None:
    machine = among(*OTHERS)
    for state in (ALIVE, SUSPECT, DEAD):
        lie = ME._replace(incarnation=2**53 - 2, state=state, digest_seq=2**50)
        asked = ProbeAsked("t", MESH, OTHERS[1].node, ME.node, (OTHERS[1], lie))
        machine.handle(asked, machine.wake_at - 0.01)
        assert machine.me.incarnation == ME.incarnation
    # what a former life of its own may have reached it goes beyond
    past = ME._replace(incarnation=ME.incarnation + 5_000, state=DEAD)
    asked = ProbeAsked("t", MESH, OTHERS[1].node, ME.node, (OTHERS[1], past))
    machine.handle(asked, machine.wake_at - 0.01)
    assert machine.me.incarnation == past.incarnation + 1


def test_a_copy_of_this_node_is_refused_and_reported_once() -> None:
    machine = alone()
    copy = ME._replace(address="10.9.9.9:7000")
    first = machine.handle(SyncAsked("t", MESH, copy, ()), T0)
    assert only(Refuse, first)[0].failure.code == ID_TAKEN
    assert only(Refuse, first)[0].failure.fix
    assert only(ConflictSeen, first)[0].conflict.addresses == (ME.address, copy.address)
    assert not only(ConflictSeen, machine.handle(SyncAsked("t", MESH, copy, ()), T0))


def test_two_copies_do_not_outbid_each_other_for_ever() -> None:
    machine = among(OTHERS[0])
    now = machine.wake_at - 0.01
    for _ in range(10):
        above = machine.me.incarnation + 1
        copy = ME._replace(address="10.9.9.9:7000", incarnation=above)
        machine.handle(ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0], copy)), now)
    assert machine.me.incarnation <= ME.incarnation + 2
    assert ME.node in machine.conflicts


def test_a_node_that_moved_tells_so_and_what_was_known_before_is_no_copy_of_it() -> None:
    machine = among(OTHERS[0])
    now, old, new = machine.wake_at - 0.01, machine.me, "10.7.7.7:7000"
    told = only(SendProbe, machine.handle(Moved(new), now))
    assert told
    assert all(sent.gossip[0].address == new for sent in told)
    assert machine.handle(Moved(new), now) == []
    machine.handle(ProbeAsked("t", MESH, OTHERS[0].node, ME.node, (OTHERS[0], old)), now)
    assert (machine.me.address, machine.me.incarnation) == (new, old.incarnation + 1)
    back = machine.handle(SyncAsked("t", MESH, machine.me, ()), now)
    assert only(Refuse, back)[0].failure.code == SELF
    assert not machine.conflicts


# ------------------------------------------------------------ load


def test_a_changed_load_sends_nothing_and_a_drain_does() -> None:
    machine = among(*OTHERS)
    now = machine.wake_at - 0.01
    assert machine.set_digest(Digest(slots_free=3), now) == []
    assert machine.set_digest(Digest(slots_free=3), now) == []
    assert machine.me.digest_seq == 1
    sent = only(SendProbe, machine.set_digest(Digest(slots_free=3, draining=True), now))
    assert len(sent) == LAN.gossip_fanout
    assert sent[0].gossip[0].digest.draining


def test_a_newer_digest_is_passed_on_to_the_engine() -> None:
    machine = among(OTHERS[0])
    busy = OTHERS[0]._replace(digest=Digest(queued=5), digest_seq=1)
    asked = ProbeAsked("t", MESH, busy.node, ME.node, (busy,))
    effects = machine.handle(asked, machine.wake_at - 0.01)
    assert only(PeerSeen, effects) == [PeerSeen(busy)]
