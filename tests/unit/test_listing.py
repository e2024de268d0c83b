"""Lists of tasks: the same answer as a look at every task, and the event loop gets its turns."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nova_proto.v1 import tasks_pb2 as pb

from nova_node.core.events import Accepted, Assigned, Event, Finished, Grown
from nova_node.core.model import Call, Demand, Fence, Group, Outcome, Phase, Status
from nova_node.core.tasks import Task, Tasks
from nova_node.runtime import Runtime
from nova_node.server import listing

ME = "k7q2m9xdaaaa"


def some_tasks(seed: int) -> Tasks:
    """Batches of several sizes; some of their tasks have ended, some have grown others."""
    rng, tasks = random.Random(seed), Tasks()
    for _ in range(40):
        first, name = tasks.next_no, rng.choice(["core.echo", "core.sleep"])
        group = Group(Demand(name), tuple([Call(b"{}")] * rng.choice([1, 1, 3, 30])), ())
        tasks.apply(Event(0, first, first * 1.0, Accepted("", (group,))))
        for no in range(first, first + len(group.calls)):
            if rng.random() < 0.5:
                fate(rng, tasks, first, no)
    return tasks


def fate(rng: random.Random, tasks: Tasks, batch: int, no: int) -> None:
    if rng.random() < 0.2:
        grown = Grown(no, tasks.next_no, Phase.RUN, (Call(b"{}"),) * 3)
        tasks.apply(Event(0, batch, 1.0, grown))
        return
    tasks.apply(Event(0, batch, 1.0, Assigned("n", (Fence(no, 1),))))
    if rng.random() < 0.8:
        status = rng.choice([Status.DONE, Status.FAILED, Status.CANCELLED])
        outcome = Outcome(no, 1, status, None, None, "n", 1.0, 1)
        tasks.apply(Event(0, batch, 2.0, Finished((outcome,))))


def runtime(tasks: Tasks) -> Runtime:
    return cast("Runtime", SimpleNamespace(engine=SimpleNamespace(me=ME, tasks=tasks)))


def listed(tasks: Tasks, **request: Any) -> pb.ListReply:
    ask = pb.ListRequest(local_only=True, **request)
    stubs = cast("Any", None)
    return asyncio.run(listing.list_tasks(runtime(tasks), stubs, ask))


def numbers(reply: pb.ListReply) -> list[int]:
    return [int(view.id.rpartition("-")[2]) for view in reply.tasks]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("children", [False, True])
def test_a_list_is_what_a_look_at_every_task_finds(
    seed: int, children: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SLICE", 7)
    monkeypatch.setattr(listing, "VIEWS_SLICE", 3)
    tasks = some_tasks(seed)

    def matches(task: Task, statuses: tuple[Status, ...], capability: str) -> bool:
        return (
            (children or task.parent is None)
            and (not statuses or task.status in statuses)
            and capability in ("", task.demand.capability)
        )

    for statuses in (
        *((), (Status.WAITING,), (Status.FAILED,), (Status.RUNNING, Status.DONE)),
        (Status.DONE, Status.FAILED, Status.CANCELLED),
    ):
        for capability in ("", "core.echo", "core.other"):
            found = [t.no for t in tasks.by_no.values() if matches(t, statuses, capability)]
            for limit in (1, 10, 1_000):
                reply = listed(
                    tasks,
                    limit=limit,
                    statuses=statuses,
                    capability=capability,
                    children=children,
                )
                assert reply.total == len(found)
                assert numbers(reply) == sorted(found, reverse=True)[:limit]


def test_a_status_that_is_not_known_is_of_no_task() -> None:
    assert listed(some_tasks(1), statuses=[99]).total == 0


def test_children_come_in_pages_whatever_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SLICE", 4)
    tasks = Tasks()
    tasks.apply(Event(0, 1, 1.0, Accepted("", (Group(Demand("a.b"), (Call(),), ()),))))
    tasks.apply(Event(0, 1, 1.0, Grown(1, 2, Phase.RUN, (Call(),) * 23)))
    found: list[int] = []
    while len(found) < 23:
        ask = pb.ListRequest(limit=5, skip=len(found), statuses=cast("Any", [int(Status.WAITING)]))
        page = asyncio.run(listing.list_children(runtime(tasks), tasks.by_no[1], ask))
        assert page.total == 23
        found += numbers(page)
    assert found == list(range(2, 25))


def test_others_have_their_turn_while_a_list_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accepted or forgotten meanwhile does no harm."""
    monkeypatch.setattr(listing, "SLICE", 10)
    tasks = some_tasks(2)
    count = len(tasks.by_no)

    async def main() -> None:
        ask = pb.ListRequest(local_only=True, children=True)
        work = asyncio.create_task(listing.list_tasks(runtime(tasks), cast("Any", None), ask))
        turns = 0
        while not work.done():
            turns += 1
            if turns == 3:
                tasks.forget(next(iter(tasks.batches.values())))
            await asyncio.sleep(0)
        assert turns >= count // 10
        assert (await work).total <= count

    asyncio.run(main())
