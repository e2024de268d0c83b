"""Ten times more work than a node can do: what it has no room for is refused, what it took is done."""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from nova_client import Call, Client, Status
from nova_proto.v1 import task_pb2, tasks_pb2, tasks_pb2_grpc
from support.mesh import Mesh, eventually, run
from support.queue_check import CAPABILITY, runs

TASKS_MAX = 200
SLOTS = 2
TASK_S = 0.02
BATCH = 10
PAUSE_S = BATCH * TASK_S / SLOTS / 10
"""Between submits: ten times what the slots can do."""

OVER_S = [4.0, pytest.param(120.0, marks=[pytest.mark.long, pytest.mark.timeout(400)])]
RECOVERED_S = 30.0
ANSWER_S = 20.0

LARGE_BYTES = 1 << 20
LARGE_AT_ONCE, LARGE_ROUNDS = 16, 40
LARGE_HELD_BYTES = 750 << 20
"""More than what a node has under way, keeps and cannot give back at once; half of what it is given
and gives."""


class Flood:
    """Submits batches whether or not the earlier ones were taken."""

    def __init__(self, stub: Any, marks: Path) -> None:
        self._stub, self._marks = stub, marks
        self._numbers = 0
        self._under_way: set[asyncio.Task[None]] = set()
        #: task id -> number
        self.taken: dict[str, int] = {}
        self.refused = 0

    async def run(self, over_s: float) -> None:
        end = time.monotonic() + over_s
        while time.monotonic() < end:
            one = asyncio.create_task(self._submit())
            self._under_way.add(one)
            one.add_done_callback(self._under_way.discard)
            await asyncio.sleep(PAUSE_S)
        await asyncio.gather(*self._under_way)

    async def _submit(self) -> None:
        first, self._numbers = self._numbers, self._numbers + BATCH
        group = task_pb2.Group(demand=task_pb2.Demand(capability=CAPABILITY))
        for number in range(first, first + BATCH):
            args = {"path": str(self._marks), "number": number, "seconds": TASK_S}
            group.calls.add(args=json.dumps(args).encode())
        request = tasks_pb2.SubmitRequest(request_id=secrets.token_hex(8), groups=[group])
        try:
            reply = await self._stub.Submit(request, timeout=ANSWER_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            self.refused += BATCH
            return
        for at in range(BATCH):
            self.taken[f"{reply.owner[:8]}-{reply.first + at}"] = first + at


async def most_queued(client: Client, until: asyncio.Event) -> int:
    most = 0
    while not until.is_set():
        status = await client.status()
        most = max(most, status.waiting + status.running)
        await asyncio.sleep(0.05)
    return most


@pytest.mark.parametrize("over_s", OVER_S)
def test_too_much_is_refused_and_nothing_taken_is_lost(
    mesh: Mesh, tmp_path: Path, over_s: float
) -> None:
    mesh.environment["NOVA_QUEUES_TASKS_MAX"] = str(TASKS_MAX)
    node = mesh.start("only", "--slots", str(SLOTS), "--capability", "support.mesh_capabilities")
    marks = tmp_path / "marks"

    async def scene() -> None:
        async with node.client() as client, grpc.aio.insecure_channel(node.address) as channel:
            flood = Flood(tasks_pb2_grpc.TasksStub(node.keyed(channel)), marks)
            over = asyncio.Event()
            looking = asyncio.create_task(most_queued(client, over))
            await flood.run(over_s)
            over.set()
            assert await looking <= TASKS_MAX
            began = time.monotonic()

            async def idle() -> bool:
                status = await client.status()
                return not status.waiting + status.running

            await eventually(idle, "what was taken to be done", RECOVERED_S)
            task = await client.submit("core.echo", {"data": "again"})
            assert await task.result(ANSWER_S) == "again"
            took_s = time.monotonic() - began
            for id, number in flood.taken.items():
                view = await client.get(id)
                assert (view.status, view.value) == (Status.DONE, number)
            assert runs(marks, "E").keys() == set(flood.taken.values())
            assert len(flood.taken) > TASKS_MAX
            assert flood.refused > len(flood.taken)
            told = f"{len(flood.taken)} taken, {flood.refused} refused, idle after {took_s:.1f} s"
            sys.stdout.write(f"{told}\n")

    run(scene(), over_s + 80.0)
    assert node.process.poll() is None


MANY = 60_000
"""Results, more than are kept of what nobody waits for, and than fit between a node and its client."""


def test_a_client_that_reads_nothing_for_a_while_loses_no_result(mesh: Mesh) -> None:
    node = mesh.start("only", "--slots", "2")
    call = task_pb2.Call(args=json.dumps({"data": "x" * 600}).encode())
    group = task_pb2.Group(demand=task_pb2.Demand(capability="core.echo"))
    group.calls.extend([call] * (MANY // 10))

    async def scene() -> None:
        async with node.client() as client, grpc.aio.insecure_channel(node.address) as channel:
            stub: Any = tasks_pb2_grpc.TasksStub(node.keyed(channel))
            session = stub.Session()
            for number in range(10):
                submit = tasks_pb2.SubmitRequest(request_id=f"many-{number}", groups=[group])
                await session.write(tasks_pb2.SessionRequest(submit=submit))

            async def done() -> bool:
                return (await client.status()).done == MANY

            await eventually(done, "all of it to be done", 60.0)
            ended = 0
            while ended < MANY:
                reply = await session.read()
                assert reply is not grpc.aio.EOF, session
                ended += sum(len(event.finished.outcomes) for event in reply.events)

    run(scene())


def test_large_volatile_payloads_leave_the_memory_when_they_were_told(mesh: Mesh) -> None:
    node = mesh.start("only", "--slots", "2")
    process, data = psutil.Process(node.pid), secrets.token_bytes(LARGE_BYTES)

    async def scene() -> None:
        most = 0
        async with node.client() as client:
            for _ in range(LARGE_ROUNDS):
                calls = [Call("core.echo", inputs={"data": data})] * LARGE_AT_ONCE
                for task in await client.submit_many(calls, durability="volatile"):
                    assert await task.result() == data
                most = max(most, process.memory_info().rss)
            await eventually(functools.partial(all_recorded, client), "all of it to be recorded")
        assert most < LARGE_HELD_BYTES < 2 * LARGE_BYTES * LARGE_AT_ONCE * LARGE_ROUNDS

    async def all_recorded(client: Client) -> bool:
        table = await client.metrics.sql("SELECT count(*) FROM tasks")
        return [row[-1] for row in table.rows] == [LARGE_AT_ONCE * LARGE_ROUNDS]

    run(scene())
