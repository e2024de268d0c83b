"""The values that tasks and nodes are described with. Immutable, and compared by content.

NamedTuple where the hot path makes one per task (a third of the cost of a frozen dataclass).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

PROTOCOL = 1
"""Of the mesh. Nodes that differ see each other and refuse each other's work."""

TAG_LENGTH = 8
"""A task id is the first characters of its owner's node id, a dash, and a number."""

PRIORITY_DEFAULT = 5
MAX_ATTEMPTS_DEFAULT = 3


class Encoding(IntEnum):
    RAW = 0
    JSON = 1


class Durability(IntEnum):
    JOURNALED = 0
    VOLATILE = 1


class Phase(IntEnum):
    """What is done in an attempt."""

    RUN = 0
    SPLIT = 1
    MERGE = 2


class Status(IntEnum):
    UNKNOWN = 0
    WAITING = 1
    BACKOFF = 2
    RUNNING = 3
    DONE = 4
    FAILED = 5
    CANCELLED = 6


class BlobRef(NamedTuple):
    """Content-addressed bytes and the ids of nodes believed to hold them."""

    id: str
    size_bytes: int
    encoding: Encoding = Encoding.RAW
    holders: tuple[str, ...] = ()


class Extent(NamedTuple):
    """A run of bytes inside a blob: one file of an input or a result, or a part of one."""

    name: str
    blob_id: str
    offset: int
    size_bytes: int


class Value(NamedTuple):
    """Inline bytes (`blob` is None) or a blob; either way JSON text or plain bytes. Files that came
    with it are runs of bytes of the blob `pack`."""

    encoding: Encoding
    data: bytes = b""
    blob: BlobRef | None = None
    files: tuple[Extent, ...] = ()
    pack: BlobRef | None = None

    @property
    def size_bytes(self) -> int:
        return self.blob.size_bytes if self.blob else len(self.data)

    @property
    def blobs(self) -> tuple[BlobRef, ...]:
        """What of it is kept as blobs."""
        return tuple([blob for blob in (self.blob, self.pack) if blob is not None])

    def held_by(self, node: str) -> Value:
        """The same, its blobs at this node alone."""
        blob = self.blob and self.blob._replace(holders=(node,))
        return self._replace(blob=blob, pack=self.pack and self.pack._replace(holders=(node,)))


NULL = Value(Encoding.JSON, b"null")


class Input(NamedTuple):
    """A binary argument: plain bytes, or files when `extents` is not None."""

    name: str
    raw: bytes = b""
    extents: tuple[Extent, ...] | None = None


class Call(NamedTuple):
    """One call of a capability: a JSON object in UTF-8, and the binary arguments."""

    args: bytes = b""
    inputs: tuple[Input, ...] = ()

    @property
    def size_bytes(self) -> int:
        return len(self.args) + sum(len(i.raw) + 64 * len(i.extents or ()) for i in self.inputs)


class Limits(NamedTuple):
    """Per attempt; zero means the node's default."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a task asks of the node that runs it, and how its owner treats it."""

    capability: str
    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    durability: Durability = Durability.JOURNALED
    priority: int = PRIORITY_DEFAULT
    max_attempts: int = MAX_ATTEMPTS_DEFAULT
    limits: Limits = Limits()
    #: from acceptance to the end, all attempts; 0 = none
    deadline_s: float = 0.0
    #: wanted of a capability that splits; 0 = the owner chooses
    shards: int = 0
    #: name for the capability and reference, resolved where the attempt runs
    secrets: tuple[tuple[str, str], ...] = ()
    #: results are kept as sensitive blobs, encrypted on disk
    sensitive: bool = False
    #: the node must carry one of these labels; the earlier, the better
    prefers: tuple[tuple[str, str], ...] = ()
    #: the most that one attempt may spend, in millionths of a US dollar; 0 = no limit
    allowance_uusd: int = 0


@dataclass(frozen=True, slots=True)
class Mandate:
    """What a submitter signed for a batch: who it was, as "<role>/<id>", and the bytes of the signed
    Mandate, which whoever runs an attempt checks again."""

    submitter: str
    signed: bytes


class Group(NamedTuple):
    """Calls with one demand; `blobs` tells who holds what their inputs name."""

    demand: Demand
    calls: tuple[Call, ...]
    blobs: tuple[BlobRef, ...] = ()


class Failure(NamedTuple):
    """Why an attempt or a task failed. `code` is a stable word listed in docs/errors.md."""

    code: str
    message: str
    fix: str = ""
    retryable: bool = False
    traceback: str = ""
    #: asked for by what failed: not on that node before so many seconds have passed
    retry_after_s: float = 0.0


