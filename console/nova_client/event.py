"""What happened on a node, as `Client.watch` tells it. Tasks are named by id."""

from __future__ import annotations

from dataclasses import dataclass

from nova_client.model import Outcome


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submit was accepted: `count` tasks with consecutive ids from `first` on."""

    request_id: str
    first: str
    count: int
    capabilities: tuple[str, ...]
    #: its tasks are not journaled
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Assigned:
    node: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt ended without a result; the next one starts at `not_before` (unix seconds)."""

    outcome: Outcome
    not_before: float
    charged: bool


@dataclass(frozen=True, slots=True)
class Grown:
    """A task grew children: `phase` is run (shards), split or merge. `parts` are the children whose
    values a merge joins."""

    parent: str
    first: str
    count: int
    phase: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Output:
    task: str
    attempt: int
    stderr: bool
    text: str


@dataclass(frozen=True, slots=True)
class Requeued:
    """Dead letters that were given fresh attempts; what had grown from them is dropped."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeerChanged:
    node: str
    name: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One of the node's own series left its ordinary range, or (`ended`) is back in it. `z` is how
    many sigmas the value is from the median."""

    series: str
    value: float
    median: float
    z: float
    ended: bool


Fact = Accepted | Assigned | Retried | Grown | Finished | Output | Requeued | PeerChanged | Anomaly


@dataclass(frozen=True, slots=True)
class Event:
    """A fact with its place in the owner's history; resume after it with `seq + 1`."""

    seq: int
    time: float
    owner: str
    fact: Fact

    @property
    def kind(self) -> str:
        """The fact's name in lower case, e.g. "finished"."""
        return type(self.fact).__name__.lower()
