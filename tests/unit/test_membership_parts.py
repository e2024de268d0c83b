"""The pure parts of membership, each by itself."""

from __future__ import annotations

import math
import random

import pytest
from support.member_world import member

from nova_node.core.awareness import SCORE_MAX, Awareness
from nova_node.core.gossip import Gossip
from nova_node.core.introductions import UNDER_WAY_MAX, Introductions
from nova_node.core.members import LAN, MembershipConfig
from nova_node.core.model import Digest, Member, MemberState
from nova_node.core.probing import target_of
from nova_node.core.roster import INCARNATION_MAX, Roster, Verdict, judge, sound
from nova_node.core.suspicion import Suspicions, patience_s

ALIVE, SUSPECT, DEAD, LEFT = MemberState


def record(incarnation: int, state: MemberState, digest_seq: int = 0) -> Member:
    return member(1)._replace(incarnation=incarnation, state=state, digest_seq=digest_seq)


@pytest.mark.parametrize(
    ("known", "heard", "first_hand", "verdict"),
    [
        (record(5, ALIVE), record(5, ALIVE), False, Verdict.IGNORE),
        (record(5, ALIVE), record(4, DEAD), False, Verdict.IGNORE),
        (record(5, ALIVE), record(5, SUSPECT), False, Verdict.ADOPT),
        (record(5, SUSPECT), record(5, ALIVE), False, Verdict.IGNORE),
        (record(5, SUSPECT), record(5, ALIVE), True, Verdict.TELL),
        (record(5, SUSPECT), record(6, ALIVE), False, Verdict.ADOPT),
        (record(5, SUSPECT), record(5, DEAD), False, Verdict.ADOPT),
        (record(5, DEAD), record(5, LEFT), False, Verdict.ADOPT),
        (record(5, LEFT), record(5, DEAD), False, Verdict.IGNORE),
        (record(5, DEAD), record(6, ALIVE), False, Verdict.CHECK),
        (record(5, LEFT), record(6, SUSPECT), False, Verdict.CHECK),
        (record(5, DEAD), record(6, ALIVE), True, Verdict.ADOPT),
        (record(5, DEAD), record(5, ALIVE), True, Verdict.TELL),
        (record(5, ALIVE), record(4, ALIVE), True, Verdict.TELL),
        (record(5, ALIVE), record(5, ALIVE, 1), False, Verdict.REFRESH),
        (record(5, ALIVE, 2), record(5, ALIVE, 1), False, Verdict.IGNORE),
        (record(5, DEAD), record(5, ALIVE, 1), False, Verdict.IGNORE),
        (record(5, ALIVE), record(1005, ALIVE), False, Verdict.ADOPT),
        (record(5, ALIVE), record(1006, ALIVE), False, Verdict.REJECT),
        (record(5, ALIVE), record(1006, ALIVE), True, Verdict.ADOPT),
    ],
)
def test_which_record_counts(
    known: Member, heard: Member, first_hand: bool, verdict: Verdict
) -> None:
    assert judge(known, heard, first_hand, max_jump=1000) is verdict


@pytest.mark.parametrize(
    "bad",
    [
        record(1, ALIVE)._replace(node=""),
        record(1, ALIVE)._replace(address=""),
        record(1, ALIVE)._replace(name="a\x1b[2J"),
        record(1, ALIVE)._replace(name="abc\u202edef"),
        record(1, ALIVE)._replace(node="x" * 256),
        record(INCARNATION_MAX, ALIVE),
        record(-1, ALIVE),
    ],
)
def test_unsound_members_are_not_kept(bad: Member) -> None:
    roster = Roster("me", LAN)
    assert sound(record(1, ALIVE))
    assert roster.hear(bad, 0.0, first_hand=True, by_sync=False) is Verdict.REJECT
    assert not roster.peers


