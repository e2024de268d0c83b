"""What is done at a start about a journal that is not as it was left.

Nothing damaged is deleted: rows go to a file, and a file that cannot be trusted goes whole, to the
quarantine folder. What can still be read stays in use. Then Corrupt says what happened, once; the
next start succeeds.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from nova_node.adapters.journal_head import Head
from nova_node.adapters.journal_rows import (
    INSERT,
    SQLITE_ERRORS,
    Row,
    connect,
    create_if_empty,
    is_damage,
    is_sound,
    opens,
    read_meta,
    read_rows,
    typed,
    write_meta,
)
from nova_node.core.errors import Corrupt
from nova_node.ports import Sealer

DATABASE = "journal.db"
SALVAGED = "journal.salvaged"
QUARANTINE = "quarantine"
_FILES = (DATABASE, DATABASE + "-wal", DATABASE + "-shm")
_FIX = (
    "start the node again to go on with what is left; submit tasks whose results are missing again"
)


def check(folder: Path, head: Head, sealer: Sealer | None = None) -> Head:
    """How far the sound journal in `folder` got. Creates it when there is none.

    Raises Corrupt after a repair; Unavailable, Overloaded when the disk is to blame; Refused when a
    data key is missing."""
    path = folder / DATABASE
    _finish_salvage(folder)
    try:
        with closing(connect(path)) as db:
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            create_if_empty(db)
            last, damaged = _survey(db, sealer)
            if damaged:
                raise _set_rows_aside(db, folder, damaged)
            _check_head(db, head, last)
            return last
    except SQLITE_ERRORS as error:
        if not is_damage(error, path):
            raise typed(error, path) from error
        raise _salvage(folder, head, sealer, str(error)) from error


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---------------------------------------------------------------- rows


def _survey(db: sqlite3.Connection, sealer: Sealer | None) -> tuple[Head, list[Row]]:
    """How far the file got by its own account, and the rows that are not sound."""
    seq, no, crc = read_meta(db, "seq"), read_meta(db, "no"), 0
    incarnation = read_meta(db, "incarnation")
    damaged: list[Row] = []
    for row in read_rows(db):
        if is_sound(row) and opens(row, sealer):
            if row.seq >= seq:
                seq, crc = row.seq, row.crc
            no = max(no, row.no)
        else:
            damaged.append(row)
    return Head(seq, no, incarnation, crc), damaged


def _set_rows_aside(db: sqlite3.Connection, folder: Path, rows: list[Row]) -> Corrupt:
    path = _quarantine(folder) / "rows.jsonl"
    with path.open("w") as file:
        for row in rows:
            values: list[Any] = [v.hex() if isinstance(v, bytes) else str(v) for v in row]
            file.write(json.dumps(dict(zip(Row._fields, values, strict=True))) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    # those rows count as journaled still: their numbers are not given out again
    db.execute("BEGIN IMMEDIATE")
    db.executemany("DELETE FROM events WHERE seq = ?", [(row.seq,) for row in rows])
    write_meta(db, "seq", max(read_meta(db, "seq"), max(row.seq for row in rows)))
    db.execute("COMMIT")
    which = ", ".join(f"{row.seq} of batch {row.batch}" for row in rows[:10])
    return Corrupt(f"{len(rows)} damaged events ({which}) were moved to {path}", _FIX)


def _check_head(db: sqlite3.Connection, head: Head, last: Head) -> None:
    """Raises Corrupt when the file is behind its head; from then on the file counts as it is."""
    lost = ""
    if head.seq > last.seq:
        lost = f"events {last.seq + 1} to {head.seq} are gone from the journal"
    elif head.seq == last.seq and last.crc and head.crc and head.crc != last.crc:
        lost = f"event {head.seq} is not the one that was journaled"
    elif head.incarnation > last.incarnation:
        lost = f"the journal was put back from start {head.incarnation} to {last.incarnation}"
    if not lost:
        return
    _raise_floors(db, head, last)
    raise Corrupt(lost, _FIX)


def _raise_floors(db: sqlite3.Connection, *reached: Head) -> None:
    db.execute("BEGIN IMMEDIATE")
    write_meta(db, "seq", max(head.seq for head in reached))
    write_meta(db, "no", max(head.no for head in reached))
    write_meta(db, "incarnation", max(head.incarnation for head in reached))
    db.execute("COMMIT")


# ---------------------------------------------------------------- the whole file


def _salvage(folder: Path, head: Head, sealer: Sealer | None, why: str) -> Corrupt:
    work = folder / "salvage"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    for name in _FILES[:2]:
        if (folder / name).exists():
            shutil.copy2(folder / name, work / name)
    with closing(connect(folder / SALVAGED)) as db:
        create_if_empty(db)
        kept = _copy_rows(work / DATABASE, db)
        if not kept:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _lend_first_page(work / DATABASE, folder / SALVAGED)
            kept = _copy_rows(work / DATABASE, db)
        last, _ = _survey(db, sealer)
        # no start may repeat an incarnation, and the last one may not be readable
        _raise_floors(db, head, last, Head(incarnation=int(time.time())))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.rmtree(work)
    place = _quarantine(folder)
    for name in reversed(_FILES):
        if (folder / name).exists():
            os.replace(folder / name, place / name)
    sync_folder(place)
    _finish_salvage(folder)
    lost = f"; event {head.seq} was the last one" if head.seq > last.seq else ""
    return Corrupt(
        f"the journal was damaged ({why}) and moved to {place}; {kept} events up to {last.seq} "
        f"could be read and were kept{lost}",
        _FIX,
    )


def _finish_salvage(folder: Path) -> None:
    """Puts what was salvaged in place, or drops what was not finished."""
    salvaged, path = folder / SALVAGED, folder / DATABASE
    if path.exists():
        for name in (SALVAGED, SALVAGED + "-wal", SALVAGED + "-shm"):
            (folder / name).unlink(missing_ok=True)
    elif salvaged.exists():
        os.replace(salvaged, path)
        sync_folder(folder)


def _copy_rows(path: Path, into: sqlite3.Connection) -> int:
    """From both ends, since a damaged page stops a scan."""
    into.execute("BEGIN IMMEDIATE")
    for order in ("ASC", "DESC"):
        for row in _readable(path, order):
            if is_sound(row):
                into.execute(INSERT.replace("INSERT", "INSERT OR IGNORE"), row)
    into.execute("COMMIT")
    return into.execute("SELECT count(*) FROM events").fetchone()[0]


def _readable(path: Path, order: str) -> Iterator[Row]:
    try:
        with closing(connect(path)) as db:
            found = db.execute(
                f"SELECT seq, batch, no, crc, body FROM events NOT INDEXED ORDER BY seq {order}"
            )
            for values in found:
                yield Row(*values)
    except SQLITE_ERRORS:
        return


def _lend_first_page(damaged: Path, sound: Path) -> None:
    """Gives a file whose header or schema is lost those of a journal made in the same way."""
    with sound.open("rb") as file:
        page = bytearray(file.read(4096))
    page[28:32] = bytes(4)  # the size of the file: let SQLite look
    page[32:40] = bytes(8)  # its list of free pages
    with damaged.open("r+b") as file:
        file.write(page)


def _quarantine(folder: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for n in range(1000):
        place = folder / QUARANTINE / (f"{stamp}-{n}" if n else stamp)
        try:
            place.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return place
    raise Corrupt(f"{folder / QUARANTINE} is full", "move what is in it elsewhere")
