"""Sources cut into what one prompt can hold: whole files where they fit, several small ones together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nova_node.models.prompting import fenced
from nova_node.models.specialists.source import Line, Source

CHARS_PER_TOKEN = 3
"""Low for code, so that a chunk has rather fewer tokens than was asked for."""
OVERLAP_LINES = 10
"""What a file that is cut shows twice: a fault may lie across the cut."""


@dataclass(frozen=True, slots=True)
class Chunk:
    parts: tuple[Source, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(
            fenced("file", f"{part.name}\n" + "\n".join(line.shown for line in part.lines))
            for part in self.parts
        )


def chunks_of(sources: Sequence[Source], chunk_tokens: int) -> list[Chunk]:
    most = chunk_tokens * CHARS_PER_TOKEN
    chunks, held, size = list[Chunk](), list[Source](), 0
    for part in (part for source in sources for part in _parts(source, most)):
        wanted = _size(part)
        if held and size + wanted > most:
            chunks.append(Chunk(tuple(held)))
            held, size = [], 0
        held.append(part)
        size += wanted
    return [*chunks, Chunk(tuple(held))] if held else chunks


def _parts(source: Source, most: int) -> Iterator[Source]:
    """The source, or runs of its lines."""
    held, size, new = list[Line](), len(source.name), 0
    for line in source.lines:
        if new and size + len(line.shown) + 1 > most:
            yield Source(source.name, tuple(held))
            held = held[-OVERLAP_LINES:] if len(held) > 4 * OVERLAP_LINES else []
            size, new = sum(len(each.shown) + 1 for each in held), 0
        held.append(line)
        size, new = size + len(line.shown) + 1, new + 1
    if new:
        yield Source(source.name, tuple(held))


def _size(source: Source) -> int:
    return len(source.name) + sum(len(line.shown) + 1 for line in source.lines)
