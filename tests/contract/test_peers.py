"""What the transport between nodes does, over gRPC and in the simulation: one suite for both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest
from support.lone import PLAIN
from support.peer_pairs import End, GrpcPair, Pair, SimPair

from nova_node.core.effects import (
    Assign,
    Connect,
    Disconnect,
    FetchCard,
    Grant,
    Recall,
    Relay,
    Report,
    Revoke,
)
from nova_node.core.members import (
    AnswerProbe,
    AnswerSync,
    Fault,
    ProbeAnswered,
    ProbeAsked,
    ProbeFailed,
    Refuse,
    SendProbe,
    SendSync,
    StreamBroken,
    SyncAnswered,
    SyncAsked,
    SyncFailed,
)
from nova_node.core.model import (
    NULL,
    Attempt,
    Call,
    Credit,
    Cut,
    Failure,
    Fence,
    Member,
    Outcome,
    Phase,
    Said,
    Status,
)
from nova_node.core.signals import (
    CardFetched,
    Granted,
    Heard,
    LinkDown,
    LinkUp,
    OwnerDown,
    OwnerUp,
    Resulted,
    Work,
)

ROOM = Credit(20_000, 2, 100, 1 << 20)
NOBODY = "127.0.0.1:1"

S = TypeVar("S")


@pytest.fixture(params=[SimPair, GrpcPair], ids=["sim", "grpc"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made: Pair = request.param()
    yield made
    made.close()


def heard(end: End, kind: type[S]) -> list[S]:
    return [signal for signal in end.signals if isinstance(signal, kind)]


def wait_for(pair: Pair, end: End, kind: type[S], count: int = 1) -> list[S]:
    pair.until(lambda: len(heard(end, kind)) >= count)
    return heard(end, kind)


def attempt(no: int, number: int = 1) -> Attempt:
    return Attempt(no, number, PLAIN, Phase.RUN, Call(b'{"n":%d}' % no))


def done(no: int) -> Outcome:
    return Outcome(no, 1, Status.DONE, NULL)


def linked(pair: Pair) -> int:
    """Both ends know of the stream; the number under which the worker does."""
    pair.owner.perform(Connect(pair.worker.id, pair.worker.address))
    link = wait_for(pair, pair.worker, OwnerUp)[-1].link
    pair.worker.perform(Grant(link, ROOM))
    wait_for(pair, pair.owner, Granted)
    return link


# ------------------------------------------------------------ work streams


def test_a_stream_is_up_when_the_worker_has_spoken(pair: Pair) -> None:
    link = linked(pair)
    assert heard(pair.worker, OwnerUp) == [OwnerUp(pair.owner.id, link)]
    said = [signal for signal in pair.owner.signals if isinstance(signal, LinkUp | Granted)]
    assert said == [LinkUp(pair.worker.id), Granted(pair.worker.id, ROOM)]


def test_work_arrives_once_and_in_order(pair: Pair) -> None:
    link = linked(pair)
    for first in range(0, 60, 3):
        pair.owner.perform(Assign(pair.worker.id, [attempt(first + n) for n in range(3)]))

    def arrived() -> list[int]:
        return [a.no for work in heard(pair.worker, Work) for a in work.attempts]

    pair.until(lambda: len(arrived()) >= 60)
    assert arrived() == list(range(60))
    assert {work.link for work in heard(pair.worker, Work)} == {link}
    first = heard(pair.worker, Work)[0].attempts[0]
    assert first == attempt(0)._replace(owner=first.owner)


def test_what_is_revoked_is_cancelled_or_never_arrives(pair: Pair) -> None:
    linked(pair)
    pair.owner.perform(Assign(pair.worker.id, [attempt(1), attempt(2)]))
    wait_for(pair, pair.worker, Work)
    pair.owner.perform(Revoke(pair.worker.id, [Fence(1, 1)]))
    pair.owner.perform(Recall(pair.worker.id, 5))
    pair.until(lambda: any(work.recall for work in heard(pair.worker, Work)))
    cancels = [fence for work in heard(pair.worker, Work) for fence in work.cancels]
    assert cancels == [Fence(1, 1)]
    assert sum(work.recall for work in heard(pair.worker, Work)) == 5


def test_what_the_worker_says_arrives_in_order(pair: Pair) -> None:
    link = linked(pair)
    for no in range(40):
        pair.worker.perform(Report(link, [done(no)]))
    pair.worker.perform(Report(link, (), [Fence(50, 1)], [Cut(51, 1, (Call(b"{}"),), 7)]))
    pair.worker.perform(Relay(link, [Said(52, 1, False, "a line\n")]))

    def results() -> list[Outcome]:
        return [outcome for each in heard(pair.owner, Resulted) for outcome in each.outcomes]

    pair.until(lambda: len(results()) == 40 and heard(pair.owner, Heard))
    assert results() == [done(no) for no in range(40)]
    said = heard(pair.owner, Resulted)
    assert [fence for each in said for fence in each.returned] == [Fence(50, 1)]
    assert [cut for each in said for cut in each.cuts] == [Cut(51, 1, (Call(b"{}"),), 7)]
    assert [*heard(pair.owner, Heard)[0].said] == [Said(52, 1, False, "a line\n")]


def test_where_nobody_listens_the_owner_is_told_so(pair: Pair) -> None:
    gone = pair.worker.address
    pair.kill(pair.worker)
    pair.owner.perform(Connect(pair.worker.id, gone))
    assert wait_for(pair, pair.owner, LinkDown)[0].node == pair.worker.id
    assert not heard(pair.owner, LinkUp)


def test_a_worker_that_dies_takes_the_stream_along(pair: Pair) -> None:
    linked(pair)
    pair.kill(pair.worker)
    assert wait_for(pair, pair.owner, LinkDown)[0].node == pair.worker.id
    assert wait_for(pair, pair.owner, StreamBroken) == [StreamBroken(pair.worker.id)]


def test_an_owner_that_dies_takes_the_stream_along(pair: Pair) -> None:
    link = linked(pair)
    pair.kill(pair.owner)
    assert wait_for(pair, pair.worker, OwnerDown) == [OwnerDown(pair.owner.id, link)]
    assert wait_for(pair, pair.worker, StreamBroken) == [StreamBroken(pair.owner.id)]


def test_an_owner_that_disconnects_is_gone_for_the_worker(pair: Pair) -> None:
    link = linked(pair)
    pair.owner.perform(Disconnect(pair.worker.id))
    assert wait_for(pair, pair.worker, OwnerDown) == [OwnerDown(pair.owner.id, link)]
    assert wait_for(pair, pair.owner, LinkDown)[0].node == pair.worker.id


def test_a_second_stream_takes_the_place_of_the_first(pair: Pair) -> None:
    link = linked(pair)
    pair.owner.perform(Connect(pair.worker.id, pair.worker.address))
    second = wait_for(pair, pair.worker, OwnerUp, 2)[-1].link
    assert wait_for(pair, pair.worker, OwnerDown) == [OwnerDown(pair.owner.id, link)]
    assert second != link
    pair.worker.perform(Grant(second, ROOM))
    wait_for(pair, pair.owner, LinkUp, 2)
    pair.owner.perform(Assign(pair.worker.id, [attempt(1)]))
    assert wait_for(pair, pair.worker, Work)[-1].link == second


def test_work_for_a_peer_without_a_stream_goes_nowhere(pair: Pair) -> None:
    pair.owner.perform(Assign(pair.worker.id, [attempt(1)]))
    pair.worker.perform(Report(99, [done(1)]))
    linked(pair)
    assert not heard(pair.worker, Work)
    assert not heard(pair.owner, Resulted)


# ------------------------------------------------------------ calls of membership


def member(end: End, name: str = "one") -> Member:
    return Member(end.id, name, end.address)


def probe(pair: Pair, address: str = "", timeout_s: float = 5.0) -> SendProbe:
    gossip = (member(pair.owner),)
    return SendProbe(3, pair.worker.id, address or pair.worker.address, gossip, timeout_s)


def test_a_probe_carries_gossip_both_ways(pair: Pair) -> None:
    pair.owner.perform(probe(pair))
    asked = wait_for(pair, pair.worker, ProbeAsked)[0]
    assert (asked.sender, asked.target) == (pair.owner.id, pair.worker.id)
    assert asked.gossip == (member(pair.owner),)
    pair.worker.perform(AnswerProbe(asked.token, (member(pair.worker, "two"),)))
    answered = wait_for(pair, pair.owner, ProbeAnswered)[0]
    assert (answered.key, answered.gossip) == (3, (member(pair.worker, "two"),))
    assert answered.rtt_s >= 0.0


def test_a_probe_of_nobody_says_gone_at_once(pair: Pair) -> None:
    pair.kill(pair.worker)
    pair.owner.perform(probe(pair))
    assert wait_for(pair, pair.owner, ProbeFailed) == [ProbeFailed(3, Fault.GONE)]


def test_a_probe_without_an_answer_is_silent(pair: Pair) -> None:
    pair.owner.perform(probe(pair, timeout_s=0.2))
    wait_for(pair, pair.worker, ProbeAsked)
    assert wait_for(pair, pair.owner, ProbeFailed) == [ProbeFailed(3, Fault.SILENT)]


def sync(pair: Pair) -> SendSync:
    return SendSync(
        4, pair.worker.id, pair.worker.address, (member(pair.owner), member(pair.worker)), 5.0
    )


def test_a_sync_brings_all_that_the_other_knows(pair: Pair) -> None:
    pair.owner.perform(sync(pair))
    asked = wait_for(pair, pair.worker, SyncAsked)[0]
    assert asked.sender.node == pair.owner.id
    assert member(pair.worker) in asked.members
    known = (member(pair.worker), member(pair.owner))
    pair.worker.perform(AnswerSync(asked.token, known))
    assert wait_for(pair, pair.owner, SyncAnswered) == [SyncAnswered(4, known)]


def test_a_sync_that_is_refused_says_why(pair: Pair) -> None:
    pair.owner.perform(sync(pair))
    asked = wait_for(pair, pair.worker, SyncAsked)[0]
    why = Failure("wrong_mesh", "this is another mesh", "name the right one")
    pair.worker.perform(Refuse(asked.token, why))
    assert wait_for(pair, pair.owner, SyncFailed)[0] == SyncFailed(4, why.code, why.message)


def test_a_card_is_fetched(pair: Pair) -> None:
    pair.owner.perform(FetchCard(pair.worker.id, pair.worker.address))
    assert wait_for(pair, pair.owner, CardFetched)[0].card.node == pair.worker.id
