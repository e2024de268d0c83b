"""Capabilities that misbehave (`--capability support.hostile_capabilities`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from nova_node.capability import capability


@capability("hostile.split")
def split(pieces: int) -> int:
    """Splits into so many; into shards without end when that is below 0."""
    return 1


@split.split
def _(pieces: int) -> Iterator[dict[str, Any]]:
    for _ in count() if pieces < 0 else range(pieces):
        yield {"pieces": 1}


@split.merge
def _(parts: Iterator[int]) -> int:
    return sum(parts)
