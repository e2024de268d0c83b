"""What the runtime needs of the outside. Each port has a real adapter and a fake in
`adapters/memory`, and one contract suite in tests/contract that both pass.

Callbacks may come from any thread unless said otherwise; they only enqueue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from nova_node.core.effects import (
    Effect,
)
from nova_node.core.events import (
    Event,
)
from nova_node.core.members import MemberEffect
from nova_node.core.model import (
    PROTOCOL,
    Attempt,
    BlobRef,
    Capability,
    Encoding,
    Failure,
    Input,
    Member,
    Usage,
)
from nova_node.core.signals import (
    Signal,
)
from nova_node.secrets.redact import Revealed

Post = Callable[[Signal], None]
"""Enqueue a signal for the engine. Called on the event loop's thread only."""


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds that never jump: the wall clock at start plus monotonic time since."""
        ...


SEALED = 1
"""The first byte of what a Sealer made: no message of protobuf begins with it."""

SEALED_EXTRA_BYTES = 33
"""How much longer it is than the plaintext."""


class Sealer(Protocol):
    """Encrypts what is kept on disk. `context` says where the bytes belong; elsewhere they do not
    open. Safe to call from several threads."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Raises Refused when there is no key."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises Refused (its key is not here) or Corrupt (changed, or of another context)."""
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
    big-endian, then each chunk's SHA-256). Any range can so be fetched and checked by itself.

    A sensitive blob is encrypted on disk and stays so, whoever puts the same bytes again."""

    def put(
        self,
        data: Iterable[bytes],
        encoding: Encoding = Encoding.RAW,
        durable: bool = True,
        sensitive: bool = False,
    ) -> BlobRef:
        """Store a whole blob; it is on disk on return if `durable`.

        Raises Overloaded when the cap on disk is reached, Refused when it is sensitive and this
        node has no data key."""
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

    def is_sensitive(self, blob_id: str) -> bool:
        """Raises NotFound."""
        ...

    def add_chunk(
        self,
        blob_id: str,
        size_bytes: int,
        digests: bytes,
        index: int,
        data: bytes,
        sensitive: bool = False,
    ) -> None:
        """Store one chunk of a blob that another node holds. Raises Corrupt when it does not match,
        Refused and Overloaded as `put`."""
        ...

    def sync(self, blob_id: str) -> None:
        """The chunks that are here are on disk on return, as after a durable `put`. Raises NotFound."""
        ...

    def lend(self, blob_id: str, offset: int, size_bytes: int) -> None:
        """From now on, and until this range is taken back as often as it was lent, `path` shows it.

        Raises NotFound (not all of it is here), Corrupt, Overloaded (too much is lent)."""
        ...

    def take_back(self, blob_id: str, offset: int, size_bytes: int) -> None:
        """What was lent is no longer read."""
        ...

    def path(self, blob_id: str) -> str:
        """A file that holds the bytes at their own offsets, for a worker process to read: of a
        sensitive blob those that are lent. Raises NotFound."""
        ...

    def discard(self, blob_ids: Iterable[str]) -> None:
        """One `put` of each is no longer needed; the last one deletes. Unknown ids are ignored."""
        ...

    def collect(self, referenced: Iterable[str], older_than_s: float) -> int:
        """Delete blobs that are not referenced and were not touched for so long; bytes freed."""
        ...

    def size_bytes(self) -> int: ...


NO_SECRETS: Mapping[int, Revealed] = MappingProxyType({})


class Executor(Protocol):
    """Slots that run attempts, one at a time each. Methods are called on the event loop's thread
    and do not block; everything is answered through `post`: SlotReady, Ran, Spoke, SlotDied."""

    async def start(self, slots: int, post: Post) -> None: ...

    async def describe(self) -> tuple[list[Capability], list[str]]:
        """The capabilities that load, and a warning for each that does not."""
        ...

    def run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        secrets: Mapping[int, Revealed] = NO_SECRETS,
    ) -> None:
        """`secrets` are values by key. Each is kept out of what its attempt says and returns."""
        ...

    def kill(self, slot: int, failure: Failure) -> None:
        """SIGKILL and replace. SlotDied follows with `failure`, then SlotReady of the new process."""
        ...

    async def stop(self) -> None:
        """Ends every process; returns when they are gone."""
        ...


class Asked(NamedTuple):
    """A task that an attempt asks for, as `nova_node.waiting.Ask`; `args` is JSON."""

    capability: str
    args: bytes = b"{}"
    inputs: tuple[Input, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    prefers: tuple[tuple[str, str], ...] = ()
    allowance_uusd: int = 0
    timeout_s: float = 0.0


class AskEnd(NamedTuple):
    """What became of it: a failure, or a result with its files. `usage` is that of all attempts."""

    failure: Failure | None
    encoding: Encoding = Encoding.JSON
    data: bytes = b"null"
    files: tuple[tuple[str, bytes], ...] = ()
    node: str = ""
    usage: Usage | None = None


class Asking(Protocol):
    """What one attempt asks for. `number` is the caller's own. Methods do not block."""

    def ask(
        self,
        number: int,
        asked: Asked,
        hear: Callable[[str], None] | None,
        end: Callable[[AskEnd], None],
    ) -> None:
        """Output goes to `hear` as it comes; `end` is called once, later, on the loop's thread."""
        ...

    def withdraw(self, number: int) -> None:
        """Cancels it, unless it has ended; `end` is called all the same."""
        ...

    def close(self) -> None:
        """The attempt has ended: cancels what is still open, of which nothing is told any more."""
        ...


class Asker(Protocol):
    """Has tasks run for attempts that wait, with the rights of their submitters."""

    def of(self, attempt: Attempt) -> Asking: ...


class Found(NamedTuple):
    node: str
    address: str
    mesh: str
    version: str
    protocol: int = PROTOCOL
    #: the port where it lets others into its mesh; 0: it does not
    join: int = 0


class Discovery(Protocol):
    """Introduces; never tells that a node is gone."""

    async def start(self, me: Found, seen: Callable[[Found], None]) -> None:
        """Advertise `me` and call `seen` (on the loop's thread) for each other node, also again."""
        ...

    async def stop(self) -> None: ...


class Fetched(NamedTuple):
    """A chunk as a peer sent it, in the order of `Blobs.add_chunk`."""

    #: of the whole blob, as the digests
    size_bytes: int
    digests: bytes
    #: its index
    chunk: int
    data: bytes
    sensitive: bool


class BlobSource(Protocol):
    """Fetches parts of blobs from peers."""

    def fetch(
        self, holder: str, blob_id: str, offset: int, size_bytes: int
    ) -> AsyncIterator[Fetched]:
        """The chunks of a range. Raises Unavailable or NotFound."""
        ...


class Peers(Protocol):
    """The transport. Performs effects without blocking; what comes of them arrives as signals."""

    def know(self, member: Member) -> None:
        """Where a peer is to be found."""
        ...

    def perform(self, effect: Effect | MemberEffect) -> None: ...
