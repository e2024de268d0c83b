"""Where a node writes what it records: lines in files, from a thread of its own.

Cheap, and safe in the page cache when the node is killed; the helper process takes it from there when
somebody asks, or when there is much of it. What does not fit is dropped and counted: metrics may be.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Thread
from typing import IO

from nova_node.adapters.metrics_files import (
    RECORDED,
    SPOOL,
    Segment,
    segment_name,
    segment_path,
    segments,
)
from nova_node.metrics.keeping import over
from nova_node.metrics.tables import Line, row_count

WAITING_MAX_ROWS = 100_000
SEGMENT_BYTES = 8 << 20
SPOOL_MAX_BYTES = 128 << 20

log = logging.getLogger("nova.metrics")


class Spool:
    """`put` and `rotate` may be called from any thread and do not block."""

    def __init__(
        self, folder: Path, incarnation: int, waiting_max_rows: int = WAITING_MAX_ROWS
    ) -> None:
        #: rows that were not recorded, since the start
        self.dropped = 0
        #: bytes of segments that are complete, about
        self.waiting_bytes = 0
        self._folder = folder
        self._incarnation = incarnation
        self._waiting_max_rows = waiting_max_rows
        self._number = 1
        self._files: dict[str, IO[bytes]] = {}
        self._size_bytes = 0
        self._ready = Condition()
        # guarded by _ready
        self._waiting: list[tuple[str, Line]] = []
        self._waiting_rows = 0
        self._seq = 0
        self._rotations: list[Future[str]] = []
        self._forgets: list[tuple[str, ...]] = []
        self._open = False

    # ------------------------------------------------------------ open and close

    def open(self) -> int:
        """The seq of the last event that was recorded, 0 if none ever was. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / SPOOL).mkdir(mode=0o700, exist_ok=True)
        self._recorded = os.open(
            self._folder / RECORDED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        text = os.pread(self._recorded, 20, 0)
        self._seq = self._recorded_seq = int(text) if text.strip().isdigit() else 0
        self.waiting_bytes = sum(each.size_bytes for each in self._segments())
        self._open = True
        self._thread = Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()
        return self._seq

    def close(self) -> None:
        """Writes what waits."""
        with self._ready:
            if not self._open:
                return
            self._open = False
            self._ready.notify()
        self._thread.join()
        os.close(self._recorded)

    # ------------------------------------------------------------ in

    def put(self, lines: Iterable[tuple[str, Line]], seq: int = 0) -> bool:
        """Lines, each with its table; `seq` is that of the last event in them, 0: unknown. False
        when they were dropped."""
        given = list(lines)
        rows = sum([row_count(line) for _, line in given])
        with self._ready:
            fits = self._open and self._waiting_rows + rows <= self._waiting_max_rows
            if fits:
                self._waiting += given
                self._waiting_rows += rows
            else:
                self.dropped += rows
            self._seq = seq or self._seq
            self._ready.notify()
        return fits

    def rotate(self) -> Future[str]:
        """Everything that was put is in segments before the one named in the answer."""
        future: Future[str] = Future()
        with self._ready:
            if self._open:
                self._rotations.append(future)
                self._ready.notify()
            else:
                future.set_result(self._name)
        return future

    @property
    def is_busy(self) -> bool:
        """Half of what may wait does: no time for what can be written later."""
        return self._waiting_rows > self._waiting_max_rows // 2

    def forget(self, tables: Sequence[str]) -> None:
        """Drop what is written and not yet taken of these tables: it will be projected again."""
        with self._ready:
            self._waiting = [each for each in self._waiting if each[0] not in tables]
            self._forgets.append(tuple(tables))
            self._ready.notify()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            with self._ready:
                while self._open and not self._has_work():
                    self._ready.wait()
                lines, self._waiting, self._waiting_rows = self._waiting, [], 0
                rotations, self._rotations = self._rotations, []
                forgets, self._forgets = self._forgets, []
                seq, going_on = self._seq, self._open
            try:
                for tables in forgets:
                    self._forget(tables)
                self._write(lines, seq)
                if rotations:
                    self._rotate()
            except Exception as error:  # whoever waits for a rotation is answered
                self._lose(lines, error)
            for rotation in rotations:
                if rotation.set_running_or_notify_cancel():  # whoever asked may have gone
                    rotation.set_result(self._name)
            if not going_on:
                self._close_files()
                return

    def _has_work(self) -> bool:
        waiting = self._waiting or self._rotations or self._forgets
        return bool(waiting) or self._seq != self._recorded_seq

    def _write(self, lines: Sequence[tuple[str, Line]], seq: int) -> None:
        for table, line in lines:
            file = self._files.get(table)
            if file is None:
                path = segment_path(self._folder, self._name, table)
                file = self._files[table] = path.open("ab")
            self._size_bytes += file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            if self._size_bytes > SEGMENT_BYTES:
                self._rotate()
        for file in self._files.values():
            file.flush()
        if seq != self._recorded_seq:
            os.pwrite(self._recorded, b"%020d" % seq, 0)
            self._recorded_seq = seq

    @property
    def _name(self) -> str:
        """Of the segment that is being written."""
        return segment_name(self._incarnation, self._number)

    def _rotate(self) -> None:
        self._close_files()
        if self._size_bytes:
            self._number += 1
            self._size_bytes = 0
        complete = self._segments()
        gone = over([each.size_bytes for each in complete], SPOOL_MAX_BYTES)
        for segment in complete[:gone]:
            for path in segment.paths.values():
                self.dropped += path.read_bytes().count(b"\n")  # lines: at least as many rows
                path.unlink()
        self.waiting_bytes = sum(each.size_bytes for each in complete[gone:])

    def _forget(self, tables: Sequence[str]) -> None:
        self._rotate()
        for segment in self._segments():
            for table in tables:
                if table in segment.paths:
                    segment.paths[table].unlink(missing_ok=True)

    def _segments(self) -> list[Segment]:
        return segments(self._folder, self._name)

    def _lose(self, lines: Sequence[tuple[str, Line]], error: Exception) -> None:
        if not self.dropped:
            log.warning("metrics cannot be written and are dropped: %s", error)
        self.dropped += sum(row_count(line) for _, line in lines)

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
