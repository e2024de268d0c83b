"""What reached the node from outside. The engine answers signals with effects; none is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nova_node.core.model import (
    Anomaly,
    Attempt,
    Call,
    Card,
    Credit,
    Cut,
    Failure,
    Fence,
    Group,
    Mandate,
    Member,
    Outcome,
    Said,
    Usage,
    Value,
)


@dataclass(frozen=True, slots=True)
class Submit:
    """`token` comes back in Acknowledge."""

    token: Any
    request_id: str
    groups: tuple[Group, ...]
    mandate: Mandate | None = None
    #: the most that its tasks may spend together; 0 = no limit
    budget_uusd: int = 0
    #: of what an attempt asked for: one more than that attempt's
    depth: int = 0

    @property
    def submitter(self) -> str:
        return self.mandate.submitter if self.mandate else ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """`token` comes back in Acknowledge."""

    token: Any
    no: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """`token` comes back in Acknowledge, with a Status or a NovaError for each number."""

    token: Any
    nos: Sequence[int]


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
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What was appended before that Confirm is durable."""

    number: int


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
    #: what that attempt had used, where it is known
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class CardFetched:
    card: Card


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """Membership: a peer is new, changed state, or its digest changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """Take nothing new, and say when all has ended."""


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """End the drain. `token` comes back in Acknowledge, with whether there was one."""

    token: Any


@dataclass(frozen=True, slots=True)
class Noticed:
    """This node sees something odd in its own series: for watchers to know."""

    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; sent when the engine's `wake_at` is reached."""


Signal = (
    Submit
    | Cancel
    | Requeue
    | LinkUp
    | LinkDown
    | Granted
    | Resulted
    | Pulled
    | Confirmed
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
    | ResumeAsked
    | Noticed
    | Tick
)
