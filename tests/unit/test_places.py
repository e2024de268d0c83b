"""Attempts that wait for others: a place each, beside the slots."""

from __future__ import annotations

import random

from support.lone import ROOMY, RUN, Lone, done, facts, only

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Effect, Grant, Kill, Report, Run
from nova_node.core.engine import EngineConfig
from nova_node.core.events import Accepted, Event, Finished
from nova_node.core.model import (
    Attempt,
    Call,
    Capability,
    Card,
    Credit,
    Demand,
    Failure,
    Fence,
    Group,
    Limits,
    Phase,
    Status,
    Usage,
)
from nova_node.core.placement import Worker as Peer
from nova_node.core.placement import unfit
from nova_node.core.signals import Ran, RanItem, SlotDied, SlotReady, Work
from nova_node.core.slots import CANCELLED
from nova_node.core.tasks import Tasks
from nova_node.core.worker import LOCAL, Worker, WorkerConfig

LINK = 7
ASK = Capability("an.ask", waits=True)
SLOTS, PLACES = 1, 3


class Bench:
    def __init__(self) -> None:
        self.out: list[Effect] = []
        self.worker = Worker(WorkerConfig(slots=SLOTS, places=PLACES), self.out)
        self.worker.waiting = frozenset({ASK.name})
        self.worker.link_up(LOCAL)
        self.worker.link_up(LINK)
        for number in range(SLOTS + PLACES):
            self.worker.slot_ready(number)

    def take(self) -> list[Effect]:
        effects = self.out.copy()
        self.out.clear()
        return effects

    def work(self, *attempts: Attempt) -> list[Run]:
        self.take()
        self.worker.work(Work(LINK, attempts))
        self.worker.feed(0.0)
        return only(self.take(), Run)

    def ran(self, run: Run) -> list[Run]:
        items = [RanItem(k, done(a)) for k, a in zip(run.keys, run.attempts, strict=True)]
        self.worker.ran(Ran(run.slot, items), 0.0)
        self.worker.feed(0.0)
        return only(self.out, Run)


def ask(no: int, wall_s: float = 0.0) -> Attempt:
    demand = Demand(ASK.name, limits=Limits(wall_s=wall_s))
    return Attempt(no, 1, demand, Phase.RUN, Call(b"{}"))


def run(no: int) -> Attempt:
    return Attempt(no, 1, Demand(RUN.name), Phase.RUN, Call(b"{}"))


# ---------------------------------------------------------------- the worker


def test_each_takes_a_place_of_its_own_and_the_next_ones_stand_in_line() -> None:
    bench = Bench()
    runs = bench.work(*[ask(no) for no in range(1, 6)])
    assert sorted(r.slot for r in runs) == [1, 2, 3]
    assert all(len(r.attempts) == 1 for r in runs)
    (fourth,) = bench.ran(runs[0])
    assert (fourth.slot, fourth.attempts[0].no) == (runs[0].slot, 4)


def test_slots_and_places_do_not_stand_in_each_others_way() -> None:
    bench = Bench()
    runs = bench.work(run(1), run(2), *[ask(no) for no in range(3, 9)])
    assert sorted(r.slot for r in runs) == [0, 1, 2, 3]
    assert (len(bench.worker.slots.queue), len(bench.worker.places.queue)) == (1, 3)
    assert bench.worker.slots_free == 0


def test_owners_are_told_of_places_and_share_them() -> None:
    bench = Bench()
    grants = only(bench.take(), Grant)
    assert [g.credit.places for g in grants if g.link == LINK][-1] == PLACES
    bench.worker.work(Work(LOCAL, [run(1)]))
    bench.worker.work(Work(LINK, [run(2)]))
    assert {g.credit.places for g in only(bench.take(), Grant)} == {1}


def test_a_place_that_died_charges_its_attempt_with_what_it_had_used() -> None:
    bench = Bench()
    (begun,) = bench.work(ask(1))
    died = Failure("worker_died", "it died", retryable=True)
    bench.worker.slot_died(SlotDied(begun.slot, begun.keys[0], died, Usage("m", 1, 1, 5)))
    (report,) = only(bench.take(), Report)
    assert report.outcomes[0].failure == died
    assert report.outcomes[0].usage == Usage("m", 1, 1, 5)
    runs = bench.work(*[ask(no) for no in range(2, 6)])
    assert begun.slot not in {r.slot for r in runs}
    bench.worker.slot_ready(begun.slot)
    bench.worker.feed(0.0)
    assert [r.slot for r in only(bench.out, Run)] == [begun.slot]


