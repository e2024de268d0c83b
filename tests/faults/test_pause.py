"""A process that stands still for seconds: suspected, taken up again, and what it sends late is fenced."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from support.mesh import Mesh, eventually, met, run
from support.queue_check import Ledger

MODULE = ("--capability", "support.mesh_capabilities")
PAUSES_S = [5.0, pytest.param(30.0, marks=pytest.mark.long)]


@pytest.mark.parametrize("pause_s", PAUSES_S)
@pytest.mark.parametrize("paused", ["worker", "owner"])
def test_a_node_is_stopped_and_goes_on(
    mesh: Mesh, tmp_path: Path, paused: str, pause_s: float
) -> None:
    owner = mesh.start("owner", "--slots", "1", *MODULE)
    mesh.start("worker", "--slots", "1", *MODULE)
    mesh.start("other", "--slots", "1", *MODULE)

    async def scene() -> None:
        async with owner.client() as client:
            await met(client, 3)
            ledger = Ledger(client, tmp_path / "marks")
            ledger.watch()
            over = asyncio.Event()
            submitting = asyncio.create_task(ledger.keep_submitting(over))
            await asyncio.sleep(0.3)
            mesh.nodes[paused].signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            mesh.nodes[paused].signal(signal.SIGCONT)
            await met(client, 3)
            over.set()
            await submitting
            verdict = await ledger.settle()
            assert verdict.clean, verdict

            async def every_node_works() -> bool:
                tasks = await client.submit_many([("core.sleep", {"seconds": 0.05})] * 12)
                for task in tasks:
                    await task.result(20.0)
                return len({task.outcome.node for task in tasks if task.outcome}) == 3

            await eventually(every_node_works, "work on all three nodes again")

    run(scene())
    assert all(node.process.poll() is None for node in mesh.nodes.values())
