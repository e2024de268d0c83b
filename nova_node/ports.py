"""What the runtime needs of the outside. Each port has a real adapter and a fake in
`adapters/memory`, and one contract suite in tests/contract that both pass.

Callbacks may come from any thread unless said otherwise; they only enqueue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from nova_node.core.effects import (
    Effect,
)
from nova_node.core.events import (
    Event,
)
from nova_node.core.members import MemberEffect
from nova_node.core.model import PROTOCOL, Attempt, BlobRef, Capability, Encoding, Failure, Member
from nova_node.core.signals import (
    Signal,
)

Post = Callable[[Signal], None]
"""Enqueue a signal for the engine. Called on the event loop's thread only."""


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds that never jump: the wall clock at start plus monotonic time since."""
        ...


class Journal(Protocol):
    """The truth of one owner. All methods but `append` block; call them off the event loop."""

    def open(self) -> int:
        """Take the journal and return this start's incarnation, durable on return.

        Raises InUse (another process has it) or Corrupt (damaged rows were moved to the
        quarantine folder and the file was repaired; opening again succeeds)."""
        ...

    def append(self, events: Sequence[Event], done: Callable[[Exception | None], None]) -> None:
        """Queue events. `done` is called in the journal's thread when they, and all before, are
        on disk (None) or cannot be (the error). Groups whatever waits into one commit."""
        ...

    def read(self, from_seq: int = 0, batch: int | None = None) -> Iterator[Event]:
        """Events with seq >= from_seq in order, of one batch if given. Sees what was committed."""
        ...

    def forget(self, batches: Iterable[int]) -> None:
        """Drop all rows of these batches (compaction); shrinks the file in time."""
        ...

    def used(self) -> tuple[int, int]:
        """The highest event and task numbers ever journaled, forgotten ones included."""
        ...

    def size_bytes(self) -> int: ...

    def close(self) -> None:
        """Commit what is queued, then release the file."""
        ...


CHUNK_BYTES = 1 << 20


class Blobs(Protocol):
    """Content-addressed bytes on this node. Blocking; call off the event loop.

    A blob is cut into chunks of CHUNK_BYTES; its id is the hex SHA-256 of (its size as 8 bytes,
    big-endian, then each chunk's SHA-256). Any range can so be fetched and checked by itself."""

    def put(
        self, data: Iterable[bytes], encoding: Encoding = Encoding.RAW, durable: bool = True
    ) -> BlobRef:
        """Store a whole blob; it is on disk on return if `durable`.

        Raises Overloaded when the cap on disk is reached."""
        ...

    def read(self, blob_id: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        """Checked bytes. Raises NotFound (not here, or that range is not), Corrupt (quarantined)."""
        ...

    def missing(self, blob_id: str, offset: int, size_bytes: int) -> list[int]:
        """Indexes of the chunks of this range that are not here."""
        ...

    def digests(self, blob_id: str) -> tuple[int, bytes]:
        """Size in bytes and 32 bytes a chunk. Raises NotFound."""
        ...

    def add_chunk(
        self, blob_id: str, size_bytes: int, digests: bytes, index: int, data: bytes
    ) -> None:
        """Store one chunk of a blob that another node holds. Raises Corrupt when it does not match."""
        ...

    def path(self, blob_id: str) -> str:
        """The file that holds the bytes at their own offsets, for a worker process to read."""
        ...

    def discard(self, blob_ids: Iterable[str]) -> None:
        """One `put` of each is no longer needed; the last one deletes. Unknown ids are ignored."""
        ...

    def collect(self, referenced: Iterable[str], older_than_s: float) -> int:
        """Delete blobs that are not referenced and were not touched for so long; bytes freed."""
        ...

    def size_bytes(self) -> int: ...


class Executor(Protocol):
    """Slots that run attempts, one at a time each. Methods are called on the event loop's thread
    and do not block; everything is answered through `post`: SlotReady, Ran, Spoke, SlotDied."""

    async def start(self, slots: int, post: Post) -> None: ...

    async def describe(self) -> tuple[list[Capability], list[str]]:
        """The capabilities that load, and a warning for each that does not."""
        ...

    def run(self, slot: int, keys: Sequence[int], attempts: Sequence[Attempt]) -> None: ...

    def kill(self, slot: int, failure: Failure) -> None:
        """SIGKILL and replace. SlotDied follows with `failure`, then SlotReady of the new process."""
        ...

    async def stop(self) -> None:
        """Ends every process; returns when they are gone."""
        ...


class Found(NamedTuple):
    node: str
    address: str
    mesh: str
    version: str
    protocol: int = PROTOCOL


class Discovery(Protocol):
    """Introduces; never tells that a node is gone."""

    async def start(self, me: Found, seen: Callable[[Found], None]) -> None:
        """Advertise `me` and call `seen` (on the loop's thread) for each other node, also again."""
        ...

    async def stop(self) -> None: ...


class BlobSource(Protocol):
    """Fetches parts of blobs from peers."""

    def fetch(
        self, holder: str, blob_id: str, offset: int, size_bytes: int
    ) -> AsyncIterator[tuple[int, bytes, int, bytes]]:
        """(size of the blob, its digests, index, chunk). Raises Unavailable or NotFound."""
        ...


class Peers(Protocol):
    """The transport. Performs effects without blocking; what comes of them arrives as signals."""

    def know(self, member: Member) -> None:
        """Where a peer is to be found."""
        ...

    def perform(self, effect: Effect | MemberEffect) -> None: ...
