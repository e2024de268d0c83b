"""Blobs over the wire. What is fetched is checked against its id, whoever sent it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from nova_proto.v1 import blobs_pb2, task_pb2

from nova_client import channel, decode
from nova_client.errors import Invalid, NovaError
from nova_client.files import PIECE_BYTES
from nova_client.model import BlobRef

PUT_TIMEOUT_S = 3600.0
_DIGEST_BYTES = 32


async def put(
    wire: channel.Wire, pieces: Iterator[bytes], json: bool = False, sensitive: bool = False
) -> BlobRef:
    """Store the pieces (each at most 1 MiB) as one blob. Each is drawn off the event loop while
    the one before it is on its way."""
    encoding = task_pb2.ENCODING_JSON if json else task_pb2.ENCODING_RAW
    call = wire.blobs.Put(timeout=PUT_TIMEOUT_S)
    try:
        await call.write(blobs_pb2.PutRequest(encoding=encoding, sensitive=sensitive))
        drawn = _draw(pieces)
        while (piece := await drawn) is not None:
            drawn = _draw(pieces)
            await call.write(blobs_pb2.PutRequest(data=piece))
        await call.done_writing()
        return decode.blob(await call)
    except channel.RpcError as error:
        raise channel.to_error(error, wire.address) from None
    except asyncio.InvalidStateError:
        raise await _end_of(wire, call) from None
    finally:
        call.cancel()


def _draw(pieces: Iterator[bytes]) -> asyncio.Future[bytes | None]:
    """The next piece, None at the end; drawn in a thread, whether or not anybody waits for it."""
    drawn = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    drawn.add_done_callback(lambda _: drawn.cancelled() or drawn.exception())
    return drawn


async def _end_of(wire: channel.Wire, call: asyncio.Future[task_pb2.BlobRef]) -> NovaError:
    """Why a call ended before all was written."""
    try:
        await call
    except channel.RpcError as error:
        return channel.to_error(error, wire.address)
    return NovaError("the node ended the upload early", "try again", "internal")


async def get(wire: channel.Wire, ref: BlobRef) -> AsyncGenerator[bytes, None]:
    """The blob's bytes, chunk by chunk. Raises NotFound, or NovaError (corrupt)."""
    digests = b""
    received = index = 0
    replies = wire.stream(wire.blobs.Get, blobs_pb2.GetBlobRequest(id=ref.id))
    try:
        async for reply in replies:
            if not digests and reply.digests:
                digests = reply.digests
                _check_id(ref, reply.size_bytes, digests)
            if not reply.data:
                continue
            place = _DIGEST_BYTES * index
            if hashlib.sha256(reply.data).digest() != digests[place : place + _DIGEST_BYTES]:
                raise _corrupt(ref)
            received += len(reply.data)
            index += 1
            yield reply.data
    finally:
        await replies.aclose()
    if received != ref.size_bytes:
        raise _corrupt(ref)


def cut(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(data), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])


def read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except OSError as error:
        raise Invalid(
            f"cannot read {str(path)!r}: {error.strerror}", "check that it is there and readable"
        ) from None


def _check_id(ref: BlobRef, size_bytes: int, digests: bytes) -> None:
    if hashlib.sha256(size_bytes.to_bytes(8, "big") + digests).hexdigest() != ref.id:
        raise _corrupt(ref)


def _corrupt(ref: BlobRef) -> NovaError:
    return NovaError(
        f"what was received as blob {ref.id[:12]} does not match its checksum",
        "try again; if it stays, ask another node",
        "corrupt",
    )
