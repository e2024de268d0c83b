"""The audit log of a node: `note` from anywhere, one thread that writes.

What waits becomes one batch with one fsync. Several processes may write (the node, and commands on
its machine): each batch takes the file lock and goes on from the last line it finds. A file that is
full is put aside under the number of its first line; the oldest goes when there are too many, which
the log itself says.
Rule: what cannot be written is kept, up to a bound, and `check` then refuses what would have to be
noted.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, BinaryIO, NamedTuple

from nova_node.audit.lines import (
    FIRST,
    LINE_MAX_BYTES,
    LOG,
    Detail,
    Entry,
    Line,
    digest,
    files_of,
    from_line,
    full_name,
    locked,
    raw_lines,
    to_line,
)
from nova_node.core.errors import Overloaded

FILE_MAX_BYTES = 64 << 20
FILES_MAX = 16
QUEUE_MAX = 10_000
GATHER_S = 0.05
"""A batch is written this long after its first entry: at most twenty fsyncs a second."""

RETRY_S = 1.0

log = logging.getLogger("nova.audit")


class Tip(NamedTuple):
    """The last line on disk."""

    no: int
    sha256: str


class AuditLog:
    """In a node's data directory. `note` may be called from any thread, and never waits."""

    def __init__(
        self,
        folder: Path,
        file_max_bytes: int = FILE_MAX_BYTES,
        files_max: int = FILES_MAX,
        queue_max: int = QUEUE_MAX,
        gather_s: float = GATHER_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._path = folder / LOG
        self._file_max_bytes = file_max_bytes
        self._files_max = files_max
        self._queue_max = queue_max
        self._gather_s = gather_s
        self._now = now
        self._ready = Condition()
        # guarded by _ready
        self._waiting: list[Entry] = []
        self._dropped = 0
        self._closing = False
        self._problem = ""
        self._written = 0
        self._noted = 0
        # guarded by _writing
        self._writing = Lock()
        self._tip = Tip(0, FIRST)
        self._first = 1
        self._size_bytes = 0
        #: of the file we wrote last: its inode and size
        self._stamp = (-1, -1)
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ note

    def note(self, who: str, origin: str, what: str, subject: str = "", **details: Detail) -> None:
        """`who` is a member as "<role>/<id>", `origin` an address, `what` one of docs/audit.md."""
        entry = Entry(self._now(), who, origin, what, subject, details)
        with self._ready:
            if self._closing or len(self._waiting) >= self._queue_max:
                self._dropped += 1
                return
            self._waiting.append(entry)
            self._noted += 1
            if len(self._waiting) == 1:
                self._ready.notify_all()

    def check(self) -> None:
        """Raises Overloaded when the log cannot be written: what has to be noted must not happen."""
        if self._problem:
            raise Overloaded(
                f"the audit log cannot be written: {self._problem}",
                "free room on the node's disk; it goes on by itself",
            )
        if len(self._waiting) >= self._queue_max:
            raise Overloaded(
                f"{len(self._waiting)} entries of the audit log wait for the disk",
                "ask again later, or put the data directory on a faster disk",
            )

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Waits until all that was noted is on disk; whether it is."""
        with self._ready:
            wanted = self._noted
            return self._ready.wait_for(lambda: self._written >= wanted, timeout_s)

    def tip(self) -> Tip:
        """The last line on disk. Blocks. Raises OSError."""
        with self._writing, locked(self._folder):
            self._resume()
            return self._tip

    def close(self) -> None:
        """Writes what waits, if it can be written."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._thread.join()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._closing)
                self._ready.wait_for(lambda: self._closing, self._gather_s)
                batch, dropped = self._waiting[:], self._dropped
                closing = self._closing
            if not batch and closing:
                return
            if self._write(batch, dropped):
                with self._ready:
                    del self._waiting[: len(batch)]
                    self._dropped -= dropped
                    self._written += len(batch)
                    self._ready.notify_all()
            elif closing:
                log.error("%d entries of the audit log are lost: %s", len(batch), self._problem)
                return
            else:
                with self._ready:
                    self._ready.wait_for(lambda: self._closing, RETRY_S)

    def _write(self, batch: list[Entry], dropped: int) -> bool:
        if dropped:
            batch = [*batch, Entry(self._now(), "", "", "audit.lost", "", {"count": dropped})]
        try:
            with self._writing, locked(self._folder):
                self._resume()
                self._append(batch)
        except Exception as error:
            if not self._problem:
                log.error(
                    "the audit log cannot be written, and calls that change anything are refused"
                    " meanwhile: %s",
                    error,
                )
            self._problem = str(error) or repr(error)
            self._stamp = (-1, -1)
            return False
        if self._problem:
            log.info("the audit log can be written again")
            self._problem = ""
        return True

    # ------------------------------------------------------------ the files, under both locks

    def _resume(self) -> None:
        """Go on from the last line there is, unless it is the one we wrote."""
        with suppress(FileNotFoundError):
            if _stamp(self._path) == self._stamp:
                return
        torn = _cut_torn_line(self._path) if self._path.exists() else 0
        full = [path for path in files_of(self._folder) if path != self._path]
        last = _last_line(full[-1]) if full else None
        self._tip = Tip(last.no, last.sha256) if last else Tip(0, FIRST)
        self._first, self._size_bytes, damaged = self._tip.no + 1, 0, ""
        if self._path.exists() and self._path.stat().st_size:
            first, last = _first_line(self._path), _last_line(self._path)
            if first is None or last is None:
                damaged = self._put_damaged_aside()
            else:
                self._first, self._tip = first.no, Tip(last.no, last.sha256)
                self._size_bytes = self._path.stat().st_size
        if damaged:
            self._append([Entry(self._now(), "", "", "audit.damaged", damaged, {})])
        if torn:
            self._append([Entry(self._now(), "", "", "audit.torn", "", {"bytes": torn})])

    def _put_damaged_aside(self) -> str:
        """Nothing can follow what cannot be read. `verify` tells of the gap."""
        place = self._folder / f"audit-damaged-{int(self._now() * 1000)}.jsonl"
        with self._path.open("rb") as file:
            for data in raw_lines(file):
                with suppress(ValueError):
                    line = from_line(data)
                    self._tip, self._first = Tip(line.no, line.sha256), line.no + 1
        os.replace(self._path, place)
        log.error("the audit log was damaged and moved to %s", place)
        return place.name

    def _append(self, batch: list[Entry]) -> None:
        if self._size_bytes >= self._file_max_bytes:
            self._rotate()
        no, prev = self._tip
        rows: list[bytes] = []
        for entry in batch:
            no += 1
            row = to_line(no, prev, entry)
            prev = digest(row)
            rows.append(row + b"\n")
        data = b"".join(rows)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(handle).st_size
            try:
                if os.write(handle, data) != len(data):
                    raise OSError("no room for the whole batch")
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
        if not before:
            _sync_folder(self._folder)
        self._tip, self._size_bytes = Tip(no, prev), before + len(data)
        self._stamp = _stamp(self._path)

    def _rotate(self) -> None:
        os.replace(self._path, self._folder / full_name(self._first))
        _sync_folder(self._folder)
        self._first, self._size_bytes = self._tip.no + 1, 0
        full = files_of(self._folder)
        for oldest in full[: max(0, len(full) - self._files_max + 1)]:
            last = _last_line(oldest)
            if last is not None:  # what cannot be read stays, for people to look at
                kept = {"until": last.no, "sha256": last.sha256}
                self._append([Entry(self._now(), "", "", "audit.pruned", oldest.name, kept)])
                oldest.unlink()


# ---------------------------------------------------------------- reading ends of files


def _first_line(path: Path) -> Line | None:
    with suppress(ValueError, OSError, StopIteration), path.open("rb") as file:
        return from_line(next(raw_lines(file)))
    return None


def _last_line(path: Path) -> Line | None:
    """None when there is none, or what is there is none."""
    with suppress(ValueError, OSError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LINE_MAX_BYTES))
        tail = file.read()
        if tail.endswith(b"\n"):
            return from_line(tail[:-1].rpartition(b"\n")[2])
    return None


