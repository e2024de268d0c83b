"""What reaches the console, as values: the only thing its picture of a mesh is made of.

`at` is unix seconds: of the console's clock, or of the owner's clock for what a node told.
"""

from __future__ import annotations

from dataclasses import dataclass

from nova_client import Event
from nova_client.ended import EndedPage
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


@dataclass(frozen=True, slots=True)
class Recalling:
    """The history is asked for ended tasks that pass the filter `text`: the newest, or those `before`
    the end of what it told already."""

    at: float
    text: str
    before: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """It answered. `open_total` is how many match that have not ended, 0 when nobody counted."""

    at: float
    text: str
    before: str
    page: EndedPage
    open_total: int = 0


@dataclass(frozen=True, slots=True)
class Unrecalled:
    """It did not."""

    at: float
    text: str
    why: str


OfPast = Recalling | Recalled | Unrecalled
"""What a replay leaves out: it is of the past already."""

Input = Joined | Lost | Looked | Blind | Told | Listed | OfPast
