"""Which node runs a task, and why others do not."""

from __future__ import annotations

import random

import pytest
from support.lone import RUN, member

from nova_node.core.model import (
    PROTOCOL,
    BlobRef,
    Call,
    Card,
    Credit,
    Demand,
    Digest,
    Extent,
    Input,
    MemberState,
)
from nova_node.core.placement import (
    SAMPLE_ABOVE,
    Worker,
    choose,
    missing_bytes,
    rank_all,
    rank_one,
    unfit,
)
from nova_node.core.tasks import Batch, Task

HELD = BlobRef("f" * 64, 5_000_000, holders=("near",))


def worker(node: str = "n", slots: int = 2) -> Worker:
    made = Worker(node)
    made.member = member(node)
    made.take_card(Card(node, 1, (RUN,), (("zone", "x"),), slots))
    made.up = True
    return made


def task(*inputs: Input, demand: Demand | None = None) -> Task:
    batch = Batch(1, 1, "", 0.0, True)
    return Task(1, batch, demand or Demand("a.run"), Call(b"", inputs), (HELD,))


def test_a_worker_that_fits() -> None:
    assert unfit(worker(), Demand("a.run", "1", (("zone", "x"),))) == ""


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        (Demand("b.run"), "does not offer b.run"),
        (Demand("a.run", "2"), "has a.run version 1, not 2"),
        (Demand("a.run", "", (("zone", "y"),)), "zone"),
    ],
)
def test_a_demand_that_does_not_fit(demand: Demand, why: str) -> None:
    assert why in unfit(worker(), demand)


@pytest.mark.parametrize(
    ("state", "digest", "protocol", "why"),
    [
        (MemberState.SUSPECT, Digest(), PROTOCOL, "is suspect"),
        (MemberState.ALIVE, Digest(draining=True), PROTOCOL, "is draining"),
        (MemberState.ALIVE, Digest(), PROTOCOL + 1, "speaks protocol"),
    ],
)
def test_a_member_that_gets_no_work(
    state: MemberState, digest: Digest, protocol: int, why: str
) -> None:
    candidate = worker()
    candidate.member = member("n", state, digest)._replace(protocol=protocol)
    assert why in unfit(candidate, Demand("a.run"))


def test_a_worker_without_card_or_slots() -> None:
    assert "capabilities" in unfit(Worker("n"), Demand("a.run"))
    assert unfit(worker(slots=0), Demand("a.run")) == "has no slots"


@pytest.mark.parametrize(
    ("owed", "owed_us", "owed_bytes", "room"),
    [
        (0, 0.0, 0, 10),
        (0, 500.0, 0, 5),
        (1, 1_000.0, 0, 1),
        (2, 1_000.0, 0, 0),
        (20, 0.0, 0, 0),
        (0, 0.0, 100, 0),
    ],
)
def test_room(owed: int, owed_us: float, owed_bytes: int, room: int) -> None:
    candidate = worker()
    candidate.credit = Credit(1_000, 2, 20, 100)
    candidate.owed = {no: task() for no in range(owed)}
    candidate.owed_us, candidate.owed_bytes = owed_us, owed_bytes
    assert candidate.room(100.0) == room


def test_the_less_busy_and_the_more_reliable_come_first() -> None:
    busy, free, flaky = worker("busy"), worker("free"), worker("flaky")
    busy.owed_us = 1e5
    flaky.failures = 2.0
    fit, ranks = choose([busy, flaky, free], task(), random.Random(1))
    assert [w.node for w in fit] == ["free", "busy", "flaky"]
    assert [r.node for r in ranks] == ["free", "busy", "flaky"]
    assert ranks[1].queue_us > 0
    assert ranks[2].failure_us > 0


def test_whoever_holds_the_inputs_comes_first() -> None:
    files = Input("files", b"", (Extent("a", HELD.id, 0, 5_000_000),))
    far, near = worker("far"), worker("near")
    assert missing_bytes("far", task(files)) == 5_000_000
    assert missing_bytes("near", task(files)) == 0
    fit, _ = choose([far, near], task(files), random.Random(1))
    assert fit[0] is near


def test_only_connected_workers_are_chosen_but_all_are_ranked() -> None:
    down = worker("down")
    down.up = False
    fit, _ = choose([down], task(), random.Random(1))
    assert fit == []
    (rank,) = rank_all([down], task())
    assert "stream" in rank.unfit


def test_of_many_the_better_of_two_random_ones_comes_first() -> None:
    workers = [worker(f"n{no}") for no in range(SAMPLE_ABOVE + 1)]
    for number, each in enumerate(workers):
        each.owed_us = 1_000.0 * number
    fit, _ = choose(workers, task(), random.Random(1))
    assert len(fit) == 2
    assert fit[0].owed_us <= fit[1].owed_us


def test_the_unfit_rank_last() -> None:
    other = worker("other")
    other.take_card(Card("other", 1, (), slots=1))
    assert [r.node for r in rank_all([other, worker("n")], task())] == ["n", "other"]
    assert rank_one(other, task(), "why").unfit == "why"