class Usage(NamedTuple):
    """What an attempt used of models. `spent_uusd` is in millionths of a US dollar, None when the price
    is unknown; `cache` says which cache answered, "" = none."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    spent_uusd: int | None = 0
    cache: str = ""


UNUSED = Usage()
"""Of an attempt that certainly never began."""


class Outcome(NamedTuple):
    """The end of one attempt, or of a task. `started_at` is in unix seconds by the owner's clock."""

    no: int
    attempt: int
    status: Status
    value: Value | None = None
    failure: Failure | None = None
    node: str = ""
    started_at: float = 0.0
    elapsed_us: int = 0
    #: None = it told nothing
    usage: Usage | None = None


class Fence(NamedTuple):
    """With the owner's incarnation (constant on a stream): which result still counts."""

    no: int
    attempt: int


class Cut(NamedTuple):
    """The shards that an attempt answered with."""

    no: int
    attempt: int
    shards: tuple[Call, ...]
    elapsed_us: int = 0


class Said(NamedTuple):
    """A piece of an attempt's output: whole lines, or the cut end of one."""

    no: int
    attempt: int
    stderr: bool
    text: str


class Attempt(NamedTuple):
    """One try of a task on one node, as sent from owner to worker to executor."""

    no: int
    attempt: int
    demand: Demand
    phase: Phase
    call: Call
    #: MERGE: the values to join, in order
    parts: tuple[Value, ...] = ()
    #: the result is a part of something: kept as a blob on the worker unless small
    part: bool = False
    #: how often the work was split on its way here
    depth: int = 0
    #: who holds the blobs that the inputs name
    blobs: tuple[BlobRef, ...] = ()
    #: of the batch, and the number of its first task; None in a mesh without identity
    mandate: Mandate | None = None
    first: int = 0
    #: its owner, where that is another node: told to attempts that wait
    owner: str = ""


class Credit(NamedTuple):
    """How much an owner may have outstanding at a worker."""

    budget_us: int
    min_items: int
    max_items: int
    max_bytes: int
    #: attempts that wait, beside those
    places: int = 0


class Param(NamedTuple):
    """A parameter of a capability. `default` is JSON; `type` one of PARAM_TYPES."""

    name: str
    type: str
    required: bool = True
    default: bytes = b""
    doc: str = ""


PARAM_TYPES = ("str", "int", "float", "bool", "bytes", "json", "files")


class Capability(NamedTuple):
    """What a node can run: `area.verb` with a version."""

    name: str
    version: str = "1"
    doc: str = ""
    params: tuple[Param, ...] = ()
    splits: bool = False
    merges: bool = False
    limits: Limits = Limits()
    #: that its check gave the node; the card carries them
    labels: tuple[tuple[str, str], ...] = ()
    #: for tasks of the node's own owner only; others are not told of it
    local: bool = False
    #: it waits for others more than it computes: it takes a place, not a slot
    waits: bool = False


class Model(NamedTuple):
    """A model that a node can reach. Prices are in millionths of a US dollar for a million tokens,
    None when unknown; `ttft_ms` and `tokens_per_s` are measured, 0 = not yet."""

    name: str
    kind: str = "chat"
    local: bool = False
    context_tokens: int = 0
    output_tokens_max: int = 0
    input_uusd_per_mtok: int | None = None
    output_uusd_per_mtok: int | None = None
    takes_images: bool = False
    calls_tools: bool = False
    ttft_ms: float = 0.0
    tokens_per_s: float = 0.0


MODEL_KINDS = ("chat", "embed")


@dataclass(frozen=True, slots=True)
class Card:
    """All that a node can do; fetched on demand when the version in its digest changes."""

    node: str
    card_version: int
    capabilities: tuple[Capability, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    slots: int = 0
    cpus: int = 0
    memory_bytes: int = 0
    platform: str = ""
    python: str = ""
    warnings: tuple[str, ...] = ()
    models: tuple[Model, ...] = ()

    def for_others(self) -> Card:
        return replace(self, capabilities=tuple(c for c in self.capabilities if not c.local))


class Anomaly(NamedTuple):
    """One of a node's own series left its ordinary range, or (`ended`) is back in it."""

    series: str
    value: float
    median: float
    #: how many sigmas the value is from the median
    z: float
    ended: bool


class MemberState(IntEnum):
    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Digest(NamedTuple):
    """A node's load in brief, carried by gossip."""

    card_version: int = 0
    slots: int = 0
    slots_free: int = 0
    queued: int = 0
    lag_ms: int = 0
    draining: bool = False


class Member(NamedTuple):
    """What gossip says of a node. A higher incarnation wins, then the worse state;
    within one incarnation the digest with the higher `digest_seq` wins."""

    node: str
    name: str
    address: str
    incarnation: int = 0
    state: MemberState = MemberState.ALIVE
    digest: Digest = Digest()
    protocol: int = PROTOCOL
    version: str = ""
    mesh: str = ""
    digest_seq: int = 0


def task_id(owner: str, no: int) -> str:
    return f"{owner[:TAG_LENGTH]}-{no}"