def test_hearsay_of_a_death_is_a_suspicion_first() -> None:
    roster = Roster("me", LAN)
    peer = record(1, ALIVE)
    roster.hear(peer, 0.0, first_hand=True, by_sync=False)
    dead = record(1, DEAD)
    roster.hear(dead, 1.0, first_hand=False, by_sync=False)
    assert roster.peers[peer.node].member.state is SUSPECT
    roster.hear(dead, 1.0, first_hand=False, by_sync=True)
    assert roster.peers[peer.node].member.state is SUSPECT
    roster.hear(dead, 1.0, first_hand=False, by_sync=False)
    assert roster.peers[peer.node].member.state is DEAD
    assert roster.ring == ["me"]
    assert list(roster.dead) == [peer.node]


def test_a_newer_digest_survives_an_older_suspicion() -> None:
    roster = Roster("me", LAN)
    fresh = record(1, ALIVE, 7)._replace(digest=Digest(queued=9))
    roster.hear(fresh, 0.0, first_hand=True, by_sync=False)
    roster.hear(record(1, SUSPECT, 3), 1.0, first_hand=False, by_sync=False)
    assert roster.peers[fresh.node].member == fresh._replace(state=SUSPECT)


def test_a_full_roster_forgets_the_oldest_tombstone_or_refuses() -> None:
    roster = Roster("me", MembershipConfig(max_members=3))
    for no in range(3):
        roster.hear(member(no), float(no), first_hand=True, by_sync=False)
    assert roster.hear(member(3), 3.0, first_hand=True, by_sync=False) is Verdict.REJECT
    roster.set_state(member(2).node, DEAD, 4.0)
    roster.set_state(member(1).node, DEAD, 5.0)
    assert roster.hear(member(3), 6.0, first_hand=True, by_sync=False) is Verdict.ADOPT
    assert set(roster.peers) == {member(0).node, member(1).node, member(3).node}
    assert roster.expire(5.0 + LAN.tombstone_s) == [member(1).node]


def test_an_address_that_moves_back_is_a_conflict() -> None:
    roster = Roster("me", LAN)
    here, there = record(1, ALIVE), record(2, ALIVE)._replace(address="10.9.9.9:1")
    for at, said in enumerate((here, there)):
        roster.hear(said, float(at), first_hand=True, by_sync=False)
    assert not roster.conflicts
    roster.hear(here._replace(incarnation=3), 2.0, first_hand=True, by_sync=False)
    assert [c.addresses for c in roster.conflicts] == [(there.address, here.address)]


@pytest.mark.parametrize(
    ("count", "confirmed", "seconds"),
    [(2, 0, 4.0), (3, 0, 4.0), (10, 0, 4.0), (10, 3, 4.0), (100, 0, 8.0), (100, 3, 4.0)],
)
def test_patience_grows_with_the_mesh_unless_peers_confirm(
    count: int, confirmed: int, seconds: float
) -> None:
    assert abs(patience_s(LAN, count, confirmed) - seconds) < 1e-9


def test_each_confirmation_shortens_patience_less() -> None:
    waits = [patience_s(LAN, 1000, n) for n in range(4)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] - waits[1] > waits[2] - waits[3] > 0


def test_a_suspect_has_a_last_word_and_a_crashed_one_a_short_wait() -> None:
    suspicions = Suspicions(LAN)
    suspicions.begin("a", 1, 3, now=0.0)
    suspicions.begin("b", 1, 3, now=0.0)
    assert not suspicions.confirm("b", 1, gone=True, count=3)
    assert suspicions.next_at == LAN.crash_s
    assert suspicions.due(LAN.crash_s).ask == ["b"]
    assert suspicions.confirm("b", 1, gone=True, count=3)
    suspicions.end("b")
    assert suspicions.due(4.0) == (["a"], [])
    assert suspicions.due(4.0 + LAN.last_word_s) == ([], ["a"])


def test_sleep_of_the_judge_does_not_count_against_a_suspect() -> None:
    suspicions = Suspicions(LAN)
    suspicions.begin("a", 1, 3, now=0.0)
    suspicions.due(4.0)
    suspicions.postpone(5.0)
    assert suspicions.due(9.0) == ([], [])
    assert suspicions.due(10.0) == (["a"], [])


