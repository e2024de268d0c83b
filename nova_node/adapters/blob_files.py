"""Chunks of blobs in files, plain or sealed: each chunk in its own place, whatever else is there.

Rule: what is read of a chunk is what its digest names, or Corrupt.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from nova_node.adapters.blob_chunks import CHUNK_BYTES, chunk_count, is_chunk
from nova_node.adapters.blob_sums import Sum, all_here
from nova_node.core.errors import Corrupt, Overloaded, Refused, Unavailable
from nova_node.ports import Sealer


class ChunkFiles:
    """Methods raise OSError; Refused when something is sensitive and there is no data key."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def check_sealer(self, sensitive: bool) -> None:
        if sensitive and self._sealer is None:
            raise Refused(
                "this node has no data key, and so keeps no sensitive blob",
                "give it an identity: `nova-node init` for a new mesh, `nova-node join` to enter one",
            )

    def write(
        self,
        path: Path,
        data: Iterable[bytes],
        durable: bool,
        sensitive: bool,
        check_room: Callable[[int], None],
    ) -> Sum:
        """A new file of a whole blob. `check_room` is told the bytes so far."""
        self.check_sealer(sensitive)
        digests: list[bytes] = []
        size_bytes = 0
        with path.open("wb") as out:
            for chunk in _rechunked(data):
                size_bytes += len(chunk)
                check_room(size_bytes)
                digests.append(sha256(chunk).digest())
                out.write(self._kept(chunk, digests[-1], sensitive))
            if durable:
                out.flush()
                os.fsync(out.fileno())
        return all_here(size_bytes, b"".join(digests), sensitive)

    def write_chunk(self, path: Path, known: Sum, index: int, chunk: bytes) -> None:
        kept = self._kept(chunk, known.digest(index), known.sealed)
        write_at(path, index * known.chunk_bytes, kept)

    def read_chunk(self, file: int, known: Sum, index: int) -> bytes:
        """Raises Corrupt."""
        chunk = os.pread(file, known.chunk_bytes, index * known.chunk_bytes)
        if known.sealed:
            self.check_sealer(True)
            assert self._sealer is not None
            chunk = self._sealer.open(chunk, _context(known.digest(index)))
        if not is_chunk(known.size_bytes, known.digests, index, chunk):
            raise Corrupt(f"chunk {index} does not match")
        return chunk

    def seal(self, plain: Path, sealed: Path, known: Sum) -> Sum:
        """Writes the sealed file of what is here of a plain one; durable."""
        self.check_sealer(True)
        after = known._replace(sealed=True)
        with plain.open("rb", buffering=0) as file, sealed.open("wb") as out:
            out.truncate(after.file_bytes)
            for index in range(chunk_count(known.size_bytes)):
                if known.has(index):
                    chunk = self.read_chunk(file.fileno(), known, index)
                    out.seek(index * after.chunk_bytes)
                    out.write(self._kept(chunk, known.digest(index), sensitive=True))
            out.flush()
            os.fsync(out.fileno())
        return after

    def _kept(self, chunk: bytes, digest: bytes, sensitive: bool) -> bytes:
        if not sensitive:
            return chunk
        assert self._sealer is not None
        return self._sealer.seal(chunk, _context(digest))


def _context(digest: bytes) -> bytes:
    """What a sealed chunk is bound to: the content that its digest names, wherever that lies."""
    return b"blob " + digest


def _rechunked(data: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in data:
        if len(piece) == CHUNK_BYTES and not held:
            yield piece
            continue
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


def write_at(path: Path, offset: int, data: bytes | bytearray) -> None:
    with path.open("r+b") as out:
        out.seek(offset)
        out.write(data)


def sync(path: Path) -> None:
    """A file, or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def typed() -> Generator[None, None, None]:
    """What an error of the disk means."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Overloaded("the disk that holds the blobs is full", "free room on it") from error
        raise Unavailable(
            f"blobs cannot be reached: {error}", "check the disk and its permissions"
        ) from error
