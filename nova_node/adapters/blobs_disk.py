"""Blobs as files: `<id>` holds the bytes at their own offsets (sparse while chunks are missing), and
`<id>.sum` the size, the digests and a bitmap of the chunks that are here. A sensitive blob has
`<id>.sealed` instead of `<id>`: each chunk sealed, with its digest as context.

The .sum comes last and goes first: without it there is no blob. What it claims is checked on each
read, so a claim that a power cut left behind is found out. Its mtime is when the blob was used.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock

from nova_node.adapters.blob_chunks import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    blob_id_of,
    check_chunk,
    chunk_count,
    chunk_size,
    chunks_of,
    not_here,
    range_end,
)
from nova_node.adapters.blob_files import ChunkFiles, sync, typed, write_at
from nova_node.adapters.blob_loans import Loans
from nova_node.adapters.blob_sums import Sum, none_here, sum_from_bytes
from nova_node.adapters.wire_checks import check_blob
from nova_node.core.errors import Corrupt, NotFound, NovaError, Overloaded
from nova_node.core.model import BlobRef, Encoding
from nova_node.ports import Sealer

_SUMS_REMEMBERED_MAX = 256


class DiskBlobs:
    """The port Blobs. Safe to call from several threads. Holds at most `max_bytes` of chunks.
    Without a sealer there are no sensitive ones."""

    def __init__(self, folder: Path, max_bytes: int, sealer: Sealer | None = None) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files = ChunkFiles(sealer)
        self._loans = Loans(folder / "new")
        # guards the .sum files, what is remembered of them, and _stored_bytes
        self._lock = Lock()
        self._sums: OrderedDict[str, Sum] = OrderedDict()
        with typed():
            for name in ("", "new", "quarantine"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in (folder / "new").iterdir():
                leftover.unlink()
        #: puts of this process that were not discarded
        self._holds: Counter[str] = Counter()
        self._stored_bytes = 0
        for blob_id in self._ids():
            with suppress(NovaError):
                known = self._sum(blob_id)
                self._stored_bytes += known.stored_bytes()
                if known.sealed:  # a process that was killed may have left it
                    self._file(blob_id).unlink(missing_ok=True)

    # ------------------------------------------------------------ put and read

    def put(
        self,
        data: Iterable[bytes],
        encoding: Encoding = Encoding.RAW,
        durable: bool = True,
        sensitive: bool = False,
    ) -> BlobRef:
        draft = self._folder / "new" / token_hex(8)
        try:
            with typed():
                whole = self._files.write(draft, data, durable, sensitive, self._check_room)
                blob_id = blob_id_of(whole.size_bytes, whole.digests)
                with self._lock:
                    self._place(draft, blob_id, whole, durable)
                    self._holds[blob_id] += 1
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return BlobRef(blob_id, whole.size_bytes, encoding)

    def _place(self, draft: Path, blob_id: str, whole: Sum, durable: bool) -> None:
        before: Sum | None = None
        with suppress(NotFound, Corrupt):
            before = self._sum(blob_id)
        stored_bytes = before.stored_bytes() if before else 0
        self._check_room(whole.size_bytes - stored_bytes)
        if before and before.sealed and not whole.sealed:
            plain, draft = draft, draft.with_suffix(".sealed")
            whole = self._files.seal(plain, draft, whole)
        path = self._file(blob_id, whole.sealed)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(draft, path)
        self._write_sum(blob_id, whole, durable)
        if before and whole.sealed and not before.sealed:
            self._file(blob_id).unlink(missing_ok=True)
        if stored_bytes and not self._holds[blob_id]:
            self._holds[blob_id] = 1  # it came before this process, and so may its users
        self._stored_bytes += whole.size_bytes - stored_bytes

    def read(self, blob_id: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        with self._lock:
            known = self._sum(blob_id)
            self._touch(blob_id)
        end = range_end(blob_id, known.size_bytes, offset, size_bytes)
        try:
            with typed():
                pieces = self._read_chunks(blob_id, known, offset, end)
        except Corrupt as error:
            with self._lock:
                if self._sum(blob_id).sealed == known.sealed:
                    raise self._set_aside(blob_id, error.message) from None
            return self.read(blob_id, offset, size_bytes)  # it was sealed meanwhile
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_chunks(self, blob_id: str, known: Sum, offset: int, end: int) -> list[bytes]:
        pieces: list[bytes] = []
        try:
            file = self._file(blob_id, known.sealed).open("rb", buffering=0)
        except FileNotFoundError:
            raise Corrupt("its file is gone") from None
        with file:
            for index in chunks_of(offset, end - offset):
                if not known.has(index):
                    raise NotFound(
                        f"chunk {index} of blob {blob_id} is not here", "fetch it from a holder"
                    )
                start = index * CHUNK_BYTES
                chunk = self._files.read_chunk(file.fileno(), known, index)
                pieces.append(chunk[max(0, offset - start) : end - start])
        return pieces

    # ------------------------------------------------------------ sensitive ones

    def is_sensitive(self, blob_id: str) -> bool:
        with self._lock:
            return self._sum(blob_id).sealed

    def lend(self, blob_id: str, offset: int, size_bytes: int) -> None:
        with self._lock:
            known = self._sum(blob_id)
        if known.sealed:
            chunks = chunks_of(offset, size_bytes)
            self._loans.lend(blob_id, known.size_bytes, chunks, lambda i: self._whole(blob_id, i))

    def _whole(self, blob_id: str, index: int) -> bytes:
        start = index * CHUNK_BYTES
        return self.read(blob_id, start, chunk_size(self.digests(blob_id)[0], index))

    def take_back(self, blob_id: str, offset: int, size_bytes: int) -> None:
        self._loans.take_back(blob_id, chunks_of(offset, size_bytes))

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
        self,
        blob_id: str,
        size_bytes: int,
        digests: bytes,
        index: int,
        data: bytes,
        sensitive: bool = False,
    ) -> None:
        check_blob(blob_id)
        check_chunk(blob_id, size_bytes, digests, index, data)
        self._files.check_sealer(sensitive)
        with self._lock, typed():
            known = self._begin(blob_id, none_here(size_bytes, digests, sensitive), len(data))
            if known.has(index):
                return
            self._check_room(len(data))
            # not synced: until `sync` it can be fetched again, and it is checked when read
            self._files.write_chunk(self._file(blob_id, known.sealed), known, index, data)
            known.here[index >> 3] |= 1 << (index & 7)
            bits = known.here[index >> 3 : (index >> 3) + 1]
            write_at(self._sum_file(blob_id), known.here_at(index), bits)
            self._stored_bytes += len(data)

    def sync(self, blob_id: str) -> None:
        with self._lock:
            known = self._sum(blob_id)
        with typed():
            for path in (self._file(blob_id, known.sealed), self._sum_file(blob_id)):
                with suppress(FileNotFoundError):  # sealed meanwhile, and so synced
                    sync(path)
            self._sync_folders(blob_id)

    def _begin(self, blob_id: str, empty: Sum, size_bytes: int) -> Sum:
        """What is here of a blob, and at least as sealed as `empty`. Under the lock."""
        try:
            known = self._sum(blob_id)
        except (NotFound, Corrupt):
            self._check_room(size_bytes)
            path = self._file(blob_id, empty.sealed)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("wb") as out:
                out.truncate(empty.file_bytes)
            self._write_sum(blob_id, empty, durable=False)
            return empty
        if known.sealed or not empty.sealed:
            return known
        plain = self._file(blob_id)
        draft = self._folder / "new" / token_hex(8)
        try:
            known = self._files.seal(plain, draft, known)
        except Corrupt as error:
            raise self._set_aside(blob_id, error.message) from None
        os.replace(draft, self._file(blob_id, sealed=True))
        self._write_sum(blob_id, known, durable=True)
        plain.unlink()
        return known

    def path(self, blob_id: str) -> str:
        with self._lock:
            known = self._sum(blob_id)
            self._touch(blob_id)
        return self._loans.path(blob_id) if known.sealed else str(self._file(blob_id))

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
            with self._lock, suppress(NotFound, Corrupt), typed():
                if self._sum_file(blob_id).stat().st_mtime <= before:
                    freed += self._delete(blob_id)
        return freed

    def discard(self, blob_ids: Iterable[str]) -> None:
        for blob_id in blob_ids:
            with self._lock, suppress(NotFound, Corrupt), typed():
                self._holds[blob_id] -= 1
                if self._holds[blob_id] == 0:
                    self._delete(blob_id)
                if self._holds[blob_id] <= 0:
                    del self._holds[blob_id]

    def _delete(self, blob_id: str) -> int:
        known = self._sum(blob_id)
        size_bytes = known.stored_bytes()
        self._sum_file(blob_id).unlink()
        self._file(blob_id, known.sealed).unlink(missing_ok=True)
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

    def _file(self, blob_id: str, sealed: bool = False) -> Path:
        return self._folder / blob_id[:2] / (check_blob(blob_id) + ".sealed" * sealed)

    def _sum_file(self, blob_id: str) -> Path:
        return self._folder / blob_id[:2] / f"{blob_id}.sum"

    def _ids(self) -> Iterator[str]:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*.sum"):
            if len(path.stem) == 2 * DIGEST_BYTES:
                yield path.stem

    def _touch(self, blob_id: str) -> None:
        with suppress(OSError):
            os.utime(self._sum_file(blob_id))

    def _sum(self, blob_id: str) -> Sum:
        """Raises NotFound; Corrupt when the file is damaged (it is set aside). Under the lock."""
        known = self._sums.get(blob_id)
        if known is not None:
            self._sums.move_to_end(blob_id)
            return known
        check_blob(blob_id)
        with typed():
            try:
                data = self._sum_file(blob_id).read_bytes()
            except FileNotFoundError:
                raise not_here(blob_id) from None
        try:
            known = sum_from_bytes(blob_id, data)
        except Corrupt:
            raise self._set_aside(blob_id, "its digests do not match") from None
        self._remember(blob_id, known)
        return known

    def _sync_folders(self, blob_id: str) -> None:
        sync(self._sum_file(blob_id).parent)
        sync(self._folder)

    def _remember(self, blob_id: str, known: Sum) -> None:
        self._sums[blob_id] = known
        if len(self._sums) > _SUMS_REMEMBERED_MAX:
            self._sums.popitem(last=False)

    def _write_sum(self, blob_id: str, known: Sum, durable: bool) -> None:
        draft = self._folder / "new" / f"{blob_id}.sum"
        with draft.open("wb") as out:
            out.write(known.to_bytes())
            if durable:
                out.flush()
                os.fsync(out.fileno())
        target = self._sum_file(blob_id)
        os.replace(draft, target)
        if durable:
            self._sync_folders(blob_id)
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
        for sealed in (False, True):
            with suppress(OSError):
                os.replace(self._file(blob_id, sealed), place / name)
        return Corrupt(
            f"blob {blob_id} was damaged ({why}) and moved to {place / name}",
            "fetch it from another holder, or put it again",
        )
