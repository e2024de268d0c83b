"""Whose tasks they are: who may repeat a request, whose turn it is, who may cancel, what may run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import grpc
import pytest
from nova_proto.identity.names import Name
from nova_proto.v1 import tasks_pb2
from support.forge import MESH, PERSON
from support.lone import PLAIN, Lone, only

from nova_node.adapters.wire_events import event_from_bytes, event_to_bytes
from nova_node.core.effects import Acknowledge
from nova_node.core.errors import Refused
from nova_node.core.events import Accepted, Event
from nova_node.core.fairness import ReadyQueue
from nova_node.core.model import Attempt, Call, Demand, Failure, Group, Mandate, Phase, Status
from nova_node.core.owner import SubmitAnswer
from nova_node.core.signals import Ran, Submit
from nova_node.core.tasks import Task, Tasks
from nova_node.inputs import Inputs
from nova_node.server.caller import set_caller
from nova_node.server.tasks import TasksService
from nova_node.server.views import task_view

UNUSED: Any = None
ADA, BOB = Mandate("submitter/ada", b"signed by ada"), Mandate("submitter/bob", b"signed by bob")


def accepted(tasks: Tasks, mandate: Mandate | None, count: int = 1) -> list[Task]:
    first = tasks.next_no
    fact = Accepted(f"r{first}", (Group(PLAIN, (Call(),) * count),), mandate)
    tasks.apply(Event(first, first, 0.0, fact))
    return [tasks.by_no[no] for no in range(first, first + count)]


# ------------------------------------------------------------ the same request again


def answer(lone: Lone, mandate: Mandate | None) -> object:
    submit = Submit(None, "r", (Group(PLAIN, (Call(),)),), mandate)
    return only(lone.tell(submit), Acknowledge)[0].answer


def test_the_same_submitter_gets_the_same_answer() -> None:
    lone = Lone()
    again = Mandate(ADA.submitter, b"signed again")
    assert answer(lone, ADA) == answer(lone, again) == SubmitAnswer("r", 1, 1)


@pytest.mark.parametrize("other", [BOB, None, Mandate("admin/ada", b"signed as admin")])
def test_another_submitter_cannot_take_the_request(other: Mandate | None) -> None:
    lone = Lone()
    answer(lone, ADA)
    said = answer(lone, other)
    assert isinstance(said, Refused)
    assert "of another submitter" in said.message


# ------------------------------------------------------------ whose turn it is


def turns(queue: ReadyQueue, count: int) -> str:
    """Whose flow is served first, in so many walks."""
    order = ""
    for _ in range(count):
        for flow in queue.flows():
            queue.served(flow)
            (task,) = flow.take(1)
            order += task.batch.submitter[-3].upper()
            break
    return order


def test_submitters_take_turns_however_many_submits_each_has() -> None:
    tasks, queue = Tasks(), ReadyQueue()
    for _ in range(20):
        queue.extend(accepted(tasks, ADA, 10))
    queue.extend(accepted(tasks, BOB, 10))
    assert turns(queue, 8) == "ABABABAB"


def test_one_walk_goes_from_submitter_to_submitter() -> None:
    tasks, queue = Tasks(), ReadyQueue()
    for mandate in (ADA, ADA, ADA, BOB, None):
        queue.extend(accepted(tasks, mandate))
    walk = [flow.submitter for flow in queue.flows()]
    assert walk == [ADA.submitter, BOB.submitter, "", ADA.submitter, ADA.submitter]


def test_submitters_vanish_with_their_last_task() -> None:
    tasks, queue = Tasks(), ReadyQueue()
    queue.extend(accepted(tasks, ADA))
    queue.extend(accepted(tasks, BOB))
    for flow in queue.flows():
        flow.take(9)
    assert list(queue.flows()) == []
    assert not queue


# ------------------------------------------------------------ kept and shown


def test_the_submitter_survives_the_journal_and_is_shown() -> None:
    fact = Accepted("r", (Group(PLAIN, (Call(),)),), ADA)
    tasks = Tasks()
    tasks.apply(event_from_bytes(event_to_bytes(Event(1, 1, 0.0, fact))))
    assert task_view("ownernode", tasks.by_no[1], full=True).submitter == "submitter/ada"


# ------------------------------------------------------------ who may cancel


class Aborted(Exception):
    pass


class Context:
    async def abort(self, code: grpc.StatusCode, details: str, metadata: object) -> None:
        raise Aborted(code, details)


class Runtime:
    """As much of one as Cancel asks for."""

    def __init__(self, lone: Lone) -> None:
        self.engine = lone.engine
        self.membership = cast("Any", type("Nobody", (), {"members": {}}))
        self._lone = lone

    def post(self, signal: Any) -> None:
        for effect in only(self._lone.tell(signal), Acknowledge):
            effect.token(effect.answer)


def cancel(lone: Lone, caller: Name | None, id_: str = "") -> object:
    service = TasksService(cast("Any", Runtime(lone)), UNUSED, UNUSED, UNUSED)

    async def main() -> object:
        set_caller(caller)
        request = tasks_pb2.CancelRequest(id=id_ or f"{lone.engine.me[:8]}-1")
        return (await service.Cancel(request, Context())).status

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("caller", "mandate"),
    [
        (PERSON, ADA),
        (Name(MESH, "admin", "root"), ADA),
        (Name(MESH, "admin", "root"), None),
        (None, None),
    ],
)
def test_a_submitter_cancels_its_own_and_an_admin_all(
    caller: Name | None, mandate: Mandate | None
) -> None:
    lone = Lone()
    answer(lone, mandate)
    assert cancel(lone, caller) == Status.CANCELLED


@pytest.mark.parametrize("mandate", [BOB, None, Mandate("admin/ada", b"")])
def test_nobody_cancels_what_another_submitted(mandate: Mandate | None) -> None:
    lone = Lone()
    answer(lone, mandate)
    with pytest.raises(Aborted) as caught:
        cancel(lone, PERSON)
    assert caught.value.args[0] is grpc.StatusCode.PERMISSION_DENIED
    assert lone.task(1).status is not Status.CANCELLED


def requeue(lone: Lone, caller: Name | None) -> tasks_pb2.Requeuing:
    """Of the only task, which is no dead letter."""
    service = TasksService(cast("Any", Runtime(lone)), UNUSED, UNUSED, UNUSED)

    async def main() -> tasks_pb2.Requeuing:
        set_caller(caller)
        request = tasks_pb2.RequeueRequest(ids=[f"{lone.engine.me[:8]}-1"])
        return (await service.Requeue(request, Context())).tasks[0]

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("caller", "mandate"), [(PERSON, ADA), (Name(MESH, "admin", "root"), ADA), (None, None)]
)
def test_a_submitter_requeues_its_own_and_an_admin_all(
    caller: Name | None, mandate: Mandate | None
) -> None:
    lone = Lone()
    answer(lone, mandate)
    assert requeue(lone, caller).error.code == "not_dead"


def test_nobody_requeues_what_another_submitted() -> None:
    lone = Lone()
    answer(lone, BOB)
    with pytest.raises(Aborted) as caught:
        requeue(lone, PERSON)
    assert caught.value.args[0] is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("ids", [(), ("k7q2m9xd-1", "aaaaaaaa-1"), ("nothing",)])
def test_what_names_no_tasks_of_one_owner_is_refused(ids: tuple[str, ...]) -> None:
    service = TasksService(cast("Any", Runtime(Lone())), UNUSED, UNUSED, UNUSED)

    async def main() -> None:
        set_caller(None)
        await service.Requeue(tasks_pb2.RequeueRequest(ids=ids), Context())

    with pytest.raises(Aborted) as caught:
        asyncio.run(main())
    assert caught.value.args[0] is grpc.StatusCode.INVALID_ARGUMENT


# ------------------------------------------------------------ what may run


class Executor:
    def __init__(self) -> None:
        self.ran: list[int] = []

    def run(self, slot: int, keys: Sequence[int], attempts: Sequence[Attempt]) -> None:
        assert len(keys) == len(attempts)
        self.ran += keys


@pytest.mark.parametrize("refused", [(), (1,), (0, 2), (0, 1, 2)])
def test_what_the_gate_refuses_ends_as_failed_and_the_rest_runs(refused: tuple[int, ...]) -> None:
    failure = Failure("not_permitted", "no", "ask")

    def gate(attempts: Sequence[Attempt]) -> Mapping[int, Failure]:
        return dict.fromkeys(refused, failure)

    executor = Executor()
    inputs = Inputs(UNUSED, UNUSED, cast("Any", executor), UNUSED, gate)
    posted: list[Any] = []
    inputs.post = posted.append
    attempts = [Attempt(no, 4, Demand("a.run"), Phase.RUN, Call()) for no in (7, 8, 9)]
    inputs.run(3, [70, 80, 90], attempts)
    assert executor.ran == [key for place, key in enumerate((70, 80, 90)) if place not in refused]
    said = [
        (signal.slot, item.key, item.outcome.no, item.outcome.attempt, item.outcome.failure)
        for signal in posted
        if isinstance(signal, Ran)
        for item in signal.results
    ]
    assert said == [(3, 10 * (7 + at), 7 + at, 4, failure) for at in refused]
