"""Who goes first among what waits."""

from __future__ import annotations

from nova_node.core.events import Accepted, Event
from nova_node.core.fairness import ReadyQueue
from nova_node.core.model import Call, Demand, Group, Status
from nova_node.core.tasks import Task, Tasks


class Waiting:
    """A queue and the tasks in it; batches are told apart by their first number."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.queue = ReadyQueue()

    def add(self, count: int, priority: int = 5, capability: str = "a.run") -> list[Task]:
        first = self.tasks.next_no
        group = Group(Demand(capability, priority=priority), (Call(),) * count)
        self.tasks.apply(Event(first, first, 0.0, Accepted("", (group,))))
        added = [self.tasks.by_no[no] for no in range(first, first + count)]
        self.queue.extend(added)
        return added

    def firsts(self) -> list[int]:
        """The number at the head of each flow, in the order of the walk."""
        return [head.no for flow in self.queue.flows() if (head := flow.head())]


def test_urgent_first() -> None:
    waiting = Waiting()
    waiting.add(1, priority=2)
    waiting.add(1, priority=9)
    waiting.add(1, priority=5)
    assert waiting.firsts() == [2, 3, 1]


def test_tasks_of_a_flow_stay_in_order() -> None:
    waiting = Waiting()
    waiting.add(4)
    (flow,) = waiting.queue.flows()
    assert [t.no for t in flow.take(3)] == [1, 2, 3]
    assert [t.no for t in flow.take(3)] == [4]


def test_whoever_was_served_comes_last_next_time() -> None:
    waiting = Waiting()
    waiting.add(10)
    waiting.add(10)
    waiting.add(10)
    order: list[int] = []
    for _ in range(6):
        for flow in waiting.queue.flows():
            waiting.queue.served(flow)
            order += [t.batch.first for t in flow.take(1)]
            break
    assert order == [1, 11, 21, 1, 11, 21]


def test_who_was_not_served_stays_in_front() -> None:
    waiting = Waiting()
    waiting.add(1)
    waiting.add(1)
    assert waiting.firsts() == waiting.firsts() == [1, 2]


def test_a_task_pushed_first_is_taken_first() -> None:
    waiting = Waiting()
    tasks = waiting.add(3)
    flow = next(waiting.queue.flows())
    flow.take(1)
    waiting.queue.push(tasks[0], first=True)
    assert [t.no for t in flow.take(3)] == [1, 2, 3]


def test_tasks_that_no_longer_wait_are_passed_over() -> None:
    waiting = Waiting()
    tasks = waiting.add(3)
    tasks[0].status = tasks[1].status = Status.CANCELLED
    flow = next(waiting.queue.flows())
    head = flow.head()
    assert head is not None
    assert head.no == 3


def test_empty_flows_vanish() -> None:
    waiting = Waiting()
    for task in waiting.add(3):
        task.status = Status.CANCELLED
    assert waiting.queue
    assert waiting.firsts() == []
    assert not waiting.queue


def test_different_demands_of_one_batch_are_different_flows() -> None:
    waiting = Waiting()
    waiting.add(1, capability="a.run")
    waiting.add(1, capability="b.run")
    assert len(waiting.firsts()) == 2
