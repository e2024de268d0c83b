"""What a specialist looks at: numbered lines of files, from a diff or from the files themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILE_BYTES = 2 << 20
LINE_CHARS = 2_000
NAME_CHARS = 500

_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is shown. `number` 0: it was removed, and nothing can point at it."""

    number: int
    mark: str
    text: str

    @property
    def shown(self) -> str:
        number = str(self.number) if self.number else ""
        return f"{number:>5} {self.mark} {self.text[:LINE_CHARS]}"


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    name: str
    why: str


def from_files(files: Iterable[tuple[str, bytes]]) -> tuple[list[Source], list[Skipped]]:
    sources, skipped = list[Source](), list[Skipped]()
    for name, data in files:
        if why := _unfit(data):
            skipped.append(Skipped(name, why))
            continue
        lines = data.decode().splitlines()
        sources.append(Source(name, tuple(Line(n, " ", text) for n, text in enumerate(lines, 1))))
    return sources, skipped


def from_diff(text: str) -> tuple[list[Source], list[Skipped]]:
    """Of a unified diff, as git writes it: each file as it is after the change."""
    sources, skipped = list[Source](), list[Skipped]()
    for name, lines in _files(text.splitlines()):
        if any(line.number for line in lines):
            sources.append(Source(name, tuple(lines)))
        else:
            skipped.append(Skipped(name, "nothing of it is left, or it is not text"))
    return sources, skipped


def _unfit(data: bytes) -> str:
    if len(data) > FILE_BYTES:
        return f"more than {FILE_BYTES >> 20} MiB"
    if not data.strip():
        return "empty"
    try:
        return "not text" if "\0" in data.decode() else ""
    except UnicodeDecodeError:
        return "not text"


def _files(rows: list[str]) -> Iterator[tuple[str, list[Line]]]:
    """Names and lines. Hunks are read by the sizes they tell, so nothing inside one is taken for a head."""
    name, lines = "", list[Line]()
    at = 0
    while at < len(rows):
        row = rows[at]
        at += 1
        if row.startswith("diff --git "):
            if name:
                yield name, lines
            name, lines = _name(row.rpartition(" b/")[2].rstrip('"')), []
        elif row.startswith("+++ "):
            if lines:
                yield name, lines
                lines = []
            target = row[4:].split("\t")[0]
            if target != "/dev/null":
                name = _name(target.strip('"').removeprefix("b/"))
        elif hunk := _HUNK.match(row):
            at = _hunk(rows, at, hunk, lines)
    if name:
        yield name, lines


def _hunk(rows: list[str], at: int, hunk: re.Match[str], lines: list[Line]) -> int:
    before, number, after = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
    if lines:
        lines.append(Line(0, " ", "..."))
    while (before > 0 or after > 0) and at < len(rows):
        row = rows[at]
        at += 1
        mark, text = row[:1] or " ", row[1:]
        if mark == "-":
            lines.append(Line(0, "-", text))
            before -= 1
        elif mark in "+ ":
            lines.append(Line(number, mark, text))
            number, after, before = number + 1, after - 1, before - (mark == " ")
    return at


def _name(quoted: str) -> str:
    """git writes signs beyond ASCII as octal bytes."""
    raw = _OCTAL.sub(lambda m: bytes([int(m[1], 8) & 255]), quoted.encode())
    return raw.decode(errors="replace")[:NAME_CHARS]