def _cut_torn_line(path: Path) -> int:
    """What a killed process left of a line was never acknowledged; how many bytes it had."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LINE_MAX_BYTES))
        tail = file.read()
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn and torn < LINE_MAX_BYTES:
            file.truncate(end - torn)
            os.fsync(file.fileno())
            return torn
    return 0


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def tail(folder: Path, count: int) -> list[Any]:
    """The last lines as they were written, oldest first; lines that cannot be read are left out."""
    found: list[Any] = []
    for path in reversed(files_of(folder)):
        lines: list[Any] = []
        with path.open("rb") as file:
            for data in raw_lines(file):
                with suppress(ValueError):
                    lines.append(from_line(data).values)
        found = [*lines[-count:], *found][-count:]
        if len(found) == count:
            break
    return found


def follow(path: Path, last: int, wait: Callable[[], None]) -> Iterator[Any]:
    """Lines after number `last` as they come, for ever; `wait` is called when there is none."""
    file: BinaryIO | None = None
    try:
        while True:
            if file is not None and (line := _next_line(file)) is not None:
                if line.no > last:
                    last = line.no
                    yield line.values
                continue
            with suppress(FileNotFoundError):
                if file is None or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                    if file is not None:
                        file.close()
                    file = path.open("rb")
                    continue
            wait()
    finally:
        if file is not None:
            file.close()


def _next_line(file: BinaryIO) -> Line | None:
    """None when there is no whole one yet."""
    at = file.tell()
    for data in raw_lines(file):
        with suppress(ValueError):
            return from_line(data)
        at = file.tell()
    file.seek(at)
    return None
