"""Blobs as files: `<id>` holds the bytes at their own offsets (sparse while chunks are missing), and
`<id>.sum` the size, the digests and a bitmap of the chunks that are here.

The .sum comes last and goes first: without it there is no blob. What it claims is checked on each
read, so a claim that a power cut left behind is found out. Its mtime is when the blob was used.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import NamedTuple

from nova_node.adapters.blob_chunks import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    blob_id_of,
    check_chunk,
    check_digests,
    chunk_count,
    chunk_size,
    chunks_of,
    is_chunk,
    not_here,
    range_end,
)
from nova_node.adapters.wire_checks import check_blob
from nova_node.core.errors import Corrupt, NotFound, NovaError, Overloaded, Unavailable
from nova_node.core.model import BlobRef, Encoding

_MAGIC = b"novasum1"
_HEADER_BYTES = 16
_SUMS_REMEMBERED_MAX = 256


class _Sum(NamedTuple):
    size_bytes: int
    digests: bytes
    #: bit index % 8 of byte index // 8
    here: bytearray

    def has(self, index: int) -> bool:
        return bool(self.here[index >> 3] >> (index & 7) & 1)

    def stored_bytes(self) -> int:
        found = [i for i in range(chunk_count(self.size_bytes)) if self.has(i)]
        return sum([chunk_size(self.size_bytes, i) for i in found])


class DiskBlobs:
    """The port Blobs. Safe to call from several threads. Holds at most `max_bytes` of chunks."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        # guards the .sum files, what is remembered of them, and _stored_bytes
        self._lock = Lock()
        self._sums: OrderedDict[str, _Sum] = OrderedDict()
        with _typed():
            for name in ("", "new", "quarantine"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in (folder / "new").iterdir():
                leftover.unlink()
        #: puts of this process that were not discarded
        self._holds: Counter[str] = Counter()
        self._stored_bytes = 0
        for blob_id in self._ids():
            with suppress(NovaError):
                self._stored_bytes += self._sum(blob_id).stored_bytes()

    # ------------------------------------------------------------ put and read

    def put(
        self, data: Iterable[bytes], encoding: Encoding = Encoding.RAW, durable: bool = True
    ) -> BlobRef:
        draft = self._folder / "new" / token_hex(8)
        try:
            with _typed():
                size_bytes, digests = self._write_draft(draft, data, durable)
                blob_id = blob_id_of(size_bytes, digests)
                with self._lock:
                    self._place(draft, blob_id, size_bytes, digests, durable)
                    self._holds[blob_id] += 1
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return BlobRef(blob_id, size_bytes, encoding)

    def _write_draft(self, draft: Path, data: Iterable[bytes], durable: bool) -> tuple[int, bytes]:
        digests: list[bytes] = []
        size_bytes = 0
        with draft.open("wb") as out:
            for chunk in _rechunked(data):
                size_bytes += len(chunk)
                self._check_room(size_bytes)
                out.write(chunk)
                digests.append(sha256(chunk).digest())
            if durable:
                out.flush()
                os.fsync(out.fileno())
        return size_bytes, b"".join(digests)

    def _place(
        self, draft: Path, blob_id: str, size_bytes: int, digests: bytes, durable: bool
    ) -> None:
        path = self._file(blob_id)
        before = 0
        with suppress(NotFound, Corrupt):
            before = self._sum(blob_id).stored_bytes()
        self._check_room(size_bytes - before)
        count = chunk_count(size_bytes)
        here = bytearray(((1 << count) - 1).to_bytes((count + 7) // 8, "little"))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(draft, path)
        self._write_sum(blob_id, _Sum(size_bytes, digests, here), durable)
        if before and not self._holds[blob_id]:
            self._holds[blob_id] = 1  # it came before this process, and so may its users
        self._stored_bytes += size_bytes - before

    def read(self, blob_id: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        with self._lock:
            known = self._sum(blob_id)
            self._touch(blob_id)
        end = range_end(blob_id, known.size_bytes, offset, size_bytes)
        try:
            with _typed():
                pieces = self._read_chunks(blob_id, known, offset, end)
        except Corrupt as error:
            with self._lock:
                raise self._set_aside(blob_id, error.message) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_chunks(self, blob_id: str, known: _Sum, offset: int, end: int) -> list[bytes]:
        pieces: list[bytes] = []
        try:
            file = self._file(blob_id).open("rb", buffering=0)
        except FileNotFoundError:
            raise Corrupt("its file is gone") from None
        with file:
            for index in chunks_of(offset, end - offset):
                if not known.has(index):
                    raise NotFound(
                        f"chunk {index} of blob {blob_id} is not here", "fetch it from a holder"
                    )
                start = index * CHUNK_BYTES
                chunk = os.pread(file.fileno(), CHUNK_BYTES, start)
                if not is_chunk(known.size_bytes, known.digests, index, chunk):
                    raise Corrupt(f"chunk {index} does not match")
                pieces.append(chunk[max(0, offset - start) : end - start])
        return pieces

    # ------------------------------------------------------------ chunks

    def missing(self, blob_id: str, offset: int, size_bytes: int) -> list[int]:
        check_blob(blob_id)
        wanted = chunks_of(offset, size_bytes)
        with self._lock:
            try:
                known = self._sum(blob_id)
            except (NotFound, Corrupt):
                return list(wanted)
            count = chunk_count(known.size_bytes)
            return [index for index in wanted if index < count and not known.has(index)]

    def digests(self, blob_id: str) -> tuple[int, bytes]:
        with self._lock:
            known = self._sum(blob_id)
        return known.size_bytes, known.digests

    def add_chunk(
        self, blob_id: str, size_bytes: int, digests: bytes, index: int, data: bytes
    ) -> None:
        check_blob(blob_id)
        check_chunk(blob_id, size_bytes, digests, index, data)
        with self._lock, _typed():
            path = self._file(blob_id)
            try:
                known = self._sum(blob_id)
            except (NotFound, Corrupt):
                self._check_room(len(data))
                known = _Sum(size_bytes, digests, bytearray((chunk_count(size_bytes) + 7) // 8))
                path.parent.mkdir(mode=0o700, exist_ok=True)
                with path.open("wb") as out:
                    out.truncate(size_bytes)
                self._write_sum(blob_id, known, durable=False)
            if known.has(index):
                return
            self._check_room(len(data))
            # not synced: it can be fetched again, and is checked when read
            _write_at(path, index * CHUNK_BYTES, data)
            known.here[index >> 3] |= 1 << (index & 7)
            at = _HEADER_BYTES + len(digests) + (index >> 3)
            _write_at(self._sum_file(blob_id), at, known.here[index >> 3 : (index >> 3) + 1])
            self._stored_bytes += len(data)

    def path(self, blob_id: str) -> str:
        with self._lock:
            self._sum(blob_id)
            self._touch(blob_id)
        return str(self._file(blob_id))

    # ------------------------------------------------------------ room

    def collect(self, referenced: Iterable[str], older_than_s: float) -> int:
        kept = set(referenced)
        before = time.time() - older_than_s
        found: list[tuple[float, str]] = []
        for blob_id in self._ids():
            if blob_id not in kept:
                with suppress(OSError):
                    found.append((self._sum_file(blob_id).stat().st_mtime, blob_id))
        freed = 0
        for used_at, blob_id in sorted(found):
            if used_at > before:
                break
            with self._lock, suppress(NotFound, Corrupt), _typed():
                if self._sum_file(blob_id).stat().st_mtime <= before:
                    freed += self._delete(blob_id)
        return freed

    def discard(self, blob_ids: Iterable[str]) -> None:
        for blob_id in blob_ids:
            with self._lock, suppress(NotFound, Corrupt), _typed():
                self._holds[blob_id] -= 1
                if self._holds[blob_id] == 0:
                    self._delete(blob_id)
                if self._holds[blob_id] <= 0:
                    del self._holds[blob_id]

    def _delete(self, blob_id: str) -> int:
        size_bytes = self._sum(blob_id).stored_bytes()
        self._sum_file(blob_id).unlink()
        self._file(blob_id).unlink(missing_ok=True)
        self._sums.pop(blob_id, None)
        self._holds.pop(blob_id, None)
        self._stored_bytes -= size_bytes
        return size_bytes

    def size_bytes(self) -> int:
        return self._stored_bytes

    def _check_room(self, size_bytes: int) -> None:
        if self._stored_bytes + size_bytes > self._max_bytes:
            raise Overloaded(
                f"the node holds {self._stored_bytes} bytes of blobs, of {self._max_bytes} allowed",
                "wait until older ones are collected, or allow the node more",
            )

    # ------------------------------------------------------------ files

    def _file(self, blob_id: str) -> Path:
        return self._folder / blob_id[:2] / check_blob(blob_id)

    def _sum_file(self, blob_id: str) -> Path:
        return self._folder / blob_id[:2] / f"{blob_id}.sum"

    def _ids(self) -> Iterator[str]:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*.sum"):
            if len(path.stem) == 2 * DIGEST_BYTES:
                yield path.stem

    def _touch(self, blob_id: str) -> None:
        with suppress(OSError):
            os.utime(self._sum_file(blob_id))

    def _sum(self, blob_id: str) -> _Sum:
        """Raises NotFound; Corrupt when the file is damaged (it is set aside). Under the lock."""
        known = self._sums.get(blob_id)
        if known is not None:
            self._sums.move_to_end(blob_id)
            return known
        check_blob(blob_id)
        with _typed():
            try:
                data = self._sum_file(blob_id).read_bytes()
            except FileNotFoundError:
                raise not_here(blob_id) from None
        size_bytes = int.from_bytes(data[len(_MAGIC) : _HEADER_BYTES], "big")
        at = _HEADER_BYTES + DIGEST_BYTES * chunk_count(size_bytes)
        known = _Sum(size_bytes, data[_HEADER_BYTES:at], bytearray(data[at:]))
        try:
            check_digests(blob_id, size_bytes, known.digests)
        except Corrupt:
            known = None
        if known is None or len(known.here) != (chunk_count(size_bytes) + 7) // 8:
            raise self._set_aside(blob_id, "its digests do not match")
        self._remember(blob_id, known)
        return known

    def _remember(self, blob_id: str, known: _Sum) -> None:
        self._sums[blob_id] = known
        if len(self._sums) > _SUMS_REMEMBERED_MAX:
            self._sums.popitem(last=False)

    def _write_sum(self, blob_id: str, known: _Sum, durable: bool) -> None:
        draft = self._folder / "new" / f"{blob_id}.sum"
        with draft.open("wb") as out:
            out.write(_MAGIC + known.size_bytes.to_bytes(8, "big") + known.digests + known.here)
            if durable:
                out.flush()
                os.fsync(out.fileno())
        target = self._sum_file(blob_id)
        os.replace(draft, target)
        if durable:
            _sync_folder(target.parent)
            _sync_folder(self._folder)
        self._remember(blob_id, known)

    def _set_aside(self, blob_id: str, why: str) -> Corrupt:
        """Under the lock."""
        place = self._folder / "quarantine"
        name = f"{blob_id}-{token_hex(4)}"
        known = self._sums.pop(blob_id, None)
        if known is not None:
            self._stored_bytes -= known.stored_bytes()
        with suppress(OSError):
            os.replace(self._sum_file(blob_id), place / f"{name}.sum")
        with suppress(OSError):
            os.replace(self._file(blob_id), place / name)
        return Corrupt(
            f"blob {blob_id} was damaged ({why}) and moved to {place / name}",
            "fetch it from another holder, or put it again",
        )


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


def _write_at(path: Path, offset: int, data: bytes | bytearray) -> None:
    with path.open("r+b") as out:
        out.seek(offset)
        out.write(data)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _typed() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Overloaded("the disk that holds the blobs is full", "free room on it") from error
        raise Unavailable(
            f"blobs cannot be reached: {error}", "check the disk and its permissions"
        ) from error
