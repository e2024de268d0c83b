"""Fakes of the ports that keep bytes. Each passes the contract suite of the real one.

MemoryJournal forgets what was not synced, as a disk does, when a simulator tells it to crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nova_node.adapters.blob_chunks import (
    CHUNK_BYTES,
    blob_id_of,
    check_chunk,
    chunk_count,
    chunks_of,
    not_here,
    range_end,
)
from nova_node.adapters.journal_rows import highest_no
from nova_node.adapters.wire_checks import check_blob
from nova_node.core.errors import (
    InUse,
    Invalid,
    NotFound,
    NovaError,
    Overloaded,
    Refused,
    Unavailable,
)
from nova_node.core.events import (
    Event,
)
from nova_node.core.model import BlobRef, Encoding

Done = Callable[[Exception | None], None]


class MemoryJournal:
    """The port Journal. With `auto_sync` each append is durable at once and `done` is called before
    it returns; without, both wait for `sync`. `fail` is what the next appends end with."""

    def __init__(self, auto_sync: bool = True) -> None:
        self.fail: NovaError | None = None
        self._auto_sync = auto_sync
        self._events: dict[int, Event] = {}
        self._waiting: list[tuple[Sequence[Event], Done]] = []
        self._used = (0, 0)
        self._incarnation = 0
        self._open = False

    def open(self) -> int:
        if self._open:
            raise InUse("the journal is open already", "close it first")
        self._open = True
        self._incarnation += 1
        return self._incarnation

    def append(self, events: Sequence[Event], done: Done) -> None:
        if not self._open:
            done(Unavailable("the journal is closed", "ask again once the node has started"))
            return
        self._waiting.append((events, done))
        if self._auto_sync:
            self.sync()

    def sync(self) -> None:
        """What waits is durable, and whoever appended it is told, in order."""
        waiting, self._waiting = self._waiting, []
        for events, done in waiting:
            done(self.fail or self._keep([event for event in events if event.journaled]))

    def crash(self) -> None:
        """What waits is lost, and nobody is told. Open again to go on."""
        self._waiting.clear()
        self._open = False

    def _keep(self, events: list[Event]) -> NovaError | None:
        seqs = {event.seq for event in events}
        if len(seqs) < len(events) or seqs & self._events.keys():
            return Invalid("the journal has that event already", "number each event once")
        for event in events:
            self._events[event.seq] = event
            seq, no = self._used
            self._used = max(seq, event.seq), max(no, highest_no(event))
        return None

    def read(self, from_seq: int = 0, batch: int | None = None) -> Iterator[Event]:
        if not self._open:
            raise Unavailable("the journal is closed", "ask again once the node has started")
        for seq, event in sorted(self._events.items()):
            if seq >= from_seq and (batch is None or event.batch == batch):
                yield event

    def used(self) -> tuple[int, int]:
        return self._used

    def forget(self, batches: Iterable[int]) -> None:
        gone = set(batches)
        self._events = {s: e for s, e in self._events.items() if e.batch not in gone}

    def size_bytes(self) -> int:
        return 100 * len(self._events)

    def close(self) -> None:
        self.sync()
        self._open = False


class MemoryBlobs:
    """The port Blobs. `path` writes files into `folder`; without one it raises Unavailable. It takes
    sensitive blobs if `has_key`."""

    def __init__(
        self,
        max_bytes: int = 1 << 30,
        folder: Path | None = None,
        now: Callable[[], float] = time.time,
        has_key: bool = False,
    ) -> None:
        self._max_bytes = max_bytes
        self._folder = folder
        self._now = now
        self._has_key = has_key
        self._blobs: dict[str, _Blob] = {}

    def put(
        self,
        data: Iterable[bytes],
        encoding: Encoding = Encoding.RAW,
        durable: bool = True,
        sensitive: bool = False,
    ) -> BlobRef:
        self._check_key(sensitive)
        whole = b"".join(data)
        chunks = {
            index: whole[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            for index in range(chunk_count(len(whole)))
        }
        digests = b"".join([sha256(chunk).digest() for chunk in chunks.values()])
        blob_id = blob_id_of(len(whole), digests)
        known = self._blobs.get(blob_id)
        self._check_room(len(whole))
        holds = max(1, known.holds) if known else 0
        blob = _Blob(len(whole), digests, chunks, self._now(), sensitive, holds + 1)
        if known is not None:
            blob.sensitive |= known.sensitive
            blob.lent = known.lent
        self._blobs[blob_id] = blob
        return BlobRef(blob_id, len(whole), encoding)

    def read(self, blob_id: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        blob = self._blob(blob_id)
        blob.used_at = self._now()
        end = range_end(blob_id, blob.size_bytes, offset, size_bytes)
        pieces: list[bytes] = []
        for index in chunks_of(offset, end - offset):
            if index not in blob.chunks:
                raise NotFound(
                    f"chunk {index} of blob {blob_id} is not here", "fetch it from a holder"
                )
            start = index * CHUNK_BYTES
            pieces.append(blob.chunks[index][max(0, offset - start) : end - start])
        return b"".join(pieces)

    def missing(self, blob_id: str, offset: int, size_bytes: int) -> list[int]:
        check_blob(blob_id)
        wanted = chunks_of(offset, size_bytes)
        blob = self._blobs.get(blob_id)
        if blob is None:
            return list(wanted)
        return [i for i in wanted if i < chunk_count(blob.size_bytes) and i not in blob.chunks]

    def digests(self, blob_id: str) -> tuple[int, bytes]:
        blob = self._blob(blob_id)
        return blob.size_bytes, blob.digests

    def is_sensitive(self, blob_id: str) -> bool:
        return self._blob(blob_id).sensitive

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
        self._check_key(sensitive)
        blob = self._blobs.get(blob_id)
        if blob is None or index not in blob.chunks:
            self._check_room(len(data))
            blob = self._blobs.setdefault(blob_id, _Blob(size_bytes, digests, {}, self._now()))
            blob.chunks[index] = data
        blob.sensitive |= sensitive

    def sync(self, blob_id: str) -> None:
        self._blob(blob_id)

    def lend(self, blob_id: str, offset: int, size_bytes: int) -> None:
        self.read(blob_id, offset, size_bytes)
        self._blob(blob_id).lent += 1

    def take_back(self, blob_id: str, offset: int, size_bytes: int) -> None:
        blob = self._blobs.get(blob_id)
        if blob is not None:
            blob.lent -= 1

    def path(self, blob_id: str) -> str:
        blob = self._blob(blob_id)
        if blob.sensitive and not blob.lent:
            raise NotFound(f"blob {blob_id} is sensitive and not lent", "lend what is read")
        if self._folder is None:
            raise Unavailable("these blobs have no files", "give MemoryBlobs a folder")
        path = self._folder / blob_id
        with path.open("wb") as file:
            for index, chunk in blob.chunks.items():
                file.seek(index * CHUNK_BYTES)
                file.write(chunk)
            file.truncate(blob.size_bytes)
        return str(path)

    def discard(self, blob_ids: Iterable[str]) -> None:
        for blob_id in blob_ids:
            blob = self._blobs.get(blob_id)
            if blob is not None and blob.holds:
                blob.holds -= 1
                if not blob.holds:
                    del self._blobs[blob_id]

    def collect(self, referenced: Iterable[str], older_than_s: float) -> int:
        before, after = self.size_bytes(), set(referenced)
        until = self._now() - older_than_s
        self._blobs = {i: b for i, b in self._blobs.items() if i in after or b.used_at > until}
        return before - self.size_bytes()

    def size_bytes(self) -> int:
        return sum(blob.stored_bytes() for blob in self._blobs.values())

    def _blob(self, blob_id: str) -> _Blob:
        check_blob(blob_id)
        if blob_id not in self._blobs:
            raise not_here(blob_id)
        return self._blobs[blob_id]

    def _check_key(self, sensitive: bool) -> None:
        if sensitive and not self._has_key:
            raise Refused("this node has no data key", "run `nova-node init`")

    def _check_room(self, size_bytes: int) -> None:
        if self.size_bytes() + size_bytes > self._max_bytes:
            raise Overloaded(
                f"the node holds {self.size_bytes()} bytes of blobs, of {self._max_bytes} allowed",
                "wait until older ones are collected, or allow the node more",
            )


@dataclass(slots=True)
class _Blob:
    size_bytes: int
    digests: bytes
    chunks: dict[int, bytes]
    used_at: float
    sensitive: bool = False
    #: puts that were not discarded
    holds: int = 0
    lent: int = 0

    def stored_bytes(self) -> int:
        return sum(len(chunk) for chunk in self.chunks.values())
