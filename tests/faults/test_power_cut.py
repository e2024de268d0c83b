"""The power of an owner's disk is cut while work streams in: what was acknowledged and what was announced
are there when it is back, as they were."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nova_client import BlobRef, Client, NotFound, NovaError, Status, Task, Unreachable
from support import power
from support.mesh import NODE, Mesh, Node, eventually, met, run
from support.queue_check import Ledger, seed

if why := power.refused() or (os.environ.get("CI") != "true" and power.missing()):
    pytest.skip(why, allow_module_level=True)

MODULE = ("--capability", "support.mesh_capabilities")
CUTS = [3, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
SMALL_BYTES = 1_000
LARGE_BYTES = 2_500_000
"""More than fits a message: the value is a blob."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[power.Disk]:
    """Where the data of the node `owner` will be."""
    with power.Disk(tmp_path / "disk.img", tmp_path / "owner") as disk:
        yield disk


class Promises:
    """What the owner has said, and must stand by."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self._client = client
        self._random = ledger.random
        self._ledger = ledger
        self._draws: list[Task] = []
        #: values as they were when their ends were announced
        self._values: dict[str, bytes] = {}
        self._blobs: list[tuple[BlobRef, bytes]] = []
        self._checked = 0
        #: what the owner has named to us: it may never find these damaged
        self.blob_ids: set[str] = set()

    async def keep_drawing(self, until: asyncio.Event) -> None:
        """Tasks whose value no second attempt could repeat, small and large, from both nodes."""
        while not until.is_set():
            sizes = [SMALL_BYTES] * 3 + [LARGE_BYTES] * (self._random.random() < 0.4)
            draws = [("mesh.draw", {"size_bytes": size_bytes}) for size_bytes in sizes]
            self._draws += await self._client.submit_many(draws, max_attempts=20)
            await asyncio.sleep(self._random.uniform(0.0, 0.2))

    async def keep_storing(self, until: asyncio.Event) -> None:
        while not until.is_set():
            data = os.urandom(self._random.randint(1, 300_000))
            with suppress(NovaError):  # what is not acknowledged need not be there
                ref = await self._client.put_blob(data)
                self._blobs.append((ref, data))
                self.blob_ids.add(ref.id)
            await asyncio.sleep(self._random.uniform(0.0, 0.2))

    async def note(self) -> None:
        """Keeps the values of what has ended."""
        for task in self._draws:
            if task.done and task.id not in self._values:
                self._values[task.id] = await self._value(task.id)

    async def _value(self, id: str) -> bytes:
        view = await self._client.get(id)
        assert view.status is Status.DONE, view
        value = view.value
        if not isinstance(value, BlobRef):
            return value
        self.blob_ids.add(value.id)
        return await self._client.get_blob(value)

    async def check(self) -> None:
        """All that was said since the last check."""
        await eventually(self._answers, "the owner to answer again")
        for task in [*self._ledger.tasks.values(), *self._draws]:
            if not task.done:
                await self._client.get(task.id)
        for id, value in [*self._values.items()][-10:]:
            assert await self._value(id) == value, f"the result of {id} changed"
        for ref, data in self._blobs[self._checked :]:
            assert await self._client.get_blob(ref) == data
        self._checked = len(self._blobs)

    async def _answers(self) -> bool:
        with suppress(Unreachable):
            return bool(await self._client.status())
        return False

    async def check_all(self) -> str:
        for task in self._draws:
            await task.wait(60.0)
            await self._value(task.id)  # also of those that nobody had looked at before a cut
        for id, value in self._values.items():
            assert await self._value(id) == value, f"the result of {id} changed"
        self._checked = 0
        await self.check()
        assert self._values
        assert self._blobs
        return f"{len(self._values)} results, {len(self._blobs)} blobs"


def lose(owner: Node, disk: power.Disk, survives_s: float) -> None:
    """The machine with its disk, or the disk first."""
    owner.stand_still(whole=bool(survives_s))
    disk.cut()
    if survives_s:
        owner.signal(signal.SIGCONT)
        time.sleep(survives_s)
    owner.kill()


async def cut_again_and_again(owner: Node, disk: power.Disk, marks: Path, cuts: int) -> set[str]:
    """The ids of all blobs that the owner promised."""
    async with owner.client() as client:
        await met(client, 2)
        ledger = Ledger(client, marks, seed())
        ledger.watch()
        promises = Promises(client, ledger)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as working:
            working.create_task(ledger.keep_submitting(over, open_max=6))
            working.create_task(promises.keep_drawing(over))
            working.create_task(promises.keep_storing(over))
            for _ in range(cuts):
                await asyncio.sleep(ledger.random.uniform(0.3, 1.0))
                await promises.note()
                await asyncio.sleep(ledger.random.uniform(0.0, 0.3))
                await asyncio.to_thread(lose, owner, disk, ledger.random.choice((0.0, 0.1)))
                await asyncio.to_thread(disk.power_on)
                await asyncio.to_thread(owner.restart)
                await promises.check()
            over.set()
        verdict = await ledger.settle()
        assert verdict.clean, verdict
        kept = await promises.check_all()
        sys.stdout.write(f"{cuts} cuts: {verdict.submitted} tasks, {kept}\n")
        return promises.blob_ids


def damaged(data_dir: Path, promised: set[str]) -> list[Path]:
    """What was set aside, but for blobs that nobody was told of: those were being written at a cut."""
    return [
        path
        for folder in data_dir.rglob("quarantine")
        for path in folder.iterdir()
        if folder.parent.name != "blobs" or path.name.partition("-")[0] in promised
    ]


@pytest.mark.parametrize("cuts", CUTS)
def test_nothing_that_was_promised_is_lost(
    disk: power.Disk, mesh: Mesh, tmp_path: Path, cuts: int
) -> None:
    owner = mesh.start("owner", "--slots", "2", *MODULE)
    mesh.start("worker", "--slots", "2", *MODULE)
    work = cut_again_and_again(owner, disk, tmp_path / "marks", cuts)
    promised = run(work, 110.0 + 13.0 * cuts)
    assert promised
    assert not damaged(owner.data_dir, promised)
    verify = [NODE, "audit", "verify", "--data-dir", str(owner.data_dir)]
    audit = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert not audit.returncode, audit.stdout + audit.stderr


@pytest.mark.parametrize("synchronous", ["NORMAL", pytest.param("OFF", marks=pytest.mark.long)])
def test_a_journal_that_is_not_synced_is_found_out(
    disk: power.Disk, mesh: Mesh, tmp_path: Path, synchronous: str
) -> None:
    command = (sys.executable, "-m", "support.careless_node", synchronous)
    owner = mesh.start("owner", "--slots", "2", *MODULE, command=command)
    mesh.start("worker", "--slots", "2", *MODULE)
    with pytest.raises(ExceptionGroup) as failed:
        run(cut_again_and_again(owner, disk, tmp_path / "marks", 3))
    found = failed.group_contains(NotFound, match="no task")
    assert found or re.search("the journal was damaged|gone from the journal", owner.said())
