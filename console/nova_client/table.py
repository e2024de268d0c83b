"""What nodes answer to SQL: each its own part, and these united."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nova_proto.v1 import metrics_pb2

from nova_client import errors

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """A node that did not answer, or not to the end."""

    node: str
    name: str
    code: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of all nodes; the first column is `node`, the name of the one that a row is of (with its
    id where two have one name). Times are ISO text in UTC."""

    columns: tuple[str, ...]
    #: as DuckDB names them
    types: tuple[str, ...]
    rows: tuple[Values, ...]
    #: names of nodes that had more rows
    truncated: tuple[str, ...]
    missing: tuple[Missing, ...]


class Part:
    """What one node answered so far."""

    def __init__(self, origin: metrics_pb2.Origin) -> None:
        self.node = origin.node
        self.name = origin.name
        self.columns: tuple[tuple[str, str], ...] = ()
        self.rows: list[list[Any]] = []
        self.truncated = False
        self.missing: Missing | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(name for name, _ in self.columns)

    def add(self, reply: metrics_pb2.QueryReply) -> None:
        if reply.columns:
            self.columns = tuple((c.name, c.type) for c in reply.columns)
        if reply.rows:
            self.rows += json.loads(reply.rows)
        self.truncated |= reply.truncated
        if reply.error.code:
            self.missing = missed(reply)


def split(parts: Iterable[Part]) -> tuple[list[Part], tuple[Missing, ...]]:
    """Those that are whole and alike, by name, and why the others are not. When none is, raises
    what the first one said."""
    ordered = sorted(parts, key=lambda part: (part.name, part.node))
    columns = next((part.columns for part in ordered if part.columns), ())
    missing = [part.missing for part in ordered if part.missing is not None]
    whole = [part for part in ordered if part.columns == columns and part.missing is None]
    for part in ordered:
        if part.missing is None and part.columns != columns:
            why = "its columns are others than those of the rest: it runs another version"
            missing.append(Missing(part.node, part.name, "refused", why, "see `nova nodes`"))
    if not whole and missing:
        first = missing[0]
        raise errors.from_code(first.code, first.message, first.fix)
    return whole, tuple(missing)


def united(parts: list[Part]) -> Table:
    whole, missing = split(parts)
    columns = whole[0].columns if whole else ()
    names = Counter(part.name for part in parts)
    shown = {
        part.node: part.name if names[part.name] == 1 else f"{part.name}/{part.node[:8]}"
        for part in parts
    }
    return Table(
        ("node", *(name for name, _ in columns)),
        ("VARCHAR", *(kind for _, kind in columns)),
        tuple((shown[part.node], *row) for part in whole for row in part.rows),
        tuple(shown[part.node] for part in whole if part.truncated),
        missing,
    )


def missed(said: metrics_pb2.QueryReply | metrics_pb2.Unanswered) -> Missing:
    origin, error = said.origin, said.error
    return Missing(origin.node, origin.name, error.code, error.message, error.fix)
