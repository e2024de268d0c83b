"""The files in a node's metrics folder: the database, its archives, and segments of the spool.

A segment is what was written between two rotations: one file of lines for each table it has any of.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nova_node.metrics.keeping import Archive
from nova_node.metrics.tables import TABLES

DATABASE = "history.duckdb"
OPENED = "opened"
"""There was a database: when it is not there any more, it was lost."""

ARCHIVE = "archive"
SPOOL = "spool"
RECORDED = "recorded"
"""Holds the number of the last event that was written."""

ASIDE = "damaged"

_ARCHIVE_NAME = re.compile(r"([a-z]+)-(\d{1,9})-[0-9a-f]{1,16}\.parquet")
_SEGMENT_NAME = re.compile(r"(\d{1,12}-\d{1,12})\.([a-z]+)\.jsonl")


class Segment(NamedTuple):
    name: str
    #: by table
    paths: dict[str, Path]

    @property
    def size_bytes(self) -> int:
        return sum(size_bytes(path) for path in self.paths.values())


def segment_name(incarnation: int, number: int) -> str:
    """Never given twice, and in the order of time as text."""
    return f"{incarnation:012d}-{number:012d}"


def segment_path(folder: Path, segment: str, table: str) -> Path:
    return folder / SPOOL / f"{segment}.{table}.jsonl"


def segments(folder: Path, before: str) -> list[Segment]:
    """Those that are complete, oldest first: before the one that is being written."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((folder / SPOOL).glob("*.jsonl")):
        match = _SEGMENT_NAME.fullmatch(path.name)
        if match is not None and match[2] in TABLES and match[1] < before:
            found.setdefault(match[1], {})[match[2]] = path
    return [Segment(name, paths) for name, paths in sorted(found.items())]


def archives(folder: Path) -> list[Archive]:
    found: list[Archive] = []
    for path in sorted((folder / ARCHIVE).glob("*.parquet")):
        match = _ARCHIVE_NAME.fullmatch(path.name)
        if match is not None and match[1] in TABLES:
            found.append(Archive(path.name, match[1], int(match[2]), size_bytes(path)))
    return found


def remove_leftovers(folder: Path, known: Container[str]) -> None:
    """Of an archive that was written and not counted before the process was killed."""
    for archive in archives(folder):
        if archive.name not in known:
            (folder / ARCHIVE / archive.name).unlink(missing_ok=True)


def set_aside(folder: Path) -> None:
    """The damaged database, for whoever wants to look; of several only the latest is kept."""
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for name in (DATABASE, f"{DATABASE}.wal"):
        with suppress(FileNotFoundError):
            os.replace(folder / name, aside / name)


def size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
