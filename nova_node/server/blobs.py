"""Service Blobs. Disk work runs in threads; a message holds at most one chunk."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any

from nova_proto.v1 import blobs_pb2, task_pb2
from nova_proto.v1.blobs_pb2_grpc import BlobsServicer

from nova_node.adapters.grpc_settings import abort
from nova_node.adapters.wire import blob_to_pb, encoding_from_pb
from nova_node.adapters.wire_checks import check_blob
from nova_node.core.errors import NotFound, NovaError
from nova_node.core.model import Encoding
from nova_node.ports import CHUNK_BYTES, Blobs

PUT_AHEAD = 8


class BlobsService(BlobsServicer):
    def __init__(self, me: str, blobs: Blobs) -> None:
        self._me = me
        self._blobs = blobs

    async def Put(self, request_iterator: AsyncIterator[Any], context: Any) -> task_pb2.BlobRef:
        pieces: queue.Queue[bytes | None] = queue.Queue(PUT_AHEAD)
        encoding, sensitive = Encoding.RAW, False
        store: asyncio.Task[Any] | None = None
        try:
            async for message in request_iterator:
                if store is None:
                    encoding, sensitive = encoding_from_pb(message.encoding), message.sensitive
                    store = asyncio.create_task(
                        asyncio.to_thread(
                            self._blobs.put, _drain(pieces), encoding, sensitive=sensitive
                        )
                    )
                if message.data:
                    await _put(pieces, message.data, store)
            if store is None:
                ref = await asyncio.to_thread(self._blobs.put, (), encoding)
            else:
                await _put(pieces, None, store)
                ref = await store
        except NovaError as error:
            await abort(context, error)
        finally:
            if store is not None and not store.done():
                await _put(pieces, None, store)
        pb = task_pb2.BlobRef()
        blob_to_pb(ref._replace(holders=(self._me,)), pb)
        return pb

    async def Get(
        self, request: blobs_pb2.GetBlobRequest, context: Any
    ) -> AsyncIterator[blobs_pb2.GetBlobReply]:
        try:
            blob_id = check_blob(request.id)
            whole, digests = await asyncio.to_thread(self._blobs.digests, blob_id)
            sensitive = await asyncio.to_thread(self._blobs.is_sensitive, blob_id)
            end = request.offset + request.size_bytes if request.size_bytes else whole
            if end > whole:
                raise NotFound(f"blob {blob_id[:12]} has {whole} bytes, not {end}")
            yield blobs_pb2.GetBlobReply(digests=digests, size_bytes=whole, sensitive=sensitive)
            first, last = request.offset // CHUNK_BYTES, -(-end // CHUNK_BYTES)
            for index in range(first, last):
                start = index * CHUNK_BYTES
                size_bytes = min(CHUNK_BYTES, whole - start)
                data = await asyncio.to_thread(self._blobs.read, blob_id, start, size_bytes)
                yield blobs_pb2.GetBlobReply(chunk=index, data=data)
        except NovaError as error:
            await abort(context, error)


async def _put(
    pieces: queue.Queue[bytes | None], data: bytes | None, store: asyncio.Task[Any]
) -> None:
    """Hand a piece to the storing thread; waits without blocking the loop, and gives up when it ended."""
    while not store.done():
        try:
            pieces.put_nowait(data)
        except queue.Full:
            await asyncio.to_thread(_until_room, pieces)
        else:
            return


def _until_room(pieces: queue.Queue[bytes | None]) -> None:
    with pieces.not_full:
        pieces.not_full.wait(0.1)


def _drain(pieces: queue.Queue[bytes | None]) -> Iterator[bytes]:
    while (piece := pieces.get()) is not None:
        yield piece
