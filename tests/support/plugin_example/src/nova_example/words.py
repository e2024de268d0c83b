"""The longest word of some files."""

from collections.abc import Iterator

from nova_node.capability import WHITESPACE, Files, capability


@capability("example.longest")
def longest(files: Files) -> str:
    """The longest word; the first of them if there are several."""
    best = ""
    for piece in files:
        for block in piece.blocks(WHITESPACE):
            best = max([best, *block.decode(errors="replace").split()], key=len)
    return best


@longest.split
def _(files: Files, *, shards: int) -> Iterator[dict[str, object]]:
    for part in files.cut(shards, WHITESPACE):
        yield {"files": part}


@longest.merge
def _(parts: Iterator[str]) -> str:
    return max(parts, key=len)
