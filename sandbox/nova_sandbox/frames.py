"""Bytes to frames and back, without I/O. What a container sends is outside input: every size is
checked before anything is kept, and anything odd is a Violation.

A frame is `length(4) nonce(16) kind(1) payload`. The nonce is drawn anew for each run and known to
the runner alone, so nothing else in the container can make a frame that counts. The engine wraps the
runner's stdout and stderr in a header of its own: `stream(1) zero(3) length(4)`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nova_sandbox.limits import Limits
from nova_sandbox.request import Request

HEAD = struct.Struct(">I16sc")
MUX = struct.Struct(">BxxxI")
NO_NONCE = bytes(16)
MAX_PAYLOAD_BYTES = 1 << 20
MAX_MUX_BYTES = 1 << 20
MAX_COMPLAINT_BYTES = 8192

READY, STDOUT, STDERR, NAME, DATA, RESULT, FINISHED = b"Y", b"O", b"E", b"N", b"D", b"V", b"S"
KINDS = frozenset((READY, STDOUT, STDERR, NAME, DATA, RESULT, FINISHED))


class Violation(Exception):
    """The other side does not keep to the format."""


@dataclass(frozen=True, slots=True)
class Frame:
    nonce: bytes
    kind: bytes
    payload: bytes

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise Violation(f"a frame holds no JSON: {error}") from None
        if not isinstance(value, dict):
            raise Violation("a frame holds JSON that is no object")
        return value  # pyright: ignore[reportUnknownVariableType]


class FrameReader:
    """Feed it bytes as they come; it gives whole frames."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._kept += data
        while len(self._kept) >= HEAD.size:
            size, nonce, kind = HEAD.unpack_from(self._kept)
            if size > MAX_PAYLOAD_BYTES or kind not in KINDS:
                raise Violation(f"a frame of kind {kind!r} and {size} bytes")
            end = HEAD.size + size
            if len(self._kept) < end:
                return
            payload = bytes(self._kept[HEAD.size : end])
            del self._kept[:end]
            yield Frame(nonce, kind, payload)


class MuxReader:
    """Takes the engine's header off; keeps the first bytes of stderr, where a broken runner tells why."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.complaint = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._kept += data
        while len(self._kept) >= MUX.size:
            stream, size = MUX.unpack_from(self._kept)
            if stream not in (1, 2) or size > MAX_MUX_BYTES:
                raise Violation(f"the engine's stream {stream} has a piece of {size} bytes")
            end = MUX.size + size
            if len(self._kept) < end:
                return
            piece = bytes(self._kept[MUX.size : end])
            del self._kept[:end]
            if stream == 1:
                yield piece
            else:
                self.complaint += piece[: MAX_COMPLAINT_BYTES - len(self.complaint)]


def encode_request(nonce: bytes, request: Request, limits: Limits, keep: bool) -> bytes:
    """The one frame that a runner takes. `keep` asks it to stay for another."""
    head = json.dumps(
        {
            "program": {
                "code": request.code,
                "args": request.args,
                "language": request.language,
                "result_bytes": limits.result_bytes,
            },
            "timeout_s": limits.timeout_s,
            "output_bytes": limits.output_bytes,
            "files_bytes": limits.files_bytes,
            "files": limits.files,
            "result_bytes": limits.result_bytes,
            "keep": keep,
        }
    ).encode()
    body = struct.pack(">I", len(head)) + head + request.stdin
    return HEAD.pack(len(body), nonce, b"R") + body
