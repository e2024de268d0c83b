"""Frames, large ones above all, through a real pair of sockets."""

import asyncio
import os
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest

from nova_node.adapters.worker_frames import BODY_BYTES, SIZES, Frames, frame, pieces
from nova_node.adapters.worker_main import LARGE_BYTES
from nova_node.adapters.worker_socket import WorkerSocket

SIZES_BYTES = (0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 5 * LARGE_BYTES, 3)
Got = list[tuple[dict[str, Any], bytes]]


def sample() -> Got:
    return [({"number": i}, os.urandom(size)) for i, size in enumerate(SIZES_BYTES)]


@pytest.mark.parametrize("step", [5, 1_000, LARGE_BYTES, 10 * LARGE_BYTES])
def test_frames_are_cut_the_same_however_they_come(step: int) -> None:
    sent, frames, got = sample(), Frames(), Got()
    stream = b"".join(frame(head, (body,)) for head, body in sent)
    for at in range(0, len(stream), step):
        got += frames.feed(stream[at : at + step])
    assert got == sent
    assert frames.rest is None


def test_a_large_body_is_read_to_where_it_stays() -> None:
    sent, chance, frames, got = sample(), random.Random(7), Frames(), Got()
    stream = memoryview(b"".join(frame(head, (body,)) for head, body in sent))
    into_place = 0
    while stream:
        if (rest := frames.rest) is not None and chance.random() < 0.7:
            size = min(len(rest), len(stream), chance.randrange(1, LARGE_BYTES))
            rest[:size] = stream[:size]
            got += frames.arrived(size)
            into_place += size
        else:
            size = chance.randrange(1, LARGE_BYTES)
            got += frames.feed(bytes(stream[:size]))
        stream = stream[size:]
    assert got == sent
    assert into_place


def test_pieces_are_the_frame_and_large_ones_are_not_copied() -> None:
    small, large = b"a" * 100, b"b" * LARGE_BYTES
    for body in ([], [small] * 3, [large], [small, large, small, large, large, small]):
        assert b"".join(pieces({"x": 1}, body)) == frame({"x": 1}, body)
    assert any(piece is large for piece in pieces({}, [small, large]))
    assert len(pieces({}, [small] * 10_000)) == 1


def run(test: Callable[[WorkerSocket, socket.socket, Got, asyncio.Event], Any]) -> None:
    """`test` gets one end as the node holds it, the other as it is, what came, and when it ended."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        got, ended = Got(), asyncio.Event()
        end = WorkerSocket(ours, got.extend, ended.set)
        try:
            async with asyncio.timeout(20):
                await test(end, theirs, got, ended)
        finally:
            end.close()
            theirs.close()

    asyncio.run(main())


def all_of(sock: socket.socket) -> bytes:
    found = bytearray()
    while data := sock.recv(1 << 20):
        found += data
    return bytes(found)


def test_more_than_the_socket_holds_is_sent_whole_then_its_end() -> None:
    sent = [os.urandom(size) for size in (10, 4 << 20, 100, 2 << 20)] + [b"x"] * 500

    async def test(
        end: WorkerSocket, theirs: socket.socket, got: Got, ended: asyncio.Event
    ) -> None:
        end.send(*sent[:2])
        end.send(*sent[2:])
        end.end()
        assert await asyncio.to_thread(all_of, theirs) == b"".join(sent)

    run(test)


def test_what_was_written_before_the_end_is_read_to_the_end() -> None:
    sent = sample()

    async def test(
        end: WorkerSocket, theirs: socket.socket, got: Got, ended: asyncio.Event
    ) -> None:
        def write() -> None:
            for head, body in sent:
                theirs.sendall(frame(head, (body,)))
            theirs.close()

        await asyncio.to_thread(write)
        end.send(b"nobody reads this")
        await ended.wait()
        assert got == sent

    run(test)


def test_what_is_no_frame_is_the_end() -> None:
    async def test(
        end: WorkerSocket, theirs: socket.socket, got: Got, ended: asyncio.Event
    ) -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(context["exception"])
        )
        theirs.sendall(SIZES.pack(1, BODY_BYTES + 1))
        await ended.wait()
        assert theirs.recv(1) == b""
        assert [type(each) for each in told] == [ValueError]

    run(test)
