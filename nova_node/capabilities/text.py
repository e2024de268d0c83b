"""Capabilities on text files, exact wherever they are cut."""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, TypedDict

from nova_node.capability import WHITESPACE, Fatal, Files, Piece, capability

MAX_MATCHES = 1000
TEXT_LENGTH = 400
BLOCK_BYTES = 1 << 15
"""Words that are counted together: few enough for them to stay in the processor's cache."""

Counts = dict[str, int]


class Columns:
    """Counts that are only gone through once: no dict is made of them."""

    def __init__(self, words: list[str], numbers: array[int]) -> None:
        self._words, self._numbers = words, numbers

    def __len__(self) -> int:
        return len(self._words)

    def items(self) -> Iterator[tuple[str, int]]:
        return zip(self._words, self._numbers, strict=True)


@capability("text.wordcount")
def wordcount(
    files: Files, min_length: Annotated[int, "of the words counted, in characters"] = 1
) -> Counts:
    """How often each word occurs, as `str.split()` parts words."""
    counts: Counter[str] = Counter()
    for piece in files:
        for block in piece.blocks(WHITESPACE, BLOCK_BYTES):
            counts.update(block.decode(errors="replace").split())
    if min_length > 1:
        return {word: count for word, count in counts.items() if len(word) >= min_length}
    return counts


@wordcount.split
def _(files: Files, *, shards: int, min_length: int) -> Iterator[dict[str, object]]:
    for part in files.cut(shards, WHITESPACE):
        yield {"files": part, "min_length": min_length}


@wordcount.merge
def _(parts: Iterator[Counts | Columns]) -> Counts:
    total: Counts = {}
    for part in parts:
        if len(part) > len(total):
            part, total = total, dict(part.items())
        for word, count in part.items():
            if word in total:
                total[word] += count
            else:
                total[word] = count
    return total


@wordcount.pack
def _(counts: Counts) -> bytes:
    """The words, a newline, and their numbers: no word holds white space."""
    try:
        numbers = array("I", counts.values())
    except OverflowError:
        numbers = array("Q", counts.values())
    if sys.byteorder == "big":
        numbers.byteswap()
    words = " ".join(counts).encode()
    return b"".join((words, b"\n", numbers.typecode.encode(), numbers.tobytes()))


@wordcount.unpack
def _(data: bytes) -> Columns:
    end = data.index(b"\n")
    numbers = array("I") if data[end + 1 : end + 2] == b"I" else array("Q")
    numbers.frombytes(data[end + 2 :])
    if sys.byteorder == "big":
        numbers.byteswap()
    words = data[:end].decode().split(" ") if end else []
    return Columns(words, numbers)


class Match(TypedDict):
    file: str
    line: int
    text: str


@capability("text.grep")
def grep(
    files: Files,
    pattern: Annotated[str, "a Python regular expression, searched for in each line"],
    ignore_case: bool = False,
    lines_before: Annotated[list[int], "of each file; a shard's offset"] = [],  # noqa: B006
) -> list[Match]:
    """The first lines that match, at most 1000, each cut to 400 characters."""
    try:
        search = re.compile(pattern, re.IGNORECASE if ignore_case else 0).search
    except re.error as error:
        raise Fatal(f"the pattern is wrong: {error}", "correct the pattern") from None
    found: list[Match] = []
    for i, piece in enumerate(files):
        before = lines_before[i] if i < len(lines_before) else 0
        for number, line in _lines(piece, before):
            if search(line):
                found.append({"file": piece.name, "line": number, "text": line[:TEXT_LENGTH]})
                if len(found) == MAX_MATCHES:
                    return found
    return found


@grep.split
def _(
    files: Files, *, shards: int, pattern: str, ignore_case: bool, lines_before: list[int]
) -> Iterator[dict[str, object]]:
    whole = iter([*enumerate(files)])
    at, before, left = 0, 0, 0
    for part in files.cut(shards, b"\n"):
        counts: list[int] = []
        for piece in part:
            if not left:
                at, file = next(whole)
                before = lines_before[at] if at < len(lines_before) else 0
                left = file.size_bytes
            counts.append(before)
            left -= piece.size_bytes
            if left:
                before += sum(chunk.count(b"\n") for chunk in piece.chunks())
        yield {
            "files": part,
            "pattern": pattern,
            "ignore_case": ignore_case,
            "lines_before": counts,
        }


@grep.merge
def _(parts: Iterator[list[Match]]) -> list[Match]:
    found: list[Match] = []
    for part in parts:
        found += part
    return found[:MAX_MATCHES]


def _lines(piece: Piece, before: int) -> Iterator[tuple[int, str]]:
    for block in piece.blocks(b"\n"):
        lines = block.decode(errors="replace").split("\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, before + 1):
            yield number, line.removesuffix("\r")
        before += len(lines)
