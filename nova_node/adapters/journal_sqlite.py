"""The journal in SQLite: one thread writes, and whatever waits goes into one commit.

Acknowledged means synced: WAL with synchronous=FULL survives a killed process and a power cut. An
append that fails leaves a gap in the file, and the next one may succeed; who appended is told.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import NamedTuple

from nova_node.adapters import journal_repair as repair
from nova_node.adapters.journal_head import Head, HeadFile
from nova_node.adapters.journal_rows import (
    INSERT,
    INSERT_MAX_ROWS,
    SCHEMA_VERSION,
    SQLITE_ERRORS,
    Row,
    connect,
    event_of,
    inserting,
    read_meta,
    read_rows,
    row_of,
    typed,
    write_meta,
)
from nova_node.core.errors import Corrupt, InUse, NovaError, Overloaded, Refused, Unavailable
from nova_node.core.events import (
    Event,
)
from nova_node.ports import Sealer

QUEUE_MAX_BYTES = 64 << 20
"""Of events that wait for the disk: four of the largest messages."""

LOG_BYTES = 4 << 20
"""Of the WAL from the start, about what it is between checkpoints: a sync of a file that grows also writes
the file system's own journal, and takes half as long again. SQLite takes zeros for the log's end."""

HEAD_SYNC_S = 1.0
FORGET_AT_ONCE_BATCHES = 200
FORGET_AT_ONCE_ROWS = 2000
"""A chunk holds back the writer for some 10 ms."""

VACUUM_AT_ONCE_PAGES = 1000

Done = Callable[[Exception | None], None]

_log = logging.getLogger(__name__)


class _Append(NamedTuple):
    rows: list[Row]
    size_bytes: int
    done: Done
    error: NovaError | None = None


class SqliteJournal:
    """The port Journal, in a folder of its own. With a sealer what is written is encrypted."""

    def __init__(
        self,
        folder: Path,
        sealer: Sealer | None = None,
        queue_max_bytes: int = QUEUE_MAX_BYTES,
    ) -> None:
        self._folder = folder
        self._sealer = sealer
        self._path = folder / repair.DATABASE
        self._queue_max_bytes = queue_max_bytes
        self._ready = Condition()
        # guarded by _ready
        self._waiting: list[_Append] = []
        self._waiting_bytes = 0
        self._open = False
        # guarded by _writing
        self._writing = Lock()
        self._last = Head()

    # ------------------------------------------------------------ open and close

    def open(self) -> int:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
        except OSError as error:
            raise _unavailable(error) from error
        try:
            incarnation = self._start()
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise _unavailable(error) from error
            if isinstance(error, SQLITE_ERRORS):
                raise typed(error, self._path) from error
            raise
        self._open = True
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        return incarnation

    def _take_lock(self) -> int:
        lock = os.open(self._folder / "journal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise InUse(
                f"another process writes the journal in {self._folder}",
                "stop it, or start this node with another --data-dir",
            ) from None
        return lock

    def _start(self) -> int:
        self._head = HeadFile(self._folder / "journal.head")
        try:
            head = self._head.read()
            try:
                last = repair.check(self._folder, head, self._sealer)
            except Corrupt:
                self._head.write(head._replace(crc=0))
                self._head.sync()
                raise
            self._db = connect(self._path)
        except BaseException:
            self._head.close()
            raise
        try:
            schema = read_meta(self._db, "schema")
            if schema != SCHEMA_VERSION:
                raise Refused(
                    f"the journal in {self._folder} has format {schema}, not {SCHEMA_VERSION}",
                    "start it with the version of nova-node that wrote it",
                )
            incarnation = max(last.incarnation, head.incarnation) + 1
            write_meta(self._db, "incarnation", incarnation)
            self._last = Head(max(last.seq, head.seq), max(last.no, head.no), incarnation, last.crc)
            for _ in range(2):  # both slots, so that the file has its size
                self._head.write(self._last)
            self._head.sync()
            repair.sync_folder(self._folder)
        except BaseException:
            self._db.close()
            self._head.close()
            raise
        return incarnation

    def close(self) -> None:
        with self._ready:
            if not self._open:
                return
            self._open = False
            self._ready.notify()
        self._thread.join()
        with self._writing:
            with suppress(OSError):
                self._head.sync()
            self._head.close()
            self._db.close()
            os.close(self._lock)

    # ------------------------------------------------------------ append

    def append(self, events: Sequence[Event], done: Done) -> None:
        error: NovaError | None = None
        rows: list[Row] = []
        size_bytes = 0
        try:
            rows = [row_of(event, self._sealer) for event in events if event.journaled]
            size_bytes = sum([len(row.body) for row in rows])
        except NovaError as refusal:
            rows, error = [], refusal
        with self._ready:
            if self._open:
                if self._waiting and self._waiting_bytes + size_bytes > self._queue_max_bytes:
                    rows, size_bytes = [], 0
                    error = Overloaded(
                        f"{self._waiting_bytes} bytes of events wait for the disk already",
                        "send less at a time, or put the data directory on a faster disk",
                    )
                self._waiting.append(_Append(rows, size_bytes, done, error))
                self._waiting_bytes += size_bytes
                self._ready.notify()
                return
        done(_closed())

    def _lay_out_log(self) -> None:
        with (
            self._writing,
            suppress(OSError),
            self._path.with_name(self._path.name + "-wal").open("ab") as log,
        ):
            log.write(bytes(max(0, LOG_BYTES - log.tell())))
            log.flush()
            os.fsync(log.fileno())

    def _run(self) -> None:
        self._lay_out_log()
        synced_at = time.monotonic()
        while True:
            with self._ready:
                while self._open and not self._waiting:
                    self._ready.wait()
                appends, self._waiting = self._waiting, []
                self._waiting_bytes = 0
            if not appends:
                return
            with self._writing:
                error = self._commit([row for append in appends for row in append.rows])
                if isinstance(error, sqlite3.IntegrityError):
                    # one of them is at fault: each stands for itself
                    errors = [self._commit(append.rows) for append in appends]
                else:
                    errors = [error] * len(appends)
            for append, failed in zip(appends, errors, strict=True):
                _tell(append.done, append.error or (failed and typed(failed, self._path)))
            now = time.monotonic()
            with self._writing, suppress(OSError):  # an older head is a lower bound still
                self._head.write(self._last)
                if now - synced_at >= HEAD_SYNC_S:
                    synced_at = now
                    self._head.sync()

    def _commit(self, rows: list[Row]) -> Exception | None:
        if not rows:
            return None
        try:
            if len(rows) <= INSERT_MAX_ROWS:  # a transaction of its own
                self._db.execute(inserting(len(rows)), list(chain.from_iterable(rows)))
            else:
                with _transaction(self._db):
                    self._db.executemany(INSERT, rows)
        except Exception as error:  # the thread goes on, and each append is answered
            return error
        last = max(rows)
        no = max(self._last.no, max([row.no for row in rows]))
        if last.seq > self._last.seq:
            self._last = Head(last.seq, no, self._last.incarnation, last.crc)
        else:
            self._last = self._last._replace(no=no)
        return None

    # ------------------------------------------------------------ read and forget

    def read(self, from_seq: int = 0, batch: int | None = None) -> Iterator[Event]:
        if not self._open:
            raise _closed()
        try:
            with closing(connect(self._path)) as db:
                for row in read_rows(db, from_seq, batch):
                    yield event_of(row, self._sealer)
        except SQLITE_ERRORS as error:
            raise typed(error, self._path) from error

    def used(self) -> tuple[int, int]:
        """The highest event number and task number ever journaled, forgotten ones included."""
        with self._writing:
            return self._last.seq, self._last.no

    def forget(self, batches: Iterable[int]) -> None:
        """In chunks; a batch's first events go first, so what a killed process leaves of one has
        no Accepted. A journal that is closed meanwhile keeps the rest."""
        wanted = sorted(set(batches))
        try:
            for at in range(0, len(wanted), FORGET_AT_ONCE_BATCHES):
                self._forget(wanted[at : at + FORGET_AT_ONCE_BATCHES])
            self._shrink()
        except SQLITE_ERRORS as error:
            raise typed(error, self._path) from error

    def _forget(self, batches: list[int]) -> None:
        marks = ",".join("?" * len(batches))
        some = (
            f"SELECT seq FROM events WHERE batch IN ({marks})"
            f" ORDER BY batch, seq LIMIT {FORGET_AT_ONCE_ROWS}"
        )
        while True:
            with self._writing:
                if not self._open:
                    return
                seqs = self._db.execute(some, batches).fetchall()
                if not seqs:
                    return
                with _transaction(self._db):
                    # the numbers of what goes are not given out again
                    write_meta(self._db, "seq", self._last.seq)
                    write_meta(self._db, "no", self._last.no)
                    self._db.executemany("DELETE FROM events WHERE seq = ?", seqs)

    def _shrink(self) -> None:
        while True:
            with self._writing:
                if not self._open:
                    return
                free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
                if not free:
                    self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                    return
                self._db.execute(f"PRAGMA incremental_vacuum({VACUUM_AT_ONCE_PAGES})").fetchall()
                left = self._db.execute("PRAGMA freelist_count").fetchone()[0]
            if left >= free:
                return

    def size_bytes(self) -> int:
        total = 0
        for path in (self._path, self._path.with_name(self._path.name + "-wal")):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None, None, None]:
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


def _tell(done: Done, error: Exception | None) -> None:
    try:
        done(error)
    except Exception:
        _log.exception("whoever appended to the journal could not be told")


def _closed() -> Unavailable:
    return Unavailable("the journal is closed", "ask again once the node has started")


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(f"the journal cannot be opened: {error}", "check the disk and permissions")
