"""Matching what waits with room."""

from __future__ import annotations

import random

from support.lone import ROOMY, RUN

from nova_node.core.dispatch import COST_UNKNOWN_US, RANKINGS_MAX, Dispatch
from nova_node.core.events import Accepted, Event
from nova_node.core.model import Call, Capability, Card, Credit, Demand, Group, Phase, Status
from nova_node.core.placement import Worker
from nova_node.core.tasks import Tasks

TIGHT = Credit(20_000, 2, 1_000, 1 << 20)
NAMES = (RUN, Capability("cheap.run"), Capability("dear.run"))


class Scene:
    def __init__(self) -> None:
        self.tasks = Tasks()
        self.dispatch = Dispatch(random.Random(1))

    def worker(self, node: str, credit: Credit = ROOMY, *capabilities: Capability) -> Worker:
        worker = self.dispatch.workers[node] = Worker(node)
        worker.take_card(Card(node, 1, capabilities or NAMES, slots=2))
        worker.up, worker.credit = True, credit
        return worker

    def add(self, count: int, capability: str = "a.run", priority: int = 5) -> int:
        """The batch's number."""
        first = self.tasks.next_no
        group = Group(Demand(capability, priority=priority), (Call(b"1234"),) * count)
        self.tasks.apply(Event(first, first, 0.0, Accepted("", (group,))))
        self.dispatch.ready.extend([self.tasks.by_no[n] for n in range(first, first + count)])
        return first

    def learn(self, capability: str, cost_us: float) -> None:
        for _ in range(50):
            self.dispatch.learn(Demand(capability), Phase.RUN, cost_us)

    def place(self) -> list[tuple[str, int, int]]:
        """(node, batch, how many) of each placement."""
        placed: list[tuple[str, int, int]] = []
        for worker, tasks in self.dispatch.pick(0.0):
            for task in tasks:
                task.status, task.node = Status.RUNNING, worker.node
            self.dispatch.owe(worker, tasks)
            placed.append((worker.node, tasks[0].batch.first, len(tasks)))
        return placed

    def settle(self, worker: Worker, count: int) -> None:
        """The oldest are answered."""
        for task in list(worker.owed.values())[:count]:
            self.dispatch.settle(worker, task)


def test_tasks_are_spread_evenly() -> None:
    scene = Scene()
    scene.worker("a")
    scene.worker("b")
    scene.learn("a.run", 10)
    scene.add(11)
    assert sorted(count for _, _, count in scene.place()) == [5, 6]


def test_nobody_is_sent_more_than_it_asked_for() -> None:
    scene = Scene()
    worker = scene.worker("a", Credit(1_000_000, 1, 7, 1 << 20))
    scene.learn("a.run", 10)
    scene.add(100)
    assert scene.place() == [("a", 1, 7)]
    assert scene.place() == []
    scene.settle(worker, 3)
    assert scene.place() == [("a", 1, 3)]


def test_dear_tasks_travel_few_at_a_time() -> None:
    scene = Scene()
    scene.worker("a", TIGHT)
    scene.learn("a.run", 1e6)
    scene.add(100)
    assert scene.place() == [("a", 1, 2)]


def test_bytes_are_bounded() -> None:
    scene = Scene()
    worker = scene.worker("a", Credit(1_000_000, 2, 1_000, 4))
    scene.add(10)
    scene.place()
    assert worker.owed_bytes >= 4
    assert scene.place() == []


def test_nothing_goes_to_a_worker_that_is_not_connected_or_does_not_fit() -> None:
    scene = Scene()
    scene.worker("a").up = False
    scene.worker("b", ROOMY, Capability("other.thing"))
    scene.add(3)
    assert scene.place() == []


