"""Frames to the host, and bytes from it. The host's side of the format is nova_sandbox.frames."""

from __future__ import annotations

import os
import struct

HEAD = struct.Struct(">I16sc")
CHUNK = 65536
HOST_GONE_EXIT = 125


def send(kind: bytes, nonce: bytes, payload: bytes) -> None:
    data = memoryview(HEAD.pack(len(payload), nonce, kind) + payload)
    while data:
        data = data[os.write(1, data) :]


def read_exact(fd: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        data = os.read(fd, min(size, CHUNK))
        if not data:
            os._exit(HOST_GONE_EXIT)  # and with it the reason to live
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
