"""HTTP/2 by hand, for what no gRPC library would send, or would not do: leave replies unread.

One connection, blocking, bounded by `TIMEOUT_S`. Only what these tests need: requests are written
without compression of headers, and of an answer's headers only the gRPC status is looked for.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import NamedTuple, Self

TIMEOUT_S = 20.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FRAME_MAX_BYTES = 16_384
RESET_STATUS = -1
"""In the place of a status when a stream ended without one."""


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    body: bytes


def field(name: str, value: str) -> bytes:
    """A header, literal and not indexed."""
    return b"\x00" + _text(name) + _text(value)


def message(data: bytes, compressed: bool = False) -> bytes:
    """As gRPC frames it."""
    return struct.pack(">?I", compressed, len(data)) + data


class Connection:
    """`window` is how many bytes of each stream's replies the peer may send unasked."""

    def __init__(self, plain: socket.socket, tls: ssl.SSLContext | None, window: int) -> None:
        plain.settimeout(TIMEOUT_S)
        self._socket = tls.wrap_socket(plain) if tls else plain
        self._held = b""
        self._next = 1
        self._first_window = 65_535
        self._window = 65_535
        self._windows: dict[int, int] = {}
        #: frames of streams, not yet asked for
        self._frames: list[Frame] = []
        self.closed = False
        self._settled = False
        settings = struct.pack(">HI", 4, window)
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def settle(self) -> Self:
        """Until the peer's settings are agreed to; before, its limits do not hold."""
        while not (self._settled or self.closed):
            self._take()
        return self

    def hear_out(self) -> None:
        """Say nothing, agree to nothing, until the peer closes."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while self._socket.recv(1 << 16):
                pass

    def open(self, method: str, headers: Sequence[tuple[str, str]] = ()) -> int:
        """Begin a call; the number of its stream."""
        number, self._next = self._next, self._next + 2
        self._windows[number] = self._first_window
        block = b"".join(
            field(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", "node"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                *headers,
            )
        )
        pieces = [block[i : i + FRAME_MAX_BYTES] for i in range(0, len(block), FRAME_MAX_BYTES)]
        for i, piece in enumerate(pieces):
            last = END_HEADERS if i == len(pieces) - 1 else 0
            self._socket.sendall(_frame(CONTINUATION if i else HEADERS, last, number, piece))
        return number

    def send(self, stream: int, data: bytes, end: bool = False) -> bool:
        """As far as the peer's windows allow, waiting for room. False when the stream ended."""
        left = memoryview(data)
        while True:
            size = min(len(left), self._window, self._windows[stream], FRAME_MAX_BYTES)
            if size or not left:
                last = END_STREAM if end and size == len(left) else 0
                try:
                    self._socket.sendall(_frame(DATA, last, stream, bytes(left[:size])))
                except OSError:
                    self.closed = True
                    return False
                self._window -= size
                self._windows[stream] -= size
                left = left[size:]
                if not left:
                    return True
                continue
            self._take()
            if self.closed or any(_ends(f) for f in self._frames if f.stream == stream):
                return False

    def drip(self, data: bytes) -> None:
        self._socket.sendall(data)

    def grant(self, stream: int, size: int) -> None:
        """Let the peer send so many bytes more."""
        for number in (0, stream):
            self._socket.sendall(_frame(WINDOW, 0, number, struct.pack(">I", size)))

    def messages(self, stream: int, count: int = 1 << 30) -> tuple[list[bytes], int | None]:
        """The next `count` messages of a stream, or those until its end and its status."""
        data, found = b"", list[bytes]()
        while True:
            for frame in self._of(stream):
                if frame.kind == DATA:
                    data += frame.body
                    while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
                        end = 5 + int.from_bytes(data[1:5], "big")
                        found.append(data[5:end])
                        data = data[end:]
                if _ends(frame):
                    return found, _status(frame)
            if len(found) >= count:
                return found, None
            if self.closed:
                return found, RESET_STATUS
            self._take()

    def status(self, stream: int) -> int:
        """What the call ends with."""
        status = self.messages(stream)[1]
        assert status is not None
        return status

    def _of(self, stream: int) -> list[Frame]:
        mine = [f for f in self._frames if f.stream == stream]
        self._frames = [f for f in self._frames if f.stream != stream]
        return mine

    def _take(self) -> None:
        """Read what is there, one frame at least, and answer what asks for it."""
        while True:
            if len(self._held) >= 9:
                end = 9 + int.from_bytes(self._held[:3], "big")
                if len(self._held) >= end:
                    break
            try:
                more = self._socket.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                more = b""
            if not more:
                self.closed = True
                return
            self._held += more
        kind, flags = self._held[3], self._held[4]
        stream = int.from_bytes(self._held[5:9], "big") & 0x7FFFFFFF
        body, self._held = self._held[9:end], self._held[end:]
        match kind:
            case 4 if not flags & ACK:
                for at in range(0, len(body), 6):
                    key, value = struct.unpack_from(">HI", body, at)
                    if key == 4:
                        for number in self._windows:
                            self._windows[number] += value - self._first_window
                        self._first_window = value
                self._socket.sendall(_frame(SETTINGS, ACK, 0, b""))
                self._settled = True
            case 6 if not flags & ACK:
                self._socket.sendall(_frame(PING, ACK, 0, body))
            case 8:
                more_bytes = int.from_bytes(body, "big")
                if stream:
                    self._windows[stream] += more_bytes
                else:
                    self._window += more_bytes
            case 7:
                self.closed = True
            case _:
                self._frames.append(Frame(kind, flags, stream, body))


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    size = len(data)
    if size < 127:
        return bytes([size]) + data
    size -= 127
    head = bytearray([127])
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes(head) + bytes([size]) + data


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _ends(frame: Frame) -> bool:
    return frame.kind == RESET or (frame.kind in (DATA, HEADERS) and bool(frame.flags & END_STREAM))


def _status(frame: Frame) -> int:
    # gRPC's core writes the names and values of headers as they are
    found = re.search(rb"grpc-status[\x01\x02]([0-9]{1,2})", frame.body)
    return int(found[1]) if frame.kind == HEADERS and found else RESET_STATUS