def test_awareness_is_bounded_and_recovers() -> None:
    awareness = Awareness()
    awareness.lagged(0.1, tolerable_s=0.25)
    assert awareness.multiplier == 1
    awareness.lagged(60.0, tolerable_s=0.25)
    assert awareness.score == 3
    awareness.worsen(100)
    assert awareness.score == SCORE_MAX
    for _ in range(20):
        awareness.improve()
    assert awareness.multiplier == 1


@pytest.mark.parametrize("size", [2, 3, 10, 51])
def test_each_slot_probes_everybody_once(size: int) -> None:
    ring = sorted(member(no).node for no in range(size))
    for slot in range(size):
        assert sorted(str(target_of(ring, me, slot)) for me in ring) == ring
    by_first = [target_of(ring, ring[0], slot) for slot in range(size - 1)]
    assert sorted(map(str, by_first)) == ring[1:]


def test_nobody_to_probe_alone() -> None:
    assert target_of(["me"], "me", 7) is None


def gossip_of(size: int) -> Gossip:
    roster = Roster("me", LAN)
    for no in range(size):
        roster.hear(member(no), 0.0, first_hand=True, by_sync=False)
    return Gossip(LAN, roster)


def test_gossip_is_bounded_in_size_and_in_repeats() -> None:
    gossip, me = gossip_of(100), member(999)
    for no in range(100):
        gossip.add(member(no).node, news=True)
    told = 0
    while gossip.has_news:
        words = gossip.words(me, "somebody", "", ())
        assert words[0] == me
        assert len(words) <= LAN.max_gossip
        told += len(words) - 1
    assert told == 100 * LAN.gossip_repeats * math.ceil(math.log10(102))


def test_load_waits_for_room_and_is_never_pushed() -> None:
    gossip, me = gossip_of(20), member(999)
    for no in range(20):
        gossip.add(member(no).node, news=False)
    assert not gossip.has_news
    assert len(gossip.words(me, "somebody", "", ())) == 1 + LAN.max_digests


def test_the_listener_is_not_told_what_it_told() -> None:
    gossip, me = gossip_of(3), member(999)
    gossip.add(member(0).node, news=True)
    assert gossip.words(me, "somebody", "", (member(0),)) == (me,)
    older = member(0)._replace(incarnation=0)
    assert gossip.words(me, "somebody", "", (older,)) == (me, member(0))


def introductions(max_introductions: int = 256) -> Introductions:
    return Introductions(MembershipConfig(max_introductions=max_introductions), random.Random(1))


def test_a_hint_that_leads_nowhere_is_forgotten_and_a_pinned_one_is_not() -> None:
    known = introductions()
    known.add("a:1", pinned=False, now=0.0)
    known.add("b:1", pinned=True, now=0.0)
    tries, waits, now = {"a:1": 0, "b:1": 0}, list[float](), 0.0
    while now < 3600.0 and known.next_at < math.inf:
        waits.append(known.next_at - now)
        now = known.next_at
        while (address := known.take(now)) is not None:
            tries[address] += 1
            known.failed(address, now)
    assert tries["a:1"] == LAN.max_retries
    assert tries["b:1"] > 100
    assert max(waits) <= LAN.retry_max_s


def test_a_pinned_address_is_tried_again_when_its_node_is_lost() -> None:
    known = introductions()
    known.add("a:1", pinned=True, now=0.0)
    assert known.take(0.0) == "a:1"
    known.reached("a:1", "node")
    assert known.next_at == math.inf
    known.lost("node", 50.0)
    assert known.take(known.next_at) == "a:1"


def test_introductions_are_bounded() -> None:
    known = introductions(max_introductions=20)
    for no in range(100):
        known.add(f"10.0.0.{no}:1", pinned=False, now=0.0)
    taken = [known.take(0.0) for _ in range(20)]
    assert sum(t is not None for t in taken) == UNDER_WAY_MAX
    for address in taken:
        known.forget(address or "")
    rest = 0
    while (address := known.take(0.0)) is not None:
        known.forget(address)
        rest += 1
    assert rest == 10 - UNDER_WAY_MAX
