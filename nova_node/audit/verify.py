"""Is the audit log what was written? Finds what was edited, deleted, reordered, cut off or put back.

The chain alone finds what was changed in the middle. What was cut from the end, or written anew with
a chain that fits, shows against heads: the node's own, and those that its peers keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nova_node.audit.heads import Head
from nova_node.audit.lines import FIRST, Line, files_of, from_line, locked, raw_lines

FINDINGS_MAX = 100


class Finding(NamedTuple):
    #: edited, deleted, reordered, truncated, rewritten, damaged
    kind: str
    #: the first line it is about
    no: int
    text: str


class Verdict(NamedTuple):
    lines: int
    first: int
    last: int
    files: int
    #: heads that the log agrees with
    heads: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def verify(folder: Path, heads: Sequence[Head] = ()) -> Verdict:
    """Of the log in a data directory, while the node runs or not. `heads` are of this log. Raises
    OSError."""
    reader = _Reader({head.count for head in heads})
    with ExitStack() as stack:
        with locked(folder):  # or a file may be put aside meanwhile
            files = [stack.enter_context(path.open("rb")) for path in files_of(folder)]
        for file in files:
            reader.read(file)
    reader.end()
    for path in sorted(folder.glob("audit-damaged-*.jsonl")):
        reader.find("damaged", 0, f"{path.name} could not be gone on with, and was put aside")
    agreed = sum([_agrees(reader, head) for head in heads])
    return Verdict(
        reader.lines, reader.first, reader.no, len(files), agreed, tuple(reader.findings)
    )


def _agrees(reader: _Reader, head: Head) -> bool:
    if not head.count or head.count < reader.first:
        return True
    if head.count > reader.no:
        reader.find(
            "truncated",
            reader.no + 1,
            f"lines {reader.no + 1} to {head.count} were written and are gone: the log was cut off,"
            " or put back to an older state",
        )
        return False
    if reader.hashes.get(head.count) != head.sha256:
        reader.find(
            "rewritten",
            head.count,
            f"line {head.count} is not the one of the signed head: it, or lines before it, were"
            " written anew",
        )
        return False
    return True


class _Reader:
    def __init__(self, wanted: set[int]) -> None:
        self.findings: list[Finding] = []
        self.lines = 0
        self.first = 0
        #: the highest number so far
        self.no = 0
        #: of the lines that heads name
        self.hashes: dict[int, str] = {}
        self._wanted = wanted
        self._prev = FIRST
        self._start: Line | None = None
        #: (until, sha256) of files that the log itself dropped
        self._pruned: set[tuple[object, object]] = set()
        self._gaps: list[range] = []
        self._seen_out_of_order: set[int] = set()

    def find(self, kind: str, no: int, text: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(kind, no, text))

    def read(self, file: BinaryIO) -> None:
        for place, data in enumerate(raw_lines(file), 1):
            self.lines += 1
            try:
                line = from_line(data)
            except ValueError:
                self._unreadable(Path(file.name).name, place)
            else:
                self._take(line)

    def _unreadable(self, name: str, place: int) -> None:
        self.no += 1
        self._prev = ""
        self.find("edited", self.no, f"line {place} of {name} cannot be read")

    def _take(self, line: Line) -> None:
        if line.values.get("what") == "audit.pruned":
            self._pruned.add((line.values.get("until"), line.values.get("sha256")))
        if self._start is None:
            self._start, self.first = line, line.no
        elif line.no <= self.no:
            self._seen_out_of_order.add(line.no)
            self._prev = ""  # what stood before it is somewhere else
            return
        elif line.no > self.no + 1:
            self._gaps.append(range(self.no + 1, line.no))
        elif self._prev and line.prev != self._prev:
            self.find("edited", self.no, f"line {self.no} is not what was written")
        self.no, self._prev = line.no, line.sha256
        if line.no in self._wanted:
            self.hashes[line.no] = line.sha256

    def end(self) -> None:
        for gap in self._gaps:
            moved = [no for no in islice(gap, FINDINGS_MAX) if no in self._seen_out_of_order]
            self._seen_out_of_order.difference_update(moved)
            if moved:
                self.find("reordered", moved[0], f"line {moved[0]} stands in another place")
            if len(moved) < min(len(gap), FINDINGS_MAX):
                last = f" to {gap[-1]}" if len(gap) > 1 else ""
                self.find("deleted", gap[0], f"line {gap[0]}{last} is gone")
        for no in sorted(self._seen_out_of_order):
            self.find("reordered", no, f"line {no} stands in another place, or twice")
        start = self._start
        if start is not None and (start.no != 1 or start.prev != FIRST):
            if start.no == 1:
                self.find("edited", 1, "the first line is not what was written")
            elif (start.no - 1, start.prev) not in self._pruned:
                self.find("deleted", 1, f"line 1 to {start.no - 1} is gone from the beginning")
