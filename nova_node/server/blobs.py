"""Service Blobs. Disk work runs in threads; a message holds at most one chunk.

Uploads wait for their callers in threads of their own: callers that say nothing hold up each other,
for a while, and nothing else.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from nova_proto.v1 import blobs_pb2, task_pb2
from nova_proto.v1.blobs_pb2_grpc import BlobsServicer

from nova_node.adapters.grpc_settings import abort
from nova_node.adapters.wire import blob_to_pb, encoding_from_pb
from nova_node.adapters.wire_checks import check_blob
from nova_node.core.errors import NotFound, NovaError, Unavailable
from nova_node.core.model import Encoding
from nova_node.ports import CHUNK_BYTES, Blobs

PUT_AHEAD = 8
ROOM_S = 0.01
PUTS_MAX = 64
"""At a time; later ones wait."""

PIECE_MAX_S = 180.0
"""Until the next piece of an upload: a chunk at 48 kbit/s."""


class _Broken:
    """Stands for the rest of an upload that ended before its end."""


_BROKEN = _Broken()
Piece = bytes | _Broken | None
"""None is the end."""


class BlobsService(BlobsServicer):
    def __init__(self, me: str, blobs: Blobs, piece_max_s: float = PIECE_MAX_S) -> None:
        self._me = me
        self._blobs = blobs
        self._piece_max_s = piece_max_s
        self._putting = ThreadPoolExecutor(PUTS_MAX, "put")

    async def Put(self, request_iterator: AsyncIterator[Any], context: Any) -> task_pb2.BlobRef:
        pieces: queue.Queue[Piece] = queue.Queue(PUT_AHEAD)
        encoding, sensitive = Encoding.RAW, False
        store: asyncio.Future[Any] | None = None
        try:
            async for message in _in_time(request_iterator, self._piece_max_s):
                if store is None:
                    encoding, sensitive = encoding_from_pb(message.encoding), message.sensitive
                    put = partial(self._blobs.put, _drain(pieces), encoding, sensitive=sensitive)
                    store = asyncio.get_running_loop().run_in_executor(self._putting, put)
                    store.add_done_callback(_look_at)
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
                await _put(pieces, _BROKEN, store)
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


async def _in_time(messages: AsyncIterator[Any], piece_max_s: float) -> AsyncIterator[Any]:
    """Raises Unavailable when the next one does not come."""
    left = aiter(messages)
    while True:
        try:
            async with asyncio.timeout(piece_max_s):
                message = await anext(left)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Unavailable(
                f"no piece of the upload came for {piece_max_s:g} s", "upload it again"
            ) from None
        yield message


def _look_at(store: asyncio.Future[Any]) -> None:
    """Whoever waited for it may be gone."""
    if not store.cancelled():
        store.exception()


async def _put(pieces: queue.Queue[Piece], piece: Piece, store: asyncio.Future[Any]) -> None:
    """Hand a piece to the storing thread; waits without blocking the loop, and gives up when it ended."""
    while not store.done():
        try:
            pieces.put_nowait(piece)
        except queue.Full:
            await asyncio.sleep(ROOM_S)
        else:
            return


def _drain(pieces: queue.Queue[Piece]) -> Iterator[bytes]:
    """Raises Unavailable when the upload broke off: so that no part is kept for the whole."""
    while (piece := pieces.get()) is not None:
        if isinstance(piece, _Broken):
            raise Unavailable("the upload broke off", "upload it again")
        yield piece
