"""One entry of the audit log is one line of JSON, and holds the SHA-256 of the line before.

Rule: numbers go up by one from line to line, over all files of the log. Nothing of what a task is
given or answers is in it, and every text is cut to a length.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

TEXT_LENGTH = 200
DETAILS_MAX = 12
LINE_MAX_BYTES = 16 << 10

LOG = "audit.jsonl"
FIRST = "0" * 64
"""The `prev` of the first line of all."""

Detail = str | int | float | bool | None

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Entry(NamedTuple):
    """What is to be written; `details` are few and short."""

    time: float
    who: str
    origin: str
    what: str
    subject: str
    details: Mapping[str, Detail]


class Line(NamedTuple):
    """A line as it was read. `sha256` is of its bytes, without the newline."""

    no: int
    prev: str
    sha256: str
    values: Mapping[str, Any]


def to_line(no: int, prev: str, entry: Entry) -> bytes:
    """Without a newline."""
    values: dict[str, Detail] = {
        "no": no,
        "time": round(entry.time, 3),
        "who": _cut(entry.who),
        "from": _cut(entry.origin),
        "what": _cut(entry.what),
        "subject": _cut(entry.subject),
    }
    for key, value in list(entry.details.items())[:DETAILS_MAX]:
        values.setdefault(_cut(key), _cut(value) if isinstance(value, str) else value)
    values["prev"] = prev
    return _dump(values).encode(errors="replace")


def from_line(data: bytes) -> Line:
    """Raises ValueError."""
    values: Any = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("not an object")
    found = cast("dict[str, Any]", values)
    no, prev = found.get("no"), found.get("prev")
    if type(no) is not int or no < 1 or not isinstance(prev, str):
        raise ValueError("no number, or no hash of the line before")
    return Line(no, prev, digest(data), found)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def files_of(folder: Path) -> list[Path]:
    """The log's files that are there, oldest first: full ones are named by their first number."""
    full = sorted(folder.glob("audit-" + "[0-9]" * 12 + ".jsonl"))
    current = folder / LOG
    return [*full, current] if current.exists() else full


def full_name(first: int) -> str:
    return f"audit-{first:012d}.jsonl"


def raw_lines(file: BinaryIO) -> Iterator[bytes]:
    """Each without its newline; b"" for one that is too long. What has no newline yet is no line.
    Raises OSError."""
    while data := file.readline(LINE_MAX_BYTES):
        if data.endswith(b"\n"):
            yield data[:-1]
            continue
        while data and not data.endswith(b"\n"):
            data = file.readline(LINE_MAX_BYTES)
        if data:
            yield b""


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Against other processes that write the log. Raises OSError."""
    handle = os.open(folder / "audit.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 3] + "..."
