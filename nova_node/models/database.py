"""The DuckDB file of the host, `models.duckdb`: the one place of the host that loads DuckDB, when something
is kept or looked for. One thread works on it, in order.

Rule: a cache is no truth. A file that cannot be read is set aside and begun anew, and whoever asked it
finds nothing; no failure of it is a failure of a task.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("nova.models")

NAME = "models.duckdb"
ASIDE = ".damaged"
VERSION = 1
PAUSE_S = 30.0
"""Before a file that cannot be opened for now is tried again."""

ROOM_BYTES = 256 << 20
"""For functions, and for what DuckDB has not freed yet."""

ROW_GROUP = 2048
"""All of a group has to fit in memory, with answers as long as they may be."""

_PASSING = (
    "Could not set lock",
    "No space left",
    "Could not write",
    "Permission denied",
    "Cannot open file",
)
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "256MB",
    "temp_directory": "",
    "preserve_insertion_order": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}

TABLES = (
    "answers (key VARCHAR PRIMARY KEY, scope VARCHAR, made_at DOUBLE, size_bytes BIGINT, body VARCHAR,"
    " bits0 UBIGINT, bits1 UBIGINT, bits2 UBIGINT, bits3 UBIGINT, vector BLOB)",
    "functions (key VARCHAR PRIMARY KEY, person VARCHAR, name VARCHAR, signature VARCHAR, about VARCHAR,"
    " source VARCHAR, made_at DOUBLE, passed INTEGER, embedder VARCHAR, vector BLOB)",
)

Work = Callable[[Any], T]


class Database:
    """`cap_bytes` bounds the file: one that has grown past twice of it is begun anew."""

    def __init__(self, path: Path, cap_bytes: int) -> None:
        self.path, self.cap_bytes = path, cap_bytes
        #: how often it was opened or begun anew: what is known of its content is of one time
        self.times = 0
        self._thread = ThreadPoolExecutor(1, "models-db")
        self._db: Any = None
        self._closed = self._written = False
        self._not_before = 0.0

    @property
    def is_there(self) -> bool:
        return self._written or self._db is not None or self.path.exists()

    async def read(self, work: Work[T], otherwise: T) -> T:
        """What `work` makes of a connection, or `otherwise` when it cannot."""
        if self._closed:
            return otherwise
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._try, work, otherwise)

    def write(self, work: Work[None]) -> None:
        """Soon. Whoever reads after that finds it; nobody is told when it cannot be."""
        if not self._closed:
            self._written = True
            self._thread.submit(self._try, work, None)

    def close(self) -> None:
        """After all that was begun."""
        self._closed = True
        self._thread.submit(self._close)
        self._thread.shutdown()

    # ------------------------------------------------------------ in the thread

    def _try(self, work: Work[T], otherwise: T) -> T:
        if self._db is None and time.monotonic() < self._not_before:
            return otherwise
        import duckdb

        try:
            if self._db is None:
                self._open()
            return work(self._db)
        except (duckdb.Error, OSError, RuntimeError) as error:
            self._failed(error, isinstance(error, _damage(duckdb)))
            return otherwise

    def _failed(self, error: Exception, damaged: bool) -> None:
        first = str(error).partition("\n")[0][:300]
        if isinstance(error, OSError) or any(sign in str(error) for sign in _PASSING):
            log.warning("answers of models are not kept for now: %s", first)
            self._not_before = time.monotonic() + PAUSE_S
            self._close()
        elif damaged:
            log.warning("%s is set aside and begun anew: %s", NAME, first)
            self._close()
            self._set_aside()
        else:
            log.warning("%s: %s", NAME, first)

    def _open(self) -> None:
        """Of a file that cannot be read, a new one. Raises duckdb.Error, OSError."""
        import duckdb

        with suppress(FileNotFoundError):
            if self.path.stat().st_size > 2 * self.cap_bytes + ROOM_BYTES:
                self.path.unlink()
        try:
            self._connect()
        except (duckdb.Error, RuntimeError) as error:
            self._close()
            if any(sign in str(error) for sign in _PASSING):
                raise
            log.warning("%s cannot be read and is begun anew: %s", NAME, str(error)[:300])
            self._set_aside()
            self._connect()
        self.times += 1

    def _connect(self) -> None:
        import duckdb

        self._db = duckdb.connect(":memory:", config=_CONFIG)
        run = self._db.execute
        where = str(self.path).replace("'", "''")
        run(f"ATTACH '{where}' AS kept (ROW_GROUP_SIZE {ROW_GROUP})")
        os.chmod(self.path, 0o600)
        run("USE kept")
        run("CREATE TABLE IF NOT EXISTS meta (version INTEGER)")
        if run("SELECT count(*) FROM meta").fetchall() == [(0,)]:
            run("INSERT INTO meta VALUES (?)", [VERSION])
        if run("SELECT version FROM meta").fetchall() != [(VERSION,)]:
            raise RuntimeError("it is of another version")
        for table in TABLES:
            run(f"CREATE TABLE IF NOT EXISTS {table}")

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(Exception):
                db.close()

    def _set_aside(self) -> None:
        """Of several only the latest is kept, for whoever wants to look."""
        for end in ("", ".wal"):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}{end}", f"{self.path}{end}{ASIDE}")


def _damage(duckdb: Any) -> tuple[type[Exception], ...]:
    """What DuckDB raises when its file is not what it should be, or it can no longer go on."""
    return (
        duckdb.FatalException,
        duckdb.InternalException,
        duckdb.SerializationException,
        duckdb.IOException,
    )
