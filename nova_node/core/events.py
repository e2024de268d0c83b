"""What happened: the facts that an owner records, numbers and folds.

State is the fold of events; the journaled ones survive a restart, and Watch streams them all.
"""

from __future__ import annotations

from typing import NamedTuple

from nova_node.core.model import (
    Anomaly,
    BlobRef,
    Call,
    Fence,
    Group,
    Mandate,
    Outcome,
    Phase,
    Said,
)


class Accepted(NamedTuple):
    """Tasks batch, batch+1, ... in the order of the groups' calls."""

    request_id: str
    groups: tuple[Group, ...]
    mandate: Mandate | None = None
    #: the most that its tasks may spend together; 0 = no limit
    budget_uusd: int = 0


class Assigned(NamedTuple):
    """Live only, since attempts under way are lost with their owner's process; in a batch with a budget
    it is on disk before they are sent, and reserves what they may spend."""

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


class Requeued(NamedTuple):
    """Dead letters that were given fresh attempts; what had grown from them is dropped."""

    nos: tuple[int, ...]


class PeerChanged(NamedTuple):
    """Live only."""

    node: str
    name: str
    state: str
    why: str


class AnomalySeen(NamedTuple):
    """Live only: an observation, which no task depends on."""

    anomaly: Anomaly


Fact = (
    Accepted | Assigned | Retried | Grown | Finished | Output | Requeued | PeerChanged | AnomalySeen
)


class Event(NamedTuple):
    """A fact with its place in the owner's history. `batch` is the number of the first task of the
    submit it belongs to (0: none); `time` is unix seconds; `journaled` is False for live-only facts
    and for all facts of volatile tasks."""

    seq: int
    batch: int
    time: float
    fact: Fact
    journaled: bool = True
