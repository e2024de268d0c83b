"""The history in DuckDB: the one place that loads it, in the helper process only.

A projection, never the truth: a file that cannot be read is set aside and begun again. The instance
reaches no file outside its folder; what strangers ask runs in a read-only transaction besides.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from nova_node.adapters.metrics_files import (
    ARCHIVE,
    DATABASE,
    OPENED,
    Segment,
    archives,
    remove_leftovers,
    set_aside,
)
from nova_node.core.errors import Corrupt, Invalid, NovaError, Overloaded, Unavailable
from nova_node.metrics.keeping import DAY_S, Rules, plan, surplus
from nova_node.metrics.queries import check_text, check_tree
from nova_node.metrics.tables import TABLES, TIME, Table

MEMORY_LIMIT = "128MB"
LINE_MAX_BYTES = 4 << 20
FETCH_ROWS = 500
SCHEMA_VERSION = 1

_PASSING = ("Could not set lock", "No space left", "Could not write", "Permission denied")
_DAMAGE = (duckdb.InternalException, duckdb.SerializationException, duckdb.IOException)

log = logging.getLogger("nova.metrics")


class Broken(Unavailable):
    """Only a new process can go on."""


class Column(NamedTuple):
    name: str
    type: str


#: takes columns once, then rows
Emit = Callable[[list[Column] | None, list[tuple[Any, ...]]], None]


class Store:
    """Opened by its first user. `query` may be called from several threads, the rest by one."""

    def __init__(self, folder: Path, me: str, rules: Rules) -> None:
        self._folder = folder
        self._me = me
        self._rules = rules
        #: there was a database, and what it held is to be projected again
        self.lost = False
        self._changing = threading.Lock()
        #: guards the number of queries that run
        self._asking = threading.Lock()
        self._asked = 0
        self._archived: list[str] = []

    # ------------------------------------------------------------ open and close

    def open(self) -> None:
        """Raises Unavailable: for now it cannot be opened, or another process has it."""
        (self._folder / ARCHIVE).mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connect()
        except (duckdb.Error, RuntimeError) as error:
            if any(sign in str(error) for sign in _PASSING):
                raise Unavailable(
                    f"the history cannot be opened: {_first_line(error)}",
                    "free some disk, ask again",
                ) from None
            log.warning("the history cannot be read and is begun again: %s", _first_line(error))
            set_aside(self._folder)
            self._connect()

    def give_up(self) -> None:
        """It was found to be damaged: the next to open begins it again."""
        with suppress(duckdb.Error):
            self._db.close()
        set_aside(self._folder)

    def _connect(self) -> None:
        path = self._folder / DATABASE
        is_new = not path.exists()
        self.lost = self.lost or (is_new and (self._folder / OPENED).exists())
        self._db = duckdb.connect(
            str(path),
            config={
                "threads": 2,
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": "",
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            },
        )
        try:
            self._prepare(is_new)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, is_new: bool) -> None:
        run = self._db.execute
        run("SET GLOBAL TimeZone = 'UTC'")
        run(f"SET allowed_directories = [{_text(str(self._folder))}]")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")
        run("CREATE TABLE IF NOT EXISTS meta (schema INTEGER)")
        run("CREATE TABLE IF NOT EXISTS ingested (name VARCHAR)")
        run("CREATE TABLE IF NOT EXISTS archived (name VARCHAR)")
        for table in TABLES.values():
            columns = ", ".join(f"{c.name} {c.type}" for c in table.columns)
            run(f"CREATE TABLE IF NOT EXISTS live_{table.name} ({columns})")
        if is_new:
            run("INSERT INTO meta VALUES (?)", [SCHEMA_VERSION])
            # those of a database that was lost
            for archive in archives(self._folder):
                run("INSERT INTO archived VALUES (?)", [archive.name])
        elif run("SELECT schema FROM meta").fetchall() != [(SCHEMA_VERSION,)]:
            raise RuntimeError("it is of another version")
        named = [name for (name,) in run("SELECT name FROM archived").fetchall()]
        remove_leftovers(self._folder, named)
        self._archived = sorted(name for name in named if self._is_readable(name))
        self._define_views()
        (self._folder / OPENED).touch(mode=0o600)

    def _is_readable(self, archive: str) -> bool:
        """One that is not is left out, and deleted when its time comes."""
        try:
            self._db.execute(
                "SELECT count(*) FROM read_parquet(?)", [self._path(archive)]
            ).fetchall()
        except duckdb.Error as error:
            log.warning("%s cannot be read and is left out: %s", archive, error)
            return False
        return True

    def _define_views(self) -> None:
        for table in TABLES.values():
            stored = ", ".join(c.name for c in table.columns)
            parts = [f"SELECT {stored} FROM live_{table.name}"]
            files = [n for n in self._archived if n.startswith(f"{table.name}-")]
            if files:
                paths = ", ".join(_text(self._path(name)) for name in files)
                parts.append(f"SELECT {stored} FROM read_parquet([{paths}])")
            made = [
                f"{sql.format(tag=_text(self._me[:8]), me=_text(self._me))} AS {name}"
                for name, _, sql, _ in table.derived
            ]
            what = ", ".join(["*", *made])
            view = f"SELECT {what} FROM ({' UNION ALL '.join(parts)})"
            self._db.execute(f"CREATE OR REPLACE VIEW {table.name} AS {view}")

    def close(self) -> None:
        with self._changing:
            self._db.close()

    # ------------------------------------------------------------ in

    def last_seq(self) -> int:
        """The latest event that the archives or the database tell of."""
        found = self._db.execute("SELECT max(seq) FROM events").fetchone()
        return int(found[0] or 0) if found else 0

    def ingest(self, segments: Sequence[Segment]) -> None:
        """Take what they hold and delete them; each is taken once, whatever is killed when. Raises
        NovaError; a segment that cannot be read is deleted all the same."""
        with self._changing:
            cursor = self._db.cursor()
            taken = {name for (name,) in cursor.execute("SELECT name FROM ingested").fetchall()}
            for segment in segments:
                if segment.name not in taken:
                    try:
                        self._take(cursor, segment)
                    except duckdb.Error as error:
                        known = _typed(error, 0.0)
                        if not isinstance(known, Invalid):
                            raise known from None
                        log.warning("rows that cannot be read are left out: %s", known.message)
                for path in segment.paths.values():
                    path.unlink(missing_ok=True)
            cursor.execute("DELETE FROM ingested")
            cursor.close()

    def _take(self, cursor: duckdb.DuckDBPyConnection, segment: Segment) -> None:
        cursor.execute("BEGIN")
        try:
            for name, path in segment.paths.items():
                cursor.execute(_insert(TABLES[name]), [str(path)])
            cursor.execute("INSERT INTO ingested VALUES (?)", [segment.name])
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
            raise

    # ------------------------------------------------------------ keep

    def keep(self, now: float) -> None:
        """Older days into Parquet, the oldest away. Raises NovaError."""
        with self._changing:
            try:
                self._keep(now)
            except duckdb.Error as error:
                raise _typed(error, 0.0) from None

    def _keep(self, now: float) -> None:
        path = self._folder / DATABASE
        self._db.execute("CHECKPOINT")  # only then the file has its size
        todo = plan(now, path.stat().st_size, self._rules)
        moved = [name for t in TABLES.values() for name in self._archive(t, todo.archive_before)]
        if moved:
            self._archived = sorted([*self._archived, *moved])
            self._define_views()
        with self._asking:
            if todo.start_again and not self._asked:
                # all that it held is in Parquet, and nobody is to take it for lost
                self._db.close()
                (self._folder / OPENED).unlink(missing_ok=True)
                path.unlink()
                self._connect()
        gone = surplus(now, path.stat().st_size, archives(self._folder), self._rules)
        if gone:
            self._archived = sorted({*self._archived} - {*gone})
            self._define_views()
            for name in gone:
                self._db.execute("DELETE FROM archived WHERE name = ?", [name])
                (self._folder / ARCHIVE / name).unlink(missing_ok=True)
        if moved or gone:
            self._db.execute("CHECKPOINT")

    def _archive(self, table: Table, before: int) -> list[str]:
        """Names of the new files."""
        run = self._db.execute
        days = run(
            f"SELECT DISTINCT epoch_us({table.at}) // {DAY_S * 1_000_000} AS day"
            f" FROM live_{table.name} WHERE day < {before} ORDER BY day"
        ).fetchall()
        names: list[str] = []
        for (day,) in days:
            name = f"{table.name}-{int(day):06d}-{time.time_ns() // 1000:x}.parquet"
            which = f"epoch_us({table.at}) // {DAY_S * 1_000_000} = {int(day)}"
            run(
                f"COPY (SELECT * FROM live_{table.name} WHERE {which} ORDER BY {table.at})"
                f" TO {_text(self._path(name))} (FORMAT parquet, COMPRESSION zstd)"
            )
            # a file that no row of `archived` names is deleted at the next start
            run("BEGIN")
            run(f"DELETE FROM live_{table.name} WHERE {which}")
            run("INSERT INTO archived VALUES (?)", [name])
            run("COMMIT")
            names.append(name)
        return names

    def _path(self, archive: str) -> str:
        return str(self._folder / ARCHIVE / archive)

    # ------------------------------------------------------------ out

    def query(
        self, sql: str, values: Sequence[Any], timeout_s: float, rows_max: int, emit: Emit
    ) -> bool:
        """Run one SELECT and `emit` what it gives; whether rows were left out. Raises Invalid,
        Overloaded (memory), Unavailable (code deadline), Broken
        and Corrupt."""
        with self._asking:
            self._asked += 1
            cursor = self._db.cursor()
        timer = threading.Timer(timeout_s, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            tree = cursor.execute(
                "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true)",
                [check_text(sql)],
            ).fetchone()
            check_tree(json.loads(tree[0]) if tree else None)
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            cursor.execute(sql, list(values))
            return _fetch(cursor, rows_max, emit)
        except duckdb.Error as error:
            raise _typed(error, timeout_s) from None
        finally:
            timer.cancel()
            with suppress(duckdb.Error):
                cursor.close()
            with self._asking:
                self._asked -= 1


def _fetch(cursor: duckdb.DuckDBPyConnection, rows_max: int, emit: Emit) -> bool:
    columns = [Column(str(d[0]), str(d[1])) for d in cursor.description or ()]
    emit(columns, [])
    left = rows_max
    while rows := cursor.fetchmany(min(FETCH_ROWS, left + 1)):
        emit(None, rows[:left])
        if len(rows) > left:
            return True
        left -= len(rows)
    return False


def _insert(table: Table) -> str:
    """From a file of lines."""
    lists = [c.name for c in table.columns if not c.shared]
    kinds = [
        f"{c.name}: '{'BIGINT' if c.type == TIME else c.type}{'' if c.shared else '[]'}'"
        for c in table.columns
    ]
    shown: list[str] = []
    for column in table.columns:
        name = value = column.name
        if not column.shared:
            same = f"list_resize({name}, rows, {name}[1])"
            value = f"unnest(CASE WHEN len({name}) = 1 THEN {same} ELSE {name} END)"
        shown.append(f"make_timestamp({value})" if column.type == TIME else value)
    return (
        f"INSERT INTO live_{table.name} SELECT {', '.join(shown)} FROM (SELECT *,"
        f" greatest({', '.join(f'len({name})' for name in lists)}) AS rows FROM read_json(?,"
        f" format = 'newline_delimited', ignore_errors = true,"
        f" maximum_object_size = {LINE_MAX_BYTES}, columns = {{{', '.join(kinds)}}}))"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _typed(error: duckdb.Error, timeout_s: float) -> NovaError:
    message = _first_line(error)
    if isinstance(error, duckdb.InterruptException):
        return Unavailable(
            f"the query did not end within {timeout_s:g} s",
            "ask for less: a shorter time, fewer tables, or a longer --timeout",
            "deadline",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return Overloaded(
            f"the query takes more memory than {MEMORY_LIMIT}", "ask for less at a time"
        )
    if isinstance(error, duckdb.FatalException):
        return Broken(f"the history has to be opened again: {message}", "ask again")
    if any(sign in message for sign in _PASSING):
        return Unavailable(f"the history cannot be written: {message}", "free some disk")
    if isinstance(error, _DAMAGE) or "Corrupt database file" in message:
        return Corrupt(
            f"the history is damaged: {message}", "ask again: it is made again from the journal"
        )
    return Invalid(message, "see docs/metrics.md for the tables")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]
