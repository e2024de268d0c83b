"""Signals in, events recorded, effects out.

A *signal* is what reached the node from outside. The engine answers signals with *events*, the facts
it decided, and *effects*, what the runtime is to do. State is the fold of events; only journaled
events survive a restart. Signals and effects are never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Card,
    Credit,
    Cut,
    Failure,
    Fence,
    Group,
    Member,
    Outcome,
    Phase,
    Said,
    Value,
)

# ---------------------------------------------------------------- events: what happened


class Accepted(NamedTuple):
    """Tasks batch, batch+1, ... in the order of the groups' calls."""

    request_id: str
    groups: tuple[Group, ...]


class Assigned(NamedTuple):
    """Live only: attempts under way are lost with their owner's process."""

    node: str
    fences: tuple[Fence, ...]


class Retried(NamedTuple):
    """An attempt ended without a result; the task tries again at `not_before`."""

    outcome: Outcome
    not_before: float
    charged: bool


class Grown(NamedTuple):
    """A task grew children, numbered from `first`: its split, its shards, or one merge."""

    parent: int
    first: int
    phase: Phase
    calls: tuple[Call, ...]
    blobs: tuple[BlobRef, ...] = ()
    parts: tuple[int, ...] = ()


class Finished(NamedTuple):
    outcomes: tuple[Outcome, ...]


class Output(NamedTuple):
    said: Said


class PeerChanged(NamedTuple):
    """Live only."""

    node: str
    name: str
    state: str
    why: str


Fact = Accepted | Assigned | Retried | Grown | Finished | Output | PeerChanged


class Event(NamedTuple):
    """A fact with its place in the owner's history. `batch` is the number of the first task of the
    submit it belongs to (0: none); `time` is unix seconds; `journaled` is False for live-only facts
    and for all facts of volatile tasks."""

    seq: int
    batch: int
    time: float
    fact: Fact
    journaled: bool = True


# ---------------------------------------------------------------- signals: what reached the node


@dataclass(frozen=True, slots=True)
class Submit:
    """`token` comes back in Acknowledge."""

    token: Any
    request_id: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """`token` comes back in Acknowledge."""

    token: Any
    no: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The work stream to a peer that works for us is open."""

    node: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The work stream to a peer that works for us broke or could not be opened."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Granted:
    """A worker told us its room."""

    node: str
    credit: Credit


@dataclass(frozen=True, slots=True)
class Resulted:
    """A worker sent results, or gave attempts back unstarted, for our tasks."""

    node: str
    outcomes: Sequence[Outcome]
    returned: Sequence[Fence] = ()
    cuts: Sequence[Cut] = ()


@dataclass(frozen=True, slots=True)
class Pulled:
    """A result that a worker kept as a blob is here now, or cannot be had."""

    no: int
    attempt: int
    value: Value
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker relayed output of our attempts."""

    node: str
    said: Sequence[Said]


@dataclass(frozen=True, slots=True)
class OwnerUp:
    """An owner opened a work stream to us. `link` tells its streams apart."""

    owner: str
    link: int


@dataclass(frozen=True, slots=True)
class OwnerDown:
    owner: str
    link: int


@dataclass(frozen=True, slots=True)
class Work:
    """An owner sent us work on its stream."""

    link: int
    attempts: Sequence[Attempt] = ()
    cancels: Sequence[Fence] = ()
    recall: int = 0


@dataclass(frozen=True, slots=True)
class SlotReady:
    """A worker process can take attempts."""

    slot: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A worker process ended attempts. `keys` are those of Run, beside `outcomes`. A shard list
    (the result of a SPLIT, or of a RUN that split again) stands in `shards` in place of a value."""

    slot: int
    results: Sequence[RanItem]


class RanItem(NamedTuple):
    key: int
    outcome: Outcome
    #: shards, when the attempt answered with some; None for an ordinary result
    shards: tuple[Call, ...] | None = None


@dataclass(frozen=True, slots=True)
class Spoke:
    """An attempt in a worker process wrote something."""

    slot: int
    key: int
    stderr: bool
    text: str


@dataclass(frozen=True, slots=True)
class SlotDied:
    """A worker process ended. `key` is the attempt it was in (None: between attempts)."""

    slot: int
    key: int | None
    failure: Failure


@dataclass(frozen=True, slots=True)
class CardFetched:
    card: Card


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """Membership: a peer is new, changed state, or its digest changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class DrainAsked:
    pass


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; sent when the engine's `wake_at` is reached."""


Signal = (
    Submit
    | Cancel
    | LinkUp
    | LinkDown
    | Granted
    | Resulted
    | Pulled
    | Heard
    | OwnerUp
    | OwnerDown
    | Work
    | SlotReady
    | Ran
    | Spoke
    | SlotDied
    | CardFetched
    | PeerSeen
    | DrainAsked
    | Tick
)


# ---------------------------------------------------------------- effects: what is to be done


class Append(NamedTuple):
    """Journal the event (if journaled), then announce it to watchers, in order."""

    event: Event


class Acknowledge(NamedTuple):
    """Answer a signal's token, once all that was appended before is durable."""

    token: Any
    answer: Any


class Assign(NamedTuple):
    node: str
    attempts: list[Attempt]


class Recall(NamedTuple):
    """Ask a worker to give back some attempts that have not started."""

    node: str
    at_most: int


class Revoke(NamedTuple):
    """Ask a worker to stop these attempts, running ones too."""

    node: str
    fences: list[Fence]


class Release(NamedTuple):
    """Tell a node that these blobs are no longer needed."""

    node: str
    blob_ids: list[str]


class Pull(NamedTuple):
    """Fetch a result that a worker kept as a blob; answered by Pulled."""

    no: int
    attempt: int
    value: Value


class Forget(NamedTuple):
    """Drop these finished batches from the journal."""

    batches: list[int]


class Connect(NamedTuple):
    """Open a work stream to a peer; answered by LinkUp or LinkDown."""

    node: str
    address: str


class Disconnect(NamedTuple):
    node: str


class FetchCard(NamedTuple):
    node: str
    address: str


class Report(NamedTuple):
    """To an owner: results, attempts given back unstarted, and shards."""

    link: int
    outcomes: Sequence[Outcome] = ()
    returned: Sequence[Fence] = ()
    cuts: Sequence[Cut] = ()


class Relay(NamedTuple):
    """To an owner: output of its attempts."""

    link: int
    said: list[Said]


class Grant(NamedTuple):
    link: int
    credit: Credit


class Run(NamedTuple):
    """Hand attempts to a worker process, in order. `keys` are this node's own numbers for them."""

    slot: int
    keys: list[int]
    attempts: list[Attempt]


class Kill(NamedTuple):
    """End a worker process at once and replace it; SlotDied carries `failure` back."""

    slot: int
    failure: Failure


class Drained(NamedTuple):
    """Nothing is left to do since DrainAsked."""


Effect = (
    Append
    | Acknowledge
    | Assign
    | Recall
    | Revoke
    | Release
    | Pull
    | Forget
    | Connect
    | Disconnect
    | FetchCard
    | Report
    | Relay
    | Grant
    | Run
    | Kill
    | Drained
)
