"""What a person is told about a task that does not move."""

from __future__ import annotations

import pytest
from support.lone import PEER, RUN, Lone, done, failed, member, only

from nova_node.core.effects import Assign
from nova_node.core.explain import Explanation, explain, words
from nova_node.core.model import (
    Call,
    Capability,
    Card,
    Credit,
    Cut,
    Demand,
    Digest,
    Durability,
    MemberState,
)
from nova_node.core.placement import Rank
from nova_node.core.signals import CardFetched, DrainAsked, PeerSeen, Resulted

NO_ROOM = Credit(0, 0, 0, 0)


def why(lone: Lone, no: int = 1) -> Explanation:
    return explain(lone.engine.owner, lone.task(no), lone.now)


def test_no_node_offers_it() -> None:
    lone = Lone()
    lone.submit(demand=Demand("not.here"))
    told = why(lone)
    assert told.waits_for == "a node that offers not.here; none does"
    assert any("plug-in" in hint for hint in told.unblock)


def test_nodes_offer_it_but_none_fits() -> None:
    lone = Lone((RUN,))
    lone.peer()
    lone.submit(demand=Demand("a.run", "2", (("gpu", "yes"),)))
    told = why(lone)
    assert "2 that offer a.run" in told.waits_for
    assert any(PEER in reason and "version 1, not 2" in reason for reason in told.unblock)


def test_a_label_that_no_node_has() -> None:
    lone = Lone((RUN,))
    lone.submit(demand=Demand("a.run", labels=(("gpu", "yes"),)))
    assert any("gpu" in reason for reason in why(lone).unblock)


def test_all_that_fit_are_busy() -> None:
    lone = Lone(())
    lone.peer(credit=NO_ROOM)
    lone.submit()
    told = why(lone)
    assert told.waits_for == "room on a node: all that fit are busy"
    assert told.unblock


def test_a_connection_is_missing() -> None:
    lone = Lone(())
    lone.tell(PeerSeen(member()), CardFetched(Card(PEER, 1, (RUN,), slots=1)))
    lone.submit()
    assert why(lone).waits_for == "a connection to a node that fits"


@pytest.mark.parametrize(
    ("state", "digest", "words"),
    [
        (MemberState.SUSPECT, Digest(1), "is suspect"),
        (MemberState.ALIVE, Digest(1, draining=True), "is draining"),
    ],
)
def test_the_only_node_is_not_well(state: MemberState, digest: Digest, words: str) -> None:
    lone = Lone(())
    lone.peer()
    lone.tell(PeerSeen(member(PEER, state, digest)))
    lone.submit()
    assert why(lone).unblock == [f"{PEER}: {words}"]


def test_this_node_drains() -> None:
    lone = Lone(())
    lone.submit()
    lone.tell(DrainAsked())
    assert "drain" in why(lone).waits_for


def test_it_runs() -> None:
    lone = Lone(())
    lone.peer()
    lone.submit()
    told = why(lone)
    assert told.waits_for == f"attempt 1 on node {PEER}"
    assert [rank.node for rank in told.ranking] == [PEER]
    assert told.ranked_at == lone.now


def test_it_rests_after_a_failure() -> None:
    lone = Lone(())
    lone.peer()
    (assign,) = only(lone.submit(), Assign)
    lone.report(failed(assign.attempts[0]))
    assert why(lone).waits_for.startswith("its next attempt, in 0.")


def test_it_waits_for_its_shards() -> None:
    lone = Lone(())
    lone.peer()
    (assign,) = only(lone.submit(demand=Demand("a.cut")), Assign)
    split = assign.attempts[0]
    lone.tell(Resulted(PEER, (), (), [Cut(split.no, split.attempt, (Call(b"1"), Call(b"2")))]))
    assert why(lone).waits_for == "its shards and merges: 1 of 3 known so far have ended"


def test_it_has_ended() -> None:
    lone = Lone(())
    lone.peer()
    (assign,) = only(lone.submit(), Assign)
    lone.report(done(assign.attempts[0]))
    assert why(lone).waits_for == "nothing: it has ended"
    assert why(lone).unblock == []


@pytest.mark.parametrize("durability", Durability)
def test_it_says_what_a_crash_would_do(durability: Durability) -> None:
    lone = Lone(())
    lone.submit(demand=Demand("a.run", durability=durability))
    assert why(lone).durability.startswith(durability.name.lower())


def test_every_node_is_ranked_for_a_task_that_waits() -> None:
    lone = Lone((Capability("other.thing"),))
    lone.peer(credit=NO_ROOM)
    lone.submit()
    ranks = why(lone).ranking
    assert [bool(rank.unfit) for rank in ranks] == [False, True]


def test_a_rank_in_words() -> None:
    assert words(Rank("n", 0.0, "")) == ["free"]
    assert words(Rank("n", 0.0, "has no slots")) == ["has no slots"]
    told = words(Rank("n", 9.0, "", 1_000.0, 5_000.0, 0.0, 2_000.0))
    assert [line.split(" ms")[0] for line in told] == ["5.0", "2.0", "1.0"]