def test_batches_take_turns_when_room_is_scarce() -> None:
    scene = Scene()
    worker = scene.worker("a", Credit(1_000_000, 1, 4, 1 << 20))
    scene.learn("a.run", 10)
    batches = [scene.add(1_000), scene.add(1_000), scene.add(1)]
    order: list[int] = []
    for _ in range(3):
        order += [batch for _, batch, _ in scene.place()]
        scene.settle(worker, 4)
    assert order[:3] == batches


def test_a_flood_of_cheap_tasks_does_not_starve_a_dear_one() -> None:
    scene = Scene()
    worker = scene.worker("a", TIGHT)
    scene.learn("cheap.run", 10)
    scene.learn("dear.run", 1e6)
    scene.add(1_000_000 // 100, "cheap.run")
    scene.place()
    dear = scene.add(1, "dear.run")
    for _ in range(20):
        if dear in [batch for _, batch, _ in scene.place()]:
            return
        scene.settle(worker, 100)
    raise AssertionError("it was never placed")


def test_room_kept_for_one_flow_is_only_where_it_fits() -> None:
    scene = Scene()
    scene.worker("a", Credit(0, 0, 0, 0), Capability("dear.run"))
    scene.worker("b")
    scene.add(1, "dear.run", priority=9)
    cheap = scene.add(1, "cheap.run")
    assert ("b", cheap, 1) in scene.place() or scene.place()


def test_urgent_tasks_go_first() -> None:
    scene = Scene()
    scene.worker("a", Credit(1_000_000, 1, 1, 1 << 20))
    scene.add(5)
    urgent = scene.add(1, priority=9)
    assert scene.place() == [("a", urgent, 1)]


def test_costs_are_learned_by_capability_and_phase() -> None:
    scene = Scene()
    demand = Demand("a.run")
    assert scene.dispatch.cost_us(demand, Phase.RUN) == COST_UNKNOWN_US
    scene.learn("a.run", 100)
    assert 100 < scene.dispatch.cost_us(demand, Phase.RUN) < 120
    assert scene.dispatch.cost_us(demand, Phase.MERGE) == COST_UNKNOWN_US


def test_books_are_even_when_all_is_settled() -> None:
    scene = Scene()
    worker = scene.worker("a")
    scene.add(5)
    scene.place()
    scene.learn("a.run", 77)
    scene.settle(worker, 5)
    assert (worker.owed_us, worker.owed_bytes, len(worker.owed)) == (0.0, 0, 0)


def busy_and_idle() -> tuple[Scene, Worker]:
    scene = Scene()
    busy = scene.worker("busy")
    scene.add(40)
    scene.place()
    scene.worker("idle")
    return scene, busy


def test_half_of_what_the_busiest_has_is_recalled() -> None:
    scene, busy = busy_and_idle()
    assert scene.dispatch.recall(0.0) == (busy, 20)


def test_recalls_are_not_sent_one_after_another() -> None:
    scene, _ = busy_and_idle()
    scene.dispatch.recall(0.0)
    assert scene.dispatch.recall(0.001) is None
    assert scene.dispatch.recall(1.0) is not None


def test_nothing_is_recalled_when_nobody_is_idle() -> None:
    scene, _ = busy_and_idle()
    scene.add(1)
    scene.place()
    assert scene.dispatch.recall(0.0) is None


def test_little_work_is_not_recalled() -> None:
    scene = Scene()
    scene.worker("busy")
    scene.learn("a.run", 10)
    scene.add(10)
    scene.place()
    scene.worker("idle")
    assert scene.dispatch.recall(0.0) is None


def test_rankings_are_kept_and_bounded() -> None:
    scene = Scene()
    scene.worker("a")
    task = scene.tasks.by_no[scene.add(1)]
    scene.place()
    ranking = scene.dispatch.ranking(task)
    assert ranking is not None
    assert [rank.node for rank in ranking.ranks] == ["a"]
    for number in range(RANKINGS_MAX + 10):
        scene.add(1, f"other.x{number}")
    scene.place()
    assert scene.dispatch.ranking(task) is None