def test_a_wall_limit_and_a_cancel_kill_that_attempt_alone() -> None:
    bench = Bench()
    late, other = bench.work(ask(1, wall_s=2.0), ask(2))
    assert bench.worker.wake_at == 2.0
    bench.worker.tick(2.0)
    (kill,) = only(bench.take(), Kill)
    assert (kill.slot, kill.failure.code) == (late.slot, "wall_limit")
    bench.worker.work(Work(LINK, cancels=[Fence(2, 1)]))
    assert only(bench.take(), Kill) == [Kill(other.slot, CANCELLED)]


def test_a_recall_takes_nothing_that_waits_for_a_place_and_a_drain_does() -> None:
    bench = Bench()
    bench.work(*[ask(no) for no in range(1, 6)])
    bench.worker.work(Work(LINK, recall=9))
    assert not only(bench.take(), Report)
    bench.worker.drain()
    (report,) = only(bench.take(), Report)
    assert {fence.no for fence in report.returned} == {4, 5}


def test_a_node_of_places_alone_is_given_what_waits() -> None:
    config = EngineConfig(worker=WorkerConfig(slots=0, places=2))
    lone = Lone((ASK, RUN), config)
    effects = lone.tell(SlotReady(0), SlotReady(1))
    effects += lone.submit(1, Demand(ASK.name))
    (begun,) = only(effects, Run)
    assert begun.slot in (0, 1)
    lone.submit(1, Demand(RUN.name), "other")
    assert lone.task(2).status is Status.WAITING
    items = [RanItem(begun.keys[0], done(begun.attempts[0]))]
    assert facts(lone.tell(Ran(begun.slot, items)), Finished)


# ---------------------------------------------------------------- the owner


class Scene:
    def __init__(self, credit: Credit) -> None:
        self.tasks = Tasks()
        self.dispatch = Dispatch(random.Random(1))
        self.peer = self.dispatch.workers["n"] = Peer("n")
        self.peer.take_card(Card("n", 1, (ASK, RUN), slots=2))
        self.peer.up, self.peer.credit = True, credit

    def add(self, capability: Capability, count: int) -> None:
        first = self.tasks.next_no
        group = Group(Demand(capability.name), (Call(b"1234"),) * count)
        self.tasks.apply(Event(first, first, 0.0, Accepted("", (group,))))
        self.dispatch.ready.extend([self.tasks.by_no[n] for n in range(first, first + count)])

    def place(self) -> dict[str, int]:
        """How many of each were placed."""
        placed: dict[str, int] = {}
        for worker, tasks in self.dispatch.pick(0.0):
            for task in tasks:
                task.status, task.node = Status.RUNNING, worker.node
            self.dispatch.owe(worker, tasks)
            name = tasks[0].demand.capability
            placed[name] = placed.get(name, 0) + len(tasks)
        return placed


def test_what_waits_is_counted_beside_the_credit() -> None:
    scene = Scene(ROOMY._replace(max_items=4, min_items=1, places=3))
    scene.add(ASK, 5)
    scene.add(RUN, 5)
    assert scene.place() == {ASK.name: 3, RUN.name: 4}
    assert (scene.peer.owed_waiting, scene.peer.owed_slots) == (3, 4)
    for task in list(scene.peer.owed.values()):
        scene.dispatch.settle(scene.peer, task)
    assert (scene.peer.owed_waiting, scene.peer.owed_us) == (0, 0.0)


def test_full_slots_do_not_keep_what_waits_from_its_place_nor_the_reverse() -> None:
    scene = Scene(Credit(0, 0, 0, 1 << 20, 2))
    scene.add(RUN, 3)
    scene.add(ASK, 3)
    assert scene.place() == {ASK.name: 2}
    scene.peer.credit = ROOMY
    assert scene.place() == {RUN.name: 3}


def test_an_old_peer_has_no_places() -> None:
    scene = Scene(ROOMY)
    scene.add(ASK, 1)
    assert scene.place() == {}


def test_a_node_without_slots_fits_what_waits() -> None:
    peer = Peer("n")
    peer.take_card(Card("n", 1, (ASK, RUN), slots=0))
    assert unfit(peer, Demand(ASK.name)) == ""
    assert unfit(peer, Demand(RUN.name)) == "has no slots"
