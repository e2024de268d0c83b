"""The disk of a node's data fills up: new work is refused, the rest goes on, and all it needs is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nova_client import Client, Overloaded, Status
from support.mesh import Mesh, eventually, run
from support.queue_check import Ledger

PIECE_BYTES = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Where the data of the node `only` will be: 16 MB."""
    folder = tmp_path / "only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """To the last byte."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(PIECE_BYTES)) == PIECE_BYTES:
            pass


async def is_refused(client: Client) -> bool:
    try:
        await client.put_blob(os.urandom(PIECE_BYTES))
    except Overloaded:
        return True
    return False


def test_it_refuses_goes_on_and_recovers(small_disk: Path, mesh: Mesh, tmp_path: Path) -> None:
    only = mesh.start("only", "--slots", "2", "--capability", "support.mesh_capabilities")
    ballast = small_disk / "ballast"

    async def scene() -> None:
        async with only.client() as client:
            ledger = Ledger(client, tmp_path / "marks")
            ledger.watch()
            blob = await client.put_blob(b"kept")
            for _ in range(5):
                await ledger.submit()
            await ledger.tasks[0].wait(20.0)
            over = asyncio.Event()
            submitting = asyncio.create_task(ledger.keep_submitting(over))
            await asyncio.to_thread(fill, ballast)
            await eventually(lambda: is_refused(client), "new work to be refused")

            # a blob may fit where a journal row does not; from here on neither does
            async def stuck() -> bool:
                before = len(ledger.tasks)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(fill, ballast)
                return len(ledger.tasks) == before

            await eventually(stuck, "no more submit to be acknowledged")
            assert await client.get_blob(blob) == b"kept"
            assert (await client.get(ledger.tasks[0].id)).status is Status.DONE
            assert (await client.nodes()).nodes
            accepted = len(ledger.tasks)
            ballast.unlink()

            async def goes_on() -> bool:
                return len(ledger.tasks) > accepted

            await eventually(goes_on, "work to be accepted again")
            assert not await is_refused(client)
            over.set()
            await submitting
            verdict = await ledger.settle()
            assert verdict.clean, verdict

            await asyncio.to_thread(fill, ballast)
            assert await client.drain(timeout_s=10.0) == 0

    run(scene())
    assert only.exit_code() == 0
    ballast.unlink()
    only.restart()
