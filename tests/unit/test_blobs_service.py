"""Service Blobs hands the mark of sensitive blobs on, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from nova_proto.v1 import blobs_pb2

from nova_node.adapters.memory import MemoryBlobs
from nova_node.server.blobs import BlobsService


class Aborted(Exception):
    pass


class Context:
    async def abort(self, code: grpc.StatusCode, details: str, metadata: Any = ()) -> None:
        raise Aborted(f"{code.name} {details}")


async def pieces(sensitive: bool) -> AsyncIterator[blobs_pb2.PutRequest]:
    yield blobs_pb2.PutRequest(data=b"ab", sensitive=sensitive)
    yield blobs_pb2.PutRequest(data=b"c")


@pytest.mark.parametrize("sensitive", [True, False])
def test_the_mark_goes_with_the_blob(sensitive: bool) -> None:
    blobs = MemoryBlobs(has_key=True)
    service = BlobsService("n1", blobs)

    async def scene() -> list[blobs_pb2.GetBlobReply]:
        ref = await service.Put(pieces(sensitive), Context())
        request = blobs_pb2.GetBlobRequest(id=ref.id)
        return [reply async for reply in service.Get(request, Context())]

    first, chunk = asyncio.run(scene())
    assert first.sensitive == sensitive
    assert chunk.data == b"abc"


def test_without_a_key_it_is_refused_with_the_reason() -> None:
    service = BlobsService("n1", MemoryBlobs())
    with pytest.raises(Aborted, match=r"FAILED_PRECONDITION .*no data key"):
        asyncio.run(service.Put(pieces(True), Context()))


async def broken_off() -> AsyncIterator[blobs_pb2.PutRequest]:
    yield blobs_pb2.PutRequest(data=b"half")
    raise ConnectionResetError


async def silent() -> AsyncIterator[blobs_pb2.PutRequest]:
    yield blobs_pb2.PutRequest(data=b"half")
    await asyncio.Event().wait()


def test_of_an_upload_that_broke_off_nothing_is_kept() -> None:
    blobs = MemoryBlobs()

    async def scene() -> None:
        with pytest.raises(ConnectionResetError):
            await BlobsService("n1", blobs).Put(broken_off(), Context())

    asyncio.run(scene())
    assert blobs.size_bytes() == 0


def test_an_upload_that_stops_is_ended_with_the_reason() -> None:
    blobs = MemoryBlobs()

    async def scene() -> None:
        with pytest.raises(Aborted, match="UNAVAILABLE no piece of the upload came"):
            await BlobsService("n1", blobs, piece_max_s=0.05).Put(silent(), Context())

    asyncio.run(scene())
    assert blobs.size_bytes() == 0


def test_uploads_that_wait_hold_up_no_other_work() -> None:
    """More of them than the loop's own threads."""

    async def scene() -> None:
        service = BlobsService("n1", MemoryBlobs())
        waiting = [asyncio.create_task(service.Put(silent(), Context())) for _ in range(60)]
        async with asyncio.timeout(10.0):
            await asyncio.sleep(0)
            assert await asyncio.to_thread(lambda: "done") == "done"
            assert (await service.Put(pieces(False), Context())).size_bytes == 3
        for upload in waiting:
            upload.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(scene())
