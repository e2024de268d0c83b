"""Functions that models wrote, in the host's database: each once for a person. Bounded in number."""

from __future__ import annotations

from typing import Any, NamedTuple

from nova_node.models.database import Database

ROWS_MAX = 10_000
OF_A_PERSON_MAX = 1_000
"""The newest are kept."""

_COLUMNS = "name, signature, about, source, made_at, passed, embedder, vector"


class Kept(NamedTuple):
    name: str
    signature: str
    #: what it was to do, in its submitter's words
    about: str
    source: str
    made_at: float
    #: how often it was written and passed its checks
    passed: int
    #: name of the model that `vector` is of
    embedder: str
    vector: bytes | None


class Functions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, person: str) -> list[Kept]:
        """The newest first."""

        def work(db: Any) -> list[Kept]:
            sql = f"SELECT {_COLUMNS} FROM functions WHERE person = ? ORDER BY made_at DESC, key"
            rows = db.execute(f"{sql} LIMIT {OF_A_PERSON_MAX}", [person]).fetchall()
            return [Kept(*row) for row in rows]

        return await self._database.read(work, []) if self._database.is_there else []

    def put(self, key: str, person: str, kept: Kept) -> None:
        """One that is there already is counted, and told of anew."""

        def work(db: Any) -> None:
            found = db.execute("SELECT passed FROM functions WHERE key = ?", [key]).fetchall()
            row = kept._replace(passed=found[0][0] + 1 if found else 1)
            marks = ", ".join("?" * (2 + len(row)))
            columns = f"(key, person, {_COLUMNS})"
            sql = f"INSERT OR REPLACE INTO functions {columns} VALUES ({marks})"
            db.execute(sql, [key, person, *row])
            _trim(db, "WHERE person = ?", [person], OF_A_PERSON_MAX)
            _trim(db, "", [], ROWS_MAX)

        self._database.write(work)


def _trim(db: Any, where: str, values: list[str], most: int) -> None:
    db.execute(
        "DELETE FROM functions WHERE key IN (SELECT key FROM functions"
        f" {where} ORDER BY made_at DESC, key OFFSET {most})",
        values,
    )
