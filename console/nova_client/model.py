"""What goes in and what comes out: frozen values, times in unix seconds, ids as strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypedDict

TAG_LENGTH = 8

Durability = Literal["journaled", "volatile"]


class Status(StrEnum):
    UNKNOWN = "unknown"
    WAITING = "waiting"
    BACKOFF = "backoff"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATUSES = tuple(Status)
"""By the number the protocol gives them."""


def task_id(owner: str, no: int) -> str:
    return f"{owner[:TAG_LENGTH]}-{no}"


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Content-addressed bytes; `holders` are ids of nodes believed to hold them."""

    id: str
    size_bytes: int
    json: bool = False
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Extent:
    """One file: a run of bytes inside a blob."""

    name: str
    blob_id: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """Files that were put on the mesh; give it as an input to as many tasks as you like."""

    extents: tuple[Extent, ...]
    blobs: tuple[BlobRef, ...]

    @property
    def size_bytes(self) -> int:
        return sum(extent.size_bytes for extent in self.extents)


InputSource = bytes | Files | str | Path | Sequence[str | Path]
"""Plain bytes, files that were put already, or paths of files and folders to put."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Per attempt. Zero means the node's default."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How a task is to be treated. None and zero leave the choice to the node."""

    durability: Durability = "journaled"
    #: 0 (last) to 9 (first)
    priority: int | None = None
    #: that the node must carry
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = Limits()
    #: from acceptance to the end, all attempts
    deadline_s: float = 0.0
    max_attempts: int | None = None
    #: of the capability; "" is any
    version: str = ""
    shards: int = 0
    #: name for the capability -> reference, such as "secret:NAME", resolved where the task runs
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    #: inputs and results that are kept as blobs are encrypted on every disk
    sensitive: bool = False
    #: id of the task that this is another try of
    again_of: str = ""
    #: the node must carry one of these labels; the earlier, the better
    prefers: Sequence[tuple[str, str]] = ()
    #: the most that one attempt may spend, in millionths of a US dollar; 0 = no limit
    allowance_uusd: int = 0
    #: the most that the whole submit may spend; 0 = no limit. Each task then needs an allowance
    budget_uusd: int = 0


class SubmitOptions(TypedDict, total=False):
    """The fields of Options, as keywords of a submit."""

    durability: Durability
    priority: int | None
    labels: Mapping[str, str]
    limits: Limits
    deadline_s: float
    max_attempts: int | None
    version: str
    shards: int
    secrets: Mapping[str, str]
    sensitive: bool
    again_of: str
    prefers: Sequence[tuple[str, str]]
    allowance_uusd: int
    budget_uusd: int


@dataclass(frozen=True, slots=True)
class Call:
    """One task of a submit. `options` None takes those of the submit."""

    capability: str
    args: Mapping[str, Any] | None = None
    inputs: Mapping[str, InputSource] | None = None
    options: Options | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    message: str
    fix: str = ""
    retryable: bool = False
    traceback: str = ""
    #: not on that node before so many seconds have passed
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used of models. `spent_uusd` is in millionths of a US dollar, None when the price is
    unknown; `cache` says which cache answered, "" = none."""

    model: str
    input_tokens: int
    output_tokens: int
    spent_uusd: int | None
    cache: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """The money of one submit, in millionths of a US dollar; reserved: for attempts under way."""

    limit_uusd: int
    spent_uusd: int
    reserved_uusd: int


NO_FILES = Files((), ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a task. `value` is the decoded JSON, bytes, or a BlobRef not fetched yet. `files`
    came with it: give them to other tasks, or save them with Client.get_files."""

    id: str
    status: Status
    value: Any = None
    failure: Failure | None = None
    attempt: int = 0
    node: str = ""
    started_at: float = 0.0
    elapsed_us: int = 0
    files: Files = NO_FILES
    #: None: it told nothing
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class AttemptView:
    attempt: int
    node: str
    status: Status
    failure: Failure | None
    started_at: float
    ended_at: float
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """All a node tells of one task. `value` and `files` as in Outcome; `inputs` are names only."""

    id: str
    owner: str
    status: Status
    capability: str
    options: Options
    args: Any
    inputs: tuple[str, ...]
    phase: str
    parent: str
    value: Any
    failure: Failure | None
    attempts: tuple[AttemptView, ...]
    accepted_at: float
    ended_at: float
    children: tuple[str, ...]
    children_done: int
    children_total: int
    node: str
    #: "<role>/<id>"; "" in a mesh without identity
    submitter: str = ""
    files: Files = NO_FILES
    #: of all its attempts and those of what grew from it; None: they told nothing
    usage: Usage | None = None
    #: of its submit; None: there is no limit
    budget: Budget | None = None
    #: of a merge: ids of the tasks whose values it joins
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requeued:
    """A dead letter that was asked to be tried again; `failure` tells why it was not."""

    id: str
    status: Status
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class TaskList:
    """Newest first. `missing` are nodes that did not answer; `total` is how many match."""

    tasks: tuple[TaskView, ...]
    missing: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A node as a place for the task; fits False: the reasons say why not."""

    node: str
    name: str
    fits: bool
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a task waits for, what would unblock it, and how its places were ranked."""

    id: str
    status: Status
    waits_for: str
    unblock: tuple[str, ...]
    ranking: tuple[Ranked, ...]
    ranked_at: float
    durability: str


@dataclass(frozen=True, slots=True)
class LogLine:
    id: str
    attempt: int
    stderr: bool
    text: str
    time: float


@dataclass(frozen=True, slots=True)
class Param:
    """`type` is one of str int float bool bytes json files; `default` is a JSON value."""

    name: str
    type: str
    required: bool
    default: Any
    doc: str


@dataclass(frozen=True, slots=True)
class Capability:
    """`nodes` are ids of the nodes that offer it."""

    name: str
    version: str
    doc: str
    params: tuple[Param, ...]
    splits: bool
    merges: bool
    limits: Limits
    nodes: tuple[str, ...] = ()
    #: for others, more than it computes: it takes no slot
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a node can reach; `kind` is chat or embed. Prices are in millionths of a US dollar
    for a million tokens, None when unknown; `ttft_ms` and `tokens_per_s` are measured, 0 = not yet."""

    name: str
    kind: str
    local: bool
    context_tokens: int
    output_tokens_max: int
    input_uusd_per_mtok: int | None
    output_uusd_per_mtok: int | None
    takes_images: bool
    calls_tools: bool
    ttft_ms: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as the node asked sees it. `state` is alive, suspect, dead or left; `skew` says why
    its work is refused ("" when it is not); `age_s` is since it was last heard of."""

    node: str
    name: str
    address: str
    state: str
    self: bool
    age_s: float
    rtt_ms: float
    slots: int
    slots_free: int
    queued: int
    lag_ms: int
    draining: bool
    version: str
    skew: str
    labels: Mapping[str, str]
    capabilities: tuple[str, ...]
    cpus: int
    memory_bytes: int
    platform: str
    python: str
    warnings: tuple[str, ...]
    models: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeList:
    mesh: str
    nodes: tuple[NodeView, ...]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The node asked, in full. Counts are of the tasks it owns."""

    node: NodeView
    waiting: int
    running: int
    done: int
    failed: int
    seq: int
    journal_bytes: int
    blob_bytes: int
    rss_bytes: int
    up_s: float
    lag_ms: float
    incarnation: int
    data_dir: str
    pid: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Shards, splits and merges of the task's submit, in tasks."""

    done: int
    total: int
