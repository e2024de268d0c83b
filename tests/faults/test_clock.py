"""The clock of one node jumps an hour ahead and two back: nobody is called dead, no deadline comes early or
late, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest
from nova_client import Client, Status
from nova_client.model import SubmitOptions
from support.mesh import Mesh, met, run
from support.queue_check import Ledger

MODULE = ("--slots", "1", "--capability", "support.mesh_capabilities")
JUMPING = (sys.executable, "-m", "support.jumping_node")
JUMPS = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2]
AFTER_S = 1.5
DEADLINE_S = 2.0


async def check_deadline(client: Client) -> None:
    """That is for another node to keep which never comes."""
    began = time.monotonic()
    options = SubmitOptions(labels={"place": "nowhere"}, deadline_s=DEADLINE_S)
    late = await client.submit("core.noop", **options)
    outcome = await late.wait(20.0)
    assert outcome.error.code == "deadline"
    assert DEADLINE_S - 0.1 <= time.monotonic() - began <= DEADLINE_S + 1.0


@pytest.mark.parametrize("jumping", ["owner", "worker"])
def test_a_clock_that_jumps_changes_nothing(mesh: Mesh, tmp_path: Path, jumping: str) -> None:
    for name in ("owner", "worker"):
        mesh.start(name, *MODULE, command=JUMPING if name == jumping else ())
    owner, node = mesh.nodes["owner"], mesh.nodes[jumping]

    async def scene() -> None:
        async with owner.client() as client:
            await met(client, 2)
            ledger = Ledger(client, tmp_path / "marks")
            ledger.watch()
            over = asyncio.Event()
            submitting = asyncio.create_task(ledger.keep_submitting(over, open_max=8))
            for jump in JUMPS:
                checking = asyncio.create_task(check_deadline(client))
                await asyncio.sleep(DEADLINE_S / 4)
                node.signal(jump)
                end = time.monotonic() + AFTER_S
                while time.monotonic() < end:
                    states = {n.state for n in (await client.nodes()).nodes}
                    assert "dead" not in states
                    await asyncio.sleep(0.1)
                await checking
            over.set()
            await submitting
            verdict = await ledger.settle()
            assert verdict.clean, verdict
            assert {n.state for n in (await client.nodes()).nodes} == {"alive"}
            for task in ledger.tasks.values():
                assert (await client.get(task.id)).status is Status.DONE

    run(scene())
