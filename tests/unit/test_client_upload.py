"""Uploads: pieces are drawn ahead of the wire, and what fails is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from nova_client import blobs
from nova_client.errors import Invalid
from nova_proto.v1 import blobs_pb2, task_pb2

PATIENCE_S = 20.0


class Upload:
    """A call that waits, before it takes a piece, until the next one was drawn."""

    def __init__(self, drawn: threading.Semaphore) -> None:
        self._drawn = drawn
        self.got: list[bytes] = []
        self.cancelled = False

    async def write(self, message: blobs_pb2.PutRequest) -> None:
        if message.data:
            assert await asyncio.to_thread(self._drawn.acquire, timeout=PATIENCE_S)
            self.got.append(message.data)

    async def done_writing(self) -> None:
        pass

    def cancel(self) -> None:
        self.cancelled = True

    def __await__(self) -> Iterator[Any]:
        yield from asyncio.sleep(0).__await__()
        return task_pb2.BlobRef(id="id", size_bytes=sum(map(len, self.got)))


def put(call: Upload, pieces: Iterator[bytes]) -> Any:
    wire: Any = SimpleNamespace(blobs=SimpleNamespace(Put=lambda timeout: call), address="a:1")  # pyright: ignore
    return asyncio.run(blobs.put(wire, pieces))


def test_the_next_piece_is_drawn_while_one_is_on_its_way() -> None:
    drawn = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            if number:
                drawn.release()
            yield b"%d" % number
        drawn.release()

    call = Upload(drawn)
    assert put(call, pieces()).size_bytes == 3
    assert call.got == [b"0", b"1", b"2"]


def test_a_piece_that_cannot_be_read_ends_the_upload() -> None:
    drawn = threading.Semaphore(1)

    def pieces() -> Iterator[bytes]:
        yield b"0"
        raise Invalid("it is gone", "look for it")

    call = Upload(drawn)
    with pytest.raises(Invalid, match="gone"):
        put(call, pieces())
    assert call.got == [b"0"]
    assert call.cancelled
