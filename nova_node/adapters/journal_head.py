"""How far the journal got, kept outside of it.

SQLite opens a file that lost its tail without a word. The head is written after each commit, so it
is a lower bound of what the file must hold: less is a loss, and is told. It has two slots, written
in turn, so that a torn write leaves the other. The page cache keeps it when the process dies; it is
synced now and then for a power cut, where an older head is still a lower bound.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

_SLOT = struct.Struct("<8sQQQQI")
_CHECK = struct.Struct("<I")
_MAGIC = b"novahead"
_SLOT_AT = 4096
"""Each slot has a page of its own."""


class Head(NamedTuple):
    """The highest event and task number ever journaled, and the checksum of that event's row."""

    seq: int = 0
    no: int = 0
    incarnation: int = 0
    crc: int = 0


class HeadFile:
    """Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = 0

    def read(self) -> Head:
        """Head() when neither slot is whole."""
        best = Head()
        for slot in (0, 1):
            data = os.pread(self._file, _SLOT.size + _CHECK.size, slot * _SLOT_AT)
            if len(data) != _SLOT.size + _CHECK.size:
                continue
            if _CHECK.unpack_from(data, _SLOT.size)[0] != crc32(data[: _SLOT.size]):
                continue
            magic, turn, seq, no, incarnation, crc = _SLOT.unpack_from(data)
            if magic == _MAGIC and turn > self._turn:
                self._turn = turn
                best = Head(seq, no, incarnation, crc)
        return best

    def write(self, head: Head) -> None:
        self._turn += 1
        data = _SLOT.pack(_MAGIC, self._turn, head.seq, head.no, head.incarnation, head.crc)
        os.pwrite(self._file, data + _CHECK.pack(crc32(data)), self._turn % 2 * _SLOT_AT)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)
