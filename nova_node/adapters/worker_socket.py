"""The node's end of the socket to a worker process, for bodies of megabytes too: what is sent is not
joined, and what comes is read to where it stays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from itertools import islice

from nova_node.adapters.worker_frames import Frames, Head

READ_BYTES = 64 << 10
LARGE_READ_BYTES = 1 << 20
"""Of a large body at once: others have their turn in between."""

PIECES_MAX = 64
"""In one call of the system."""


class WorkerSocket:
    """`on_frames` gets (header, body) pairs, `on_end` is called once, when no more can come."""

    def __init__(
        self,
        sock: socket.socket,
        on_frames: Callable[[list[tuple[Head, bytes]]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._on_frames, self._on_end = on_frames, on_end
        self._frames = Frames()
        self._unsent: deque[memoryview] = deque()
        self._ending = False
        sock.setblocking(False)
        self._loop.add_reader(sock, self._read)

    def send(self, *pieces: bytes) -> None:
        """Takes all of them, however long the process lets it wait."""
        waits = bool(self._unsent)
        self._unsent.extend(map(memoryview, pieces))
        if not waits:
            self._write()
            if self._unsent:
                self._loop.add_writer(self._sock, self._write_more)

    def end(self) -> None:
        """Tell the process, once it has all that was sent, that no more will be."""
        self._ending = True
        if not self._unsent:
            self._shut()

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._unsent.clear()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()

    def _read(self) -> None:
        more = False
        try:
            more = self._take()
        finally:
            if not more:
                self.close()
                self._on_end()

    def _take(self) -> bool:
        """Whether there may be more. Raises what `on_frames` does, and for what is no frame."""
        frames, rest = self._frames, self._frames.rest
        try:
            if rest is None:
                data = self._sock.recv(READ_BYTES)
                size, found = len(data), frames.feed(data)
            else:
                size = self._sock.recv_into(rest[:LARGE_READ_BYTES])
                found = frames.arrived(size)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if found:
            self._on_frames(found)
        return size > 0

    def _write_more(self) -> None:
        self._write()
        if not self._unsent:
            self._loop.remove_writer(self._sock)
            if self._ending:
                self._shut()

    def _write(self) -> None:
        """As much as the process has room for. Whether it is gone, the reader finds out."""
        unsent = self._unsent
        try:
            while unsent:
                sent = self._sock.sendmsg(islice(unsent, PIECES_MAX))
                while unsent and sent >= len(unsent[0]):
                    sent -= len(unsent.popleft())
                if sent:
                    unsent[0] = unsent[0][sent:]
        except BlockingIOError:
            pass
        except OSError:
            unsent.clear()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
