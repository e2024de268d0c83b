"""What reaches the console, as values: the only thing its picture of a mesh is made of.

`at` is unix seconds: of the console's clock, or of the owner's clock for what a node told.
"""

from __future__ import annotations

from dataclasses import dataclass

from nova_client import Event
from nova_client.model import NodeList, TaskList


@dataclass(frozen=True, slots=True)
class Joined:
    """The node at `address` answers; `node` is its id."""

    at: float
    address: str
    node: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It does not, or says no; asked again at `retry_at`."""

    at: float
    address: str
    message: str
    fix: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Looked:
    """The mesh as the node `viewer` sees it."""

    at: float
    viewer: str
    seen: NodeList


@dataclass(frozen=True, slots=True)
class Blind:
    """The console cannot ask the peer `node` what it sees."""

    at: float
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of tasks; `of_all` when nothing narrowed it, so that its total is the mesh's."""

    at: float
    page: TaskList
    of_all: bool


Input = Joined | Lost | Looked | Blind | Told | Listed
