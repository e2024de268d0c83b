"""A node that gets a fiftieth of a processor: it calls nobody dead, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from nova_client import Client, NovaError
from nova_client.event import PeerChanged
from support import starving
from support.mesh import Mesh, met, run
from support.queue_check import Ledger

pytestmark = pytest.mark.skipif(bool(starving.refused()), reason=starving.refused())

MODULE = ("--slots", "1", "--capability", "support.mesh_capabilities")
SHARE = 0.02
FOR_S = [8.0, pytest.param(120.0, marks=[pytest.mark.long, pytest.mark.timeout(400)])]
QUIET_S = 1.0
STARVING_S = 0.2
"""What it takes to answer, at the least, at some moment; else it did not starve."""


async def called_dead(client: Client) -> list[str]:
    """Names of the peers that a node has called dead since it began."""
    names: list[str] = []
    try:
        async with asyncio.timeout(QUIET_S), aclosing(client.watch(1)) as events:
            async for event in events:
                match event.fact:
                    case PeerChanged(name=name, state="dead"):
                        names.append(name)
                    case _:
                        pass
    except TimeoutError:
        return names
    raise AssertionError("the watch ended")


@pytest.mark.parametrize("for_s", FOR_S)
def test_who_starves_calls_nobody_dead(mesh: Mesh, tmp_path: Path, for_s: float) -> None:
    owner, starved, _ = (mesh.start(name, *MODULE) for name in ("owner", "starved", "other"))

    async def scene() -> None:
        slowest_s = 0.0
        async with owner.client() as client, starved.client(timeout_s=3.0) as asked:
            await met(client, 3)
            ledger = Ledger(client, tmp_path / "marks")
            ledger.watch()
            over = asyncio.Event()
            submitting = asyncio.create_task(ledger.keep_submitting(over, open_max=8))
            with starving.Starved(starved.pid, SHARE):
                end = time.monotonic() + for_s
                while time.monotonic() < end:
                    began = time.monotonic()
                    with suppress(NovaError):
                        await asked.status()
                    slowest_s = max(slowest_s, time.monotonic() - began)
            assert slowest_s > STARVING_S
            await met(client, 3)
            over.set()
            await submitting
            verdict = await ledger.settle()
            assert verdict.clean, verdict
            await met(asked, 3)
            assert await called_dead(asked) == []

    run(scene(), for_s + 90.0)
