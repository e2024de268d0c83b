"""The journal's file: its schema, its rows and their checksums.

A row's checksum covers its keys too, so a row that turns up in the wrong place is not sound. With a
sealer the body is encrypted and bound to the keys, which stay plain; rows from before stay as they
are, and are read beside the others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from nova_node.adapters.wire_events import event_from_bytes, event_to_bytes
from nova_node.core.errors import Corrupt, Invalid, NovaError, Overloaded, Refused, Unavailable
from nova_node.core.events import (
    Accepted,
    Event,
    Grown,
)
from nova_node.ports import SEALED, Sealer

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0
WAL_MAX_BYTES = 64 << 20
READ_AT_ONCE_BYTES = 8 << 20
READ_AT_ONCE_ROWS = 1000
PROBE_BYTES = 1 << 20

_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, no INTEGER NOT NULL,"
    " crc INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX events_of_batch ON events (batch)",
)
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
INSERT_MAX_ROWS = 8
"""In one statement."""

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""All that the module raises of a bad file: it decodes what it cites of a damaged schema."""

_SURROUNDINGS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


class Row(NamedTuple):
    seq: int
    batch: int
    #: the highest task number that the event gives out; 0 = none
    no: int
    crc: int
    body: bytes


@cache
def inserting(rows: int) -> str:
    """The statement for so many."""
    return INSERT + ", (?, ?, ?, ?, ?)" * (rows - 1)


def row_of(event: Event, sealer: Sealer | None = None) -> Row:
    """Raises Invalid when the event does not fit the wire, Refused when there is no key."""
    no = highest_no(event)
    body = event_to_bytes(event)
    if sealer is not None:
        body = sealer.seal(body, _context(event.seq, event.batch, no))
    return Row(event.seq, event.batch, no, _checksum(event.seq, event.batch, no, body), body)


def highest_no(event: Event) -> int:
    """The highest task number that the event gives out; 0 when it gives out none."""
    match event.fact:
        case Accepted(_, groups):
            return event.batch + sum([len(group.calls) for group in groups]) - 1
        case Grown():
            return event.fact.first + len(event.fact.calls) - 1
        case _:
            return 0


def is_sound(row: Any) -> bool:
    """Whether this, whatever the file gave, is a row as it was written."""
    seq, batch, no, crc, body = row
    return (
        isinstance(body, bytes)
        and isinstance(batch, int)
        and isinstance(no, int)
        and crc == _checksum(seq, batch, no, body)
    )


def opens(row: Row, sealer: Sealer | None) -> bool:
    """Whether a sound row's body can be had. Raises Refused when only a key is missing."""
    try:
        body_of(row, sealer)
    except Corrupt:
        return False
    return True


def body_of(row: Row, sealer: Sealer | None) -> bytes:
    """Raises Corrupt, Refused."""
    if row.body[:1] != bytes((SEALED,)):
        return row.body
    if sealer is None:
        raise Refused(
            f"event {row.seq} of the journal is encrypted, and this node has no data key",
            "put its identity folder back, or let `nova-node join` bring the mesh's keys",
        )
    return sealer.open(row.body, _context(row.seq, row.batch, row.no))


def event_of(row: Row, sealer: Sealer | None = None) -> Event:
    """Raises Corrupt, Refused."""
    if is_sound(row):
        try:
            return event_from_bytes(body_of(row, sealer))
        except Invalid as error:
            raise Corrupt(
                f"event {row.seq} of the journal cannot be read: {error.message}", error.fix
            ) from error
    raise Corrupt(
        f"event {row.seq} of the journal is damaged", "restart the node: it sets the row aside"
    )


def _context(seq: int, batch: int, no: int) -> bytes:
    return f"journal {seq} {batch} {no}".encode()


def _checksum(seq: int, batch: int, no: int, body: bytes) -> int:
    return crc32(f"{seq} {batch} {no}".encode(), crc32(body))


def connect(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error. Transactions are begun and ended by hand."""
    db = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first page is written
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_MAX_BYTES}")
        db.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        db.close()
        raise
    return db


def create_if_empty(db: sqlite3.Connection) -> None:
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        db.execute(statement)
    write_meta(db, "schema", SCHEMA_VERSION)
    db.execute("COMMIT")


def read_meta(db: sqlite3.Connection, key: str) -> int:
    """0 when never written. Raises sqlite3.DatabaseError when it is not a number."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if found is None:
        return 0
    if not isinstance(found[0], int) or found[0] < 0:
        raise sqlite3.DatabaseError(f"{key} is damaged")
    return found[0]


def write_meta(db: sqlite3.Connection, key: str, value: int | str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def read_rows(db: sqlite3.Connection, from_seq: int = 0, batch: int | None = None) -> Iterator[Row]:
    """Rows in order, some at a time: no cursor stays open between them to hold back the WAL."""
    rows = "SELECT seq, batch, no, crc, body FROM events WHERE seq >= ?"
    if batch is not None:
        rows += " AND batch = ?"
    rows += f" ORDER BY seq LIMIT {READ_AT_ONCE_ROWS}"
    while True:
        found: list[Row] = []
        size_bytes = 0
        cursor = db.execute(rows, (from_seq,) if batch is None else (from_seq, batch))
        for values in cursor:
            found.append(Row(*values))
            size_bytes += len(values[4]) if isinstance(values[4], bytes) else 0
            if size_bytes >= READ_AT_ONCE_BYTES:
                break
        cursor.close()
        if not found:
            return
        yield from found
        from_seq = found[-1].seq + 1


def is_damage(error: Exception, path: Path) -> bool:
    """Whether the file is to blame, not the disk or another process."""
    code = _code(error)
    if code == sqlite3.SQLITE_READONLY:
        return path.exists() and path.stat().st_mode & 0o200 != 0
    return code != sqlite3.SQLITE_FULL and code not in _SURROUNDINGS and not _unreadable(path)


def typed(error: Exception, path: Path) -> NovaError:
    """What an error of SQLite means to whoever uses the journal at `path`."""
    if not isinstance(error, SQLITE_ERRORS):
        return Unavailable(f"the journal failed: {error!r}", "report it with the node's log")
    if isinstance(error, sqlite3.IntegrityError):
        return Invalid(f"the journal has that event already: {error}", "number each event once")
    if _code(error) == sqlite3.SQLITE_FULL:
        return Overloaded(
            "the disk that holds the journal is full",
            "free room on it; the node goes on by itself",
        )
    if _code(error) in _SURROUNDINGS:
        return Unavailable(
            f"the journal cannot be written: {error}", "check the disk and its permissions"
        )
    if why := _unreadable(path):
        return Unavailable(f"the disk does not give the journal: {why}", "check the disk")
    return Corrupt(f"the journal is damaged: {error}", "restart the node: it repairs the file")


def _unreadable(path: Path) -> str:
    """Why the disk does not give what it holds, "" when it does. SQLite takes a page that cannot be
    read for a damaged one, and says no more."""
    try:
        for name in (path, path.with_name(path.name + "-wal")):
            with suppress(FileNotFoundError), name.open("rb") as file:
                while file.read(PROBE_BYTES):
                    pass
    except OSError as error:
        return str(error)
    return ""


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF
