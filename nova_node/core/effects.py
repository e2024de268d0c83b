"""What is to be done. The engine asks, the runtime and its adapters do; none is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nova_node.core.events import Event
from nova_node.core.model import (
    Attempt,
    Credit,
    Cut,
    Failure,
    Fence,
    Outcome,
    Said,
    Usage,
    Value,
)


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
    usage: Usage | None = None


class Confirm(NamedTuple):
    """Answered by Confirmed once all that was appended before is durable."""

    number: int


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


class Resumed(NamedTuple):
    """A drain was ended: work is taken again."""


Effect = (
    Append
    | Acknowledge
    | Confirm
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
    | Resumed
)
