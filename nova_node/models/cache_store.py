"""Answers of models in the host's database: by key, or by vector within a scope. Bounded in rows, bytes and
age; the oldest go first.

Rules: what is put is found at once and written soon, many at a time, and nobody waits for it; a key that
is not there costs no query.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from nova_node.models.database import Database
from nova_node.models.vectors import WORDS, Packed, cosine

BODY_MAX_CHARS = 64 << 10
"""Longer answers are not kept."""
ROWS_MAX = 100_000
TRIM = 0.1
"""The part that goes when there is no room."""
AT_ONCE = 64
CANDIDATES = 32
FLUSH_S = 0.25
"""A write takes milliseconds, however much it writes."""
KEPT_S = 86_400.0
EXPIRE_EVERY_S = 600.0
PENDING_MAX = 1_000
"""Of a file that cannot be written; more are not kept."""
ROW_BYTES = 200
"""What a row takes beside its text and vector."""

COLUMNS = 6 + WORDS
_MADE_AT, _BODY = 2, 4
_PUT = "INSERT OR REPLACE INTO answers VALUES "
_ROW = f"({', '.join('?' * COLUMNS)})"
_APART = " + ".join(f"bit_count(xor(bits{n}, ?))::INTEGER" for n in range(WORDS))
_NEAR = (
    "SELECT key FROM answers WHERE scope = ? AND made_at > ? AND vector IS NOT NULL"
    f" ORDER BY {_APART}, key LIMIT {CANDIDATES}"
)


class Near(NamedTuple):
    body: str
    similarity: float


class Answers:
    def __init__(self, database: Database, rows_max: int = ROWS_MAX) -> None:
        self._database, self._rows_max = database, rows_max
        #: older rows are deleted now and then
        self.kept_s = KEPT_S
        self._expire_at = 0.0
        self._lock = threading.Lock()
        #: what is not written yet, and what is being written
        self._pending: dict[str, tuple[Any, ...]] = {}
        self._writing: dict[str, tuple[Any, ...]] = {}
        self._timer: threading.Timer | None = None
        #: of the database as it was opened last; of keys their hashes, and some that are gone
        self._times = self._rows = self._bytes = 0
        self._known: set[int] = set()

    async def get(self, keys: Sequence[str], since: float) -> str | None:
        """That of the first key that has one made after `since`."""

        with self._lock:
            for key in keys:
                row = self._pending.get(key) or self._writing.get(key)
                if row and row[_MADE_AT] > since:
                    return row[_BODY]
        if not self._database.is_there:
            return None
        if not self._times or self._times != self._database.times:
            await self._database.read(self._learn, None)
        wanted = [key for key in keys if hash(key) in self._known]

        def work(db: Any) -> dict[str, str]:
            marks = ", ".join("?" * len(wanted))
            sql = f"SELECT key, body FROM answers WHERE key IN ({marks}) AND made_at > ?"
            return dict(db.execute(sql, [*wanted, since]).fetchall())

        found = await self._database.read(work, {}) if wanted else {}
        return next((found[key] for key in wanted if key in found), None)

    async def near(self, scope: str, vector: Packed, since: float) -> Near | None:
        """The answer whose question was most alike."""

        def work(db: Any) -> Near | None:
            rows = db.execute(_NEAR, [scope, since, *vector.bits]).fetchall()
            if not rows:
                return None
            marks = ", ".join("?" * len(rows))
            sql = f"SELECT key, vector FROM answers WHERE key IN ({marks})"
            ranked = db.execute(sql, [key for (key,) in rows]).fetchall()
            similarity, key = max((cosine(vector.body, body), key) for key, body in ranked)
            ((body,),) = db.execute("SELECT body FROM answers WHERE key = ?", [key]).fetchall()
            return Near(body, similarity)

        self.flush()
        return await self._database.read(work, None) if self._database.is_there else None

    def put(
        self, key: str, scope: str, body: str, made_at: float, vector: Packed | None = None
    ) -> None:
        if len(body) > BODY_MAX_CHARS or len(self._pending) >= PENDING_MAX:
            return
        bits = vector.bits if vector else (None,) * WORDS
        size = ROW_BYTES + len(body.encode()) + len(vector.body if vector else b"")
        row = (key, scope, made_at, size, body, *bits, vector.body if vector else None)
        with self._lock:
            self._pending[key] = row
            self._known.add(hash(key))
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Soon is now."""
        with self._lock:
            timer, self._timer = self._timer, None
            waits = bool(self._pending)
        if timer is not None:
            timer.cancel()
        if waits:
            self._database.write(self._flush)

    # ------------------------------------------------------------ in the database's thread

    def _flush(self, db: Any) -> None:
        with self._lock:
            self._writing, self._pending = self._pending, {}
        try:
            self._write(db, [*self._writing.values()])
        finally:
            with self._lock:
                self._writing = {}

    def _write(self, db: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        for at in range(0, len(rows), AT_ONCE):
            part = rows[at : at + AT_ONCE]
            db.execute(_PUT + ", ".join([_ROW] * len(part)), [each for row in part for each in row])
        self._rows += len(rows)
        self._bytes += sum(row[3] for row in rows)
        self._expire(db, max(row[_MADE_AT] for row in rows))
        self._trim(db)

    def _expire(self, db: Any, now: float) -> None:
        """What nobody may be given any more."""
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_EVERY_S
            db.execute("DELETE FROM answers WHERE made_at < ?", [now - self.kept_s])
            self._learn(db)

    def _trim(self, db: Any) -> None:
        cap = self._database.cap_bytes
        fits = self._rows <= self._rows_max and self._bytes <= cap
        if fits and self._times == self._database.times:
            return
        self._learn(db)
        while self._rows > self._rows_max or self._bytes > cap:
            part = max(1, int(self._rows * TRIM))
            db.execute(
                "DELETE FROM answers WHERE key IN"
                f" (SELECT key FROM answers ORDER BY made_at, key LIMIT {part})"
            )
            self._learn(db)

    def _learn(self, db: Any) -> None:
        """What there is, of a database that was opened or trimmed."""
        keys = db.execute("SELECT key FROM answers").fetchall()
        with self._lock:
            self._known = {hash(key) for (key,) in keys} | {*map(hash, self._pending)}
        self._times = self._database.times
        sql = "SELECT count(*), coalesce(sum(size_bytes), 0)::BIGINT FROM answers"
        ((self._rows, self._bytes),) = db.execute(sql).fetchall()
