"""Sensitive blobs through real worker processes: read as any file, plain nowhere on the disk after."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.data_keys import one_key
from support.stage import Stage, attempt, code, value

from nova_node.adapters.blob_chunks import CHUNK_BYTES
from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.core.errors import NotFound
from nova_node.core.model import Attempt, Extent, Input, Phase
from nova_node.core.signals import Ran, SlotDied
from nova_node.inputs import Inputs, keep_result, take_back
from nova_node.ports import Fetched
from nova_node.secrets.references import Resolver
from nova_node.secrets.sources import Sources
from nova_node.secrets.store import Store

CANARY = b"canary-0b77e1d4 "
DATA = CANARY * (3 * CHUNK_BYTES // len(CANARY))


class Holder:
    """A node that holds blobs, as a source of them."""

    def __init__(self, blobs: DiskBlobs) -> None:
        self._blobs = blobs

    async def fetch(
        self, holder: str, blob_id: str, offset: int, size_bytes: int
    ) -> AsyncIterator[Fetched]:
        whole, digests = self._blobs.digests(blob_id)
        sensitive = self._blobs.is_sensitive(blob_id)
        for chunk in range(-(-whole // CHUNK_BYTES)):
            start = chunk * CHUNK_BYTES
            data = self._blobs.read(blob_id, start, min(CHUNK_BYTES, whole - start))
            yield Fetched(whole, digests, chunk, data, sensitive)


class Node:
    """The parts of a node that have to do with an attempt's blobs."""

    def __init__(self, folder: Path, source: DiskBlobs) -> None:
        self.folder = folder / "node"
        self.blobs = DiskBlobs(self.folder / "blobs", 1 << 30, one_key(self.folder))
        self.stage = Stage(
            ProcessExecutor(
                str(self.folder / "spool"),
                self.blobs.path,
                functools.partial(keep_result, self.blobs),
                ["support.sample_capabilities"],
                take_back=functools.partial(take_back, self.blobs),
            )
        )
        resolver = Resolver(Store(self.folder / "secrets"), Sources((), {}))
        self.inputs = Inputs(self.blobs, Holder(source), self.stage.executor, resolver)

    def run(self, *attempts: Attempt) -> None:
        self.inputs.run(0, list(range(1, len(attempts) + 1)), attempts)

    async def is_returned(self, blob_id: str) -> None:
        """Until nothing of it is lent; the test's own time limit ends it."""
        while True:
            try:
                self.blobs.path(blob_id)
            except NotFound:
                return
            await asyncio.sleep(0)

    def plain_files(self) -> list[str]:
        return [p.name for p in self.folder.rglob("*") if p.is_file() and CANARY in p.read_bytes()]


@pytest.fixture
def there(tmp_path: Path) -> DiskBlobs:
    return DiskBlobs(tmp_path / "there", 1 << 30, one_key(tmp_path))


@pytest.fixture
def node(tmp_path: Path, there: DiskBlobs) -> Node:
    return Node(tmp_path, there)


def reading(there: DiskBlobs, capability: str, phase: Phase = Phase.RUN) -> Attempt:
    """Of the middle of a sensitive file."""
    ref = there.put([DATA], sensitive=True)
    extents = (Extent("a", ref.id, 16, CHUNK_BYTES), Extent("b", ref.id, 2 * CHUNK_BYTES, 32))
    given = attempt(capability, b"", Input("files", extents=extents), phase=phase, shards=2)
    return given._replace(blobs=(ref._replace(holders=("there",)),))


def test_an_attempt_reads_a_sensitive_file(node: Node, there: DiskBlobs) -> None:
    given = reading(there, "sample.sum")
    blob_id = given.blobs[0].id

    async def scene() -> None:
        async with node.stage as stage:
            node.run(given, given)
            expected = sum(DATA[16 : 16 + CHUNK_BYTES]) + sum(DATA[: 2 * 16])
            assert [value(item) for item in await stage.results(2)] == [b"%d" % expected] * 2
            await node.is_returned(blob_id)
            node.run(replaced := given._replace(phase=Phase.SPLIT))
            assert replaced.demand == given.demand
            (item,) = (await stage.next(Ran)).results
            assert item.shards
            await node.is_returned(blob_id)
        await node.inputs.stop()

    asyncio.run(scene())
    assert node.blobs.is_sensitive(blob_id)
    assert node.plain_files() == []


def test_what_a_dead_process_read_is_returned(node: Node, there: DiskBlobs) -> None:
    given = reading(there, "sample.sum")
    dying = replace(given.demand, capability="sample.die")

    async def scene() -> None:
        async with node.stage as stage:
            node.run(given._replace(demand=dying, call=given.call._replace(inputs=())), given)
            await stage.next(SlotDied)
            await node.is_returned(given.blobs[0].id)
        await node.inputs.stop()

    asyncio.run(scene())


def test_an_attempt_that_is_not_run_leaves_nothing_lent(node: Node, there: DiskBlobs) -> None:
    """The process died while the blobs were fetched."""
    given = reading(there, "sample.sum")

    async def scene() -> None:
        async with node.stage:
            node.run(given)
            node.inputs.slot_died(0)
            await asyncio.gather(*node.inputs._tasks)  # pyright: ignore[reportPrivateUsage]
            await node.is_returned(given.blobs[0].id)

    asyncio.run(scene())
    assert node.blobs.missing(given.blobs[0].id, 0, len(DATA)) == []


def test_a_sensitive_result_is_a_sensitive_blob(node: Node) -> None:
    plain = attempt("sample.mixed", b'{"size":%d}' % (3 << 20))
    secret = plain._replace(demand=replace(plain.demand, sensitive=True))

    async def scene() -> list[bool]:
        found: list[bool] = []
        async with node.stage as stage:
            for given in (secret, plain):
                item = await stage.one(given)
                assert item.outcome.value is not None, code(item)
                assert item.outcome.value.blob is not None
                blob = item.outcome.value.blob
                found.append(node.blobs.is_sensitive(blob.id))
                node.blobs.discard([blob.id])
        return found

    assert asyncio.run(scene()) == [True, False]
    assert os.listdir(node.folder / "spool") == []
