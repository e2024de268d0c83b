"""The files a capability is given: runs of bytes in local files, read where they lie.

Rule: nothing here holds more of a file in memory than it was asked for.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast, overload

CHUNK_BYTES = 1 << 20
WHITESPACE = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
"""The ASCII bytes that `str.split()` parts words at: never inside a UTF-8 character."""


class Piece(NamedTuple):
    """A file, or a part of one: `size_bytes` bytes of `path`, from `offset` on."""

    name: str
    blob_id: str
    path: str
    offset: int
    size_bytes: int

    def open(self) -> BinaryIO:
        """A stream of this piece's bytes alone. Close it, or use `with`."""
        return cast(BinaryIO, io.BufferedReader(_Window(self)))

    def read(self) -> bytes:
        with self.open() as stream:
            return stream.read(self.size_bytes)

    def chunks(self, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        with self.open() as stream:
            while chunk := stream.read(size_bytes):
                yield chunk

    def blocks(self, ends: bytes, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The bytes in chunks that each end with one of the bytes `ends`, the last one apart.

        A block is longer than `size_bytes` only where no such byte is found sooner."""
        held: list[bytes] = []
        for chunk in self.chunks(size_bytes):
            cut = _after_last(ends, chunk)
            if not cut:
                held.append(chunk)
                continue
            yield b"".join((*held, chunk[:cut]))
            held = [chunk[cut:]] if cut < len(chunk) else []
        if held:
            yield b"".join(held)

    def part(self, start: int, end: int) -> Piece:
        return self._replace(offset=self.offset + start, size_bytes=end - start)

    def boundary(self, start: int, ends: bytes) -> int:
        """The first place at or after `start` that follows one of the bytes `ends`, or the end."""
        if start <= 0:
            return 0
        pattern = _any_of(ends)
        at = start - 1
        for chunk in self.part(at, self.size_bytes).chunks(1 << 14):
            if found := pattern.search(chunk):
                return at + found.end()
            at += len(chunk)
        return self.size_bytes


class Files(Sequence[Piece]):
    """The files of one argument, in order."""

    __slots__ = ("_pieces", "size_bytes")

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces = tuple(pieces)
        self.size_bytes = sum(piece.size_bytes for piece in self._pieces)

    @classmethod
    def from_paths(cls, *paths: str | os.PathLike[str]) -> Files:
        """Files of this machine, for calling a capability's function directly."""
        return cls(
            Piece(os.path.basename(path), "", os.fspath(path), 0, os.path.getsize(path))
            for path in paths
        )

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Piece | Files:
        if isinstance(index, slice):
            return Files(self._pieces[index])
        return self._pieces[index]

    def __len__(self) -> int:
        return len(self._pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files) and self._pieces == other._pieces

    def __hash__(self) -> int:
        return hash(self._pieces)

    def __repr__(self) -> str:
        return f"Files({list(self._pieces)!r})"

    def cut(self, shards: int, ends: bytes = b"") -> list[Files]:
        """One to `shards` runs of about equal size that together are these files, in order.

        Small files stay whole and share a run. A file larger than a run is cut, only right after
        one of the bytes `ends`; never when `ends` is empty."""
        shards = max(1, shards)
        cutter = _Cutter(self.size_bytes, shards, ends)
        for piece in self:
            cutter.add(piece)
        return cutter.runs() or [self]


class _Cutter:
    """Fills run k up to byte total * k / shards of the whole."""

    def __init__(self, total: int, shards: int, ends: bytes) -> None:
        self.total, self.shards, self.ends = total, shards, ends
        self.share = -(-total // shards)
        self.k, self.done = 1, 0
        self.full: list[Files] = []
        self.open: list[Piece] = []

    def add(self, piece: Piece) -> None:
        while True:
            room = self.total * self.k // self.shards - self.done
            if piece.size_bytes <= room:
                return self._take(piece)
            if self.ends and piece.size_bytes > self.share:
                at = piece.boundary(room, self.ends)
                if at == piece.size_bytes:
                    return self._take(piece)
                if at:
                    self._take(piece.part(0, at))
                piece = piece.part(at, piece.size_bytes)
            elif not self.open or room * 2 >= piece.size_bytes:
                return self._take(piece)
            self._close()

    def runs(self) -> list[Files]:
        if self.open:
            self._close()
        return self.full

    def _take(self, piece: Piece) -> None:
        self.open.append(piece)
        self.done += piece.size_bytes

    def _close(self) -> None:
        if self.open:
            self.full.append(Files(self.open))
            self.open = []
        self.k += 1
        while self.k < self.shards and self.total * self.k // self.shards <= self.done:
            self.k += 1


class _Window(io.RawIOBase):
    """Reads one piece of its file; fails rather than end early."""

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self._left, self._name = piece.size_bytes, piece.name
        self._file = open(piece.path, "rb", buffering=0)  # noqa: SIM115
        self._file.seek(piece.offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = self._file.readinto(memoryview(buffer)[: self._left])
        if self._left and not size:
            raise EOFError(f"{self._name} ends {self._left} bytes early")
        self._left -= size
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _any_of(ends: bytes) -> re.Pattern[bytes]:
    return re.compile(b"[" + re.escape(ends) + b"]")


def _after_last(ends: bytes, data: bytes) -> int:
    """The place after the last of the bytes `ends`, found from the back; 0 when there is none."""
    pattern, stop, step = _any_of(ends), len(data), 128
    while stop:
        start = max(0, stop - step)
        last = 0
        for found in pattern.finditer(data, start, stop):
            last = found.end()
        if last:
            return last
        stop, step = start, step * 4
    return 0
