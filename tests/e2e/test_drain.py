"""A node that is told to stop finishes what runs; told twice, it stops now."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nova_client import Refused, Status, Unreachable
from support.mesh import Mesh, Node, eventually, met, run, wait_for

MODULE = ["--capability", "support.mesh_capabilities", "--slots", "1"]


async def running(node: Node, path: Path) -> None:
    await asyncio.to_thread(wait_for, path.exists, f"a task to run on {node.name}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished_first(mesh: Mesh, tmp_path: Path, number: signal.Signals) -> None:
    node = mesh.start("only", *MODULE)
    marks = tmp_path / "marks"

    async def scene() -> None:
        async with node.client(give_up_s=2.0) as client:
            args = {"path": str(marks), "number": 7, "seconds": 0.5}
            task = await client.submit("mesh.mark", args)
            await running(node, marks)
            node.signal(number)
            assert await task.result(20.0) == 7

    run(scene())
    assert node.exit_code() == 0
    assert [line[0] for line in marks.read_text().splitlines()] == ["S", "E"]


def test_it_says_so_and_takes_no_new_work(mesh: Mesh, tmp_path: Path) -> None:
    node = mesh.start("only", *MODULE)
    go, marks = tmp_path / "go", tmp_path / "marks"

    def health() -> int:
        with grpc.insecure_channel(node.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(node.keyed(channel))
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=5.0).status

    async def scene() -> None:
        async with node.client(give_up_s=2.0) as client:
            task = await client.submit("mesh.talk", {"path": str(go)})
            async for _ in task.logs(follow=True):
                break
            assert health() == health_pb2.HealthCheckResponse.SERVING
            node.signal(signal.SIGTERM)
            wait_for(lambda: health() == health_pb2.HealthCheckResponse.NOT_SERVING, "draining")
            args = {"path": str(marks), "number": 1, "seconds": 0}
            with pytest.raises(Refused, match="drain"):
                await client.submit("mesh.mark", args)
            go.touch()
            assert await task.result(20.0) == "said"

    run(scene())
    assert node.exit_code() == 0
    assert not marks.exists()


def test_interrupted_twice_it_stops_now(mesh: Mesh, tmp_path: Path) -> None:
    node = mesh.start("only", *MODULE)
    marks = tmp_path / "marks"

    async def scene() -> None:
        async with node.client(give_up_s=0.5) as client:
            args = {"path": str(marks), "number": 7, "seconds": 60.0}
            task = await client.submit("mesh.mark", args)
            await running(node, marks)
            workers = node.workers()
            node.signal(signal.SIGINT)
            wait_for(lambda: "interrupt again" in node.said(), "the hint")
            began = time.monotonic()
            node.signal(signal.SIGINT)
            node.exit_code()
            assert time.monotonic() - began < 5.0
            assert workers
            wait_for(lambda: not any(w.is_running() for w in workers), "its workers to be gone")
            with pytest.raises(Unreachable):
                await task.result(20.0)

    run(scene())


def test_a_peer_that_drains_gets_no_more_work(mesh: Mesh) -> None:
    owner, peer = mesh.start("owner", *MODULE), mesh.start("peer", *MODULE)

    async def scene() -> None:
        async with owner.client() as client, peer.client() as other:
            await met(client, 2)
            assert await other.drain(stay=True, timeout_s=10.0) == 0

            async def told() -> bool:
                return any(node.draining for node in (await client.nodes()).nodes)

            await eventually(told, "the owner to know")
            tasks = await client.submit_many([("core.sleep", {"seconds": 0.01})] * 20)
            for task in tasks:
                await task.result(20.0)
            assert {task.outcome.node for task in tasks if task.outcome} == {client.node}
            assert all(task.outcome and task.outcome.status is Status.DONE for task in tasks)

    run(scene())


def test_drained_over_the_wire_it_ends_with_zero(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE)

    async def scene() -> None:
        async with node.client() as client:
            assert await client.drain(timeout_s=10.0) == 0

    run(scene())
    assert node.exit_code() == 0
