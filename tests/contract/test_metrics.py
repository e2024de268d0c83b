"""What a node's history promises: the spool, the database, and the process between them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from nova_node.adapters.metrics_duckdb import Column, Store
from nova_node.adapters.metrics_files import ARCHIVE, ASIDE, DATABASE, archives, segments
from nova_node.adapters.metrics_frames import Kind
from nova_node.adapters.metrics_main import rows_json
from nova_node.adapters.metrics_process import History
from nova_node.adapters.metrics_spool import Spool
from nova_node.core.errors import Corrupt, Invalid, NovaError, Overloaded, Unavailable
from nova_node.metrics import stats
from nova_node.metrics.keeping import DAY_S, Rules
from nova_node.metrics.pools import Pool
from nova_node.metrics.samples import Gauges, Rate, Sample
from nova_node.metrics.series import SERIES, series_sql
from nova_node.metrics.tables import TABLES, Line, micros

MARK = os.urandom(32).hex().encode()
ME = "k7q2m9xdk7q2m9xd"
PEER = "zzzzzzzzzzzzzzzz"
NOW = time.time()
EVERYTHING = "99"


def ended(*nos: int, at: float = NOW, **changes: Any) -> tuple[str, Line]:
    """One line of tasks."""
    line: dict[str, Any] = {
        "batch": 1,
        "capability": "a.run",
        "phase": "run",
        "submitter": "",
        "priority": 5,
        "durability": "journaled",
        "accepted_at": micros(at) - 2_000_000,
        "seq": list(nos),
        "ended_at": [micros(at)] * len(nos),
        "no": list(nos),
        "parent_no": [0] * len(nos),
        "status": ["done"] * len(nos),
        "worker": [ME] * len(nos),
        "attempts": [1] * len(nos),
        "started_at": [micros(at) - 1_000_000] * len(nos),
        "elapsed_us": [1_000_000],
        "code": [""],
        "failed_at": [None] * len(nos),
    }
    return "tasks", {**line, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    spool = Spool(folder, 1)
    spool.open()
    yield spool
    spool.close()


@pytest.fixture
def open_store(folder: Path) -> Iterator[Callable[..., Store]]:
    """The one store; each call is that of the next process."""
    opened: list[Store] = []

    def make(rules: Rules = Rules()) -> Store:  # noqa: B008
        while opened:
            opened.pop().close()
        opened.append(Store(folder, ME, rules))
        opened[-1].open()
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def ask(store: Store, sql: str, timeout_s: float = 5.0, rows_max: int = 10_000) -> list[Any]:
    found: list[Any] = []

    def emit(columns: list[Column] | None, rows: list[tuple[Any, ...]]) -> None:
        found.extend(rows)

    store.query(sql, (), timeout_s, rows_max, emit)
    return found


def take_in(store: Store, spool: Spool, folder: Path) -> None:
    store.ingest(segments(folder, spool.rotate().result(10)))


# ---------------------------------------------------------------- from the spool into the database


def test_what_was_put_is_found(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    sample = Sample(NOW, 1.0, Gauges(lag_ms=2.5), 3, 0, 0, (Rate("a.run", 3, 0, 0.1, 0.2, 0.3),))
    pools = (Pool("host", 1), Pool("science", waiting=2))
    sample = sample._replace(pools=pools)
    spool.put([ended(1, 2, worker=[ME, PEER]), *sample.lines()])
    take_in(store, spool, folder)
    assert ask(store, "SELECT id, away, code, failed_at FROM tasks ORDER BY no") == [
        (f"{ME[:8]}-1", False, "", None),
        (f"{ME[:8]}-2", True, "", None),
    ]
    assert ask(store, "SELECT lag_ms, done FROM samples") == [(2.5, 3)]
    assert ask(store, "SELECT capability, elapsed_max_s FROM rates") == [("a.run", 0.2)]
    assert ask(store, "SELECT image, warm, waiting FROM pools ORDER BY image") == [
        ("host", 1, 0),
        ("science", 0, 2),
    ]
    assert ask(store, "SELECT epoch_us(ended_at) FROM tasks LIMIT 1") == [(micros(NOW),)]
    recent = "SELECT count(*) FROM tasks WHERE ended_at > now()::TIMESTAMP - INTERVAL 1 HOUR"
    assert ask(store, recent) == [(2,)]


def test_a_segment_is_taken_once_whenever_the_process_dies(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    spool.put([ended(1)])
    (segment,) = segments(folder, spool.rotate().result(10))
    kept = {path: path.read_bytes() for path in segment.paths.values()}
    store = open_store()
    store.ingest([segment])
    assert not any(path.exists() for path in kept)

    # as if it had been killed between the commit and the deletion
    for path, data in kept.items():
        path.write_bytes(data)
    store.ingest([])  # forgets nothing that is still there
    store._db.execute("INSERT INTO ingested VALUES (?)", [segment.name])  # pyright: ignore[reportPrivateUsage]
    store = open_store()
    store.ingest(segments(folder, EVERYTHING))
    assert ask(store, "SELECT count(*) FROM tasks") == [(1,)]
    assert segments(folder, EVERYTHING) == []


def test_a_cut_line_costs_itself_only(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    spool.put([ended(1)])
    (segment,) = segments(folder, spool.rotate().result(10))
    with segment.paths["tasks"].open("ab") as file:
        file.write(b'{"batch":1,"no":[1,')
    spool.put([ended(2)])
    store = open_store()
    take_in(store, spool, folder)
    assert ask(store, "SELECT no FROM tasks ORDER BY no") == [(1,), (2,)]


def test_names_with_quotes_and_newlines_arrive_whole(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    odd = "a'); DROP TABLE live_tasks; --\"\n\\\u202e"
    spool.put([ended(1, capability=odd)])
    store = open_store()
    take_in(store, spool, folder)
    assert ask(store, "SELECT capability FROM tasks") == [(odd,)]


# ---------------------------------------------------------------- the spool


def test_what_does_not_fit_is_dropped_and_counted(folder: Path) -> None:
    spool = Spool(folder, 1, waiting_max_rows=4)
    assert not spool.put([ended(1)]), "it is not open"
    spool.open()
    try:
        assert not spool.put([ended(1, 2, 3, 4, 5)])
        assert spool.dropped == 6
        assert spool.put([ended(6)])
        assert [s.name for s in segments(folder, spool.rotate().result(10))]
    finally:
        spool.close()


def test_who_no_longer_waits_for_a_rotation_stops_nobody(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    spool.open()
    try:
        for _ in range(50):
            spool.rotate().cancel()
        assert spool.rotate().result(timeout=5.0)
    finally:
        spool.close()


def test_a_disk_that_takes_nothing_costs_rows_and_nothing_else(spool: Spool, folder: Path) -> None:
    spool.rotate().result(10)
    (folder / "spool").rmdir()
    spool.put([ended(1, 2)])
    spool.put([("tasks", {"no": [object()]})])
    spool.rotate().result(10)
    assert spool.dropped == 3
    (folder / "spool").mkdir()
    spool.put([ended(3)])
    before = spool.rotate().result(10)
    assert len(segments(folder, before)) == 1


def test_it_remembers_the_last_event_and_never_repeats_a_name(folder: Path) -> None:
    names = list[str]()
    for incarnation, expected in ((1, 0), (2, 17)):
        spool = Spool(folder, incarnation)
        assert spool.open() == expected
        spool.put([ended(1)], seq=17)
        names.append(spool.rotate().result(10))
        names.append(spool.rotate().result(10))
        spool.close()
    assert names == sorted(names)
    assert len(set(names)) == 2, "nothing was put between two rotations"
    assert len(segments(folder, EVERYTHING)) == 2


def test_what_will_be_projected_again_is_forgotten(spool: Spool, folder: Path) -> None:
    spool.put([ended(1), *Sample(NOW, 1.0, Gauges(), 0, 0, 0, ()).lines()])
    spool.rotate().result(10)
    spool.put([ended(2)])
    spool.forget(["tasks"])
    before = spool.rotate().result(10)
    assert [list(each.paths) for each in segments(folder, before)] == [["samples"]]


# ---------------------------------------------------------------- days, Parquet, and the cap


def test_older_days_are_parquet_and_still_there(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    for day in range(5):
        spool.put([ended(day + 1, at=NOW - day * DAY_S)])
    take_in(store, spool, folder)
    store.keep(NOW)
    assert len(archives(folder)) == 3
    question = "SELECT no, id FROM tasks WHERE status = 'done' ORDER BY no"
    five = [(no, f"{ME[:8]}-{no}") for no in range(1, 6)]
    assert ask(store, question) == five
    assert ask(open_store(), question) == five


def test_what_was_written_and_not_counted_is_no_row(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    spool.put([ended(1, at=NOW - 5 * DAY_S)])
    take_in(store, spool, folder)
    store.keep(NOW)
    (archive,) = archives(folder)
    path = folder / ARCHIVE / archive.name
    path.with_name("tasks-000001-f.parquet").write_bytes(path.read_bytes())
    assert ask(open_store(), "SELECT count(*) FROM tasks") == [(1,)]
    assert archives(folder) == [archive]


def test_the_folder_stays_under_its_cap(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    rules = Rules(cap_bytes=3 << 20)
    store = open_store(rules)
    first = 0
    for day in range(6, 0, -1):
        for _ in range(4):
            nos = range(first, first + 4_000)
            first += 4_000
            # not to be compressed away
            codes = [os.urandom(24).hex() for _ in nos]
            spool.put([ended(*nos, at=NOW - day * DAY_S, code=codes)])
        take_in(store, spool, folder)
        store.keep(NOW)
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert used < rules.cap_bytes + (2 << 20)
    ((count, newest),) = ask(store, "SELECT count(*), max(no) FROM tasks")
    assert 0 < count < first
    assert newest == first - 1, "the oldest go first"


# ---------------------------------------------------------------- damage


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 3])
        case "zeroed":
            path.write_bytes(bytes(len(data)))
        case "overwritten":
            path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
        case "flipped":  # the rows, but not what is read when it is opened
            at = data.index(MARK)
            data[at : at + len(MARK)] = bytes(len(MARK))
            path.write_bytes(data)
        case "empty":
            path.write_bytes(b"")
        case _:
            path.unlink()


@pytest.mark.parametrize(
    "how", ["truncated", "zeroed", "overwritten", "flipped", "empty", "deleted"]
)
def test_a_damaged_database_is_set_aside_and_made_again(
    folder: Path, spool: Spool, how: str
) -> None:
    rebuilt: list[int] = []
    codes = [os.urandom(32).hex() for _ in range(1_999)]
    rows = ended(*range(1, 2_001), code=[MARK.decode(), *codes])

    async def scene() -> None:
        history = History(folder, ME, Rules(), spool)

        async def lost(last_seq: int) -> None:
            rebuilt.append(last_seq)
            spool.forget(["tasks", "events", "members"])
            spool.put([rows])

        history.on_lost = lost
        spool.put([rows])
        question = "SELECT count(*), sum(hash(worker, code, elapsed_s)) > 0 FROM tasks"
        assert await history.rows(question) == [[2_000, True]]
        await history.stop()
        damage(folder / DATABASE, how)

        again = History(folder, ME, Rules(), spool)
        again.on_lost = lost
        try:
            with suppress(Corrupt):  # found while it was read: told once
                await again.rows(question)
            assert await again.rows(question) == [[2_000, True]]
        finally:
            await again.stop()

    asyncio.run(scene())
    assert rebuilt == [0]
    assert (folder / ASIDE / DATABASE).exists() == (how != "deleted")


def test_archives_outlive_the_database(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    events: dict[str, Any] = {c.name: [0] for c in TABLES["events"].columns}
    events |= {"time": [micros(NOW - 5 * DAY_S)], "seq": [41], "detail": ["{}"]}
    spool.put([ended(1, at=NOW - 5 * DAY_S), ("events", events)])
    take_in(store, spool, folder)
    store.keep(NOW)
    store.close()
    damage(folder / DATABASE, "zeroed")
    store = open_store()
    assert store.lost
    assert store.last_seq() == 41
    assert ask(store, "SELECT no FROM tasks") == [(1,)]


def test_a_damaged_archive_costs_itself_only(
    spool: Spool, folder: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    spool.put([ended(1, at=NOW - 5 * DAY_S), ended(2, at=NOW - 6 * DAY_S), ended(3)])
    take_in(store, spool, folder)
    store.keep(NOW)
    damage(folder / ARCHIVE / archives(folder)[0].name, "truncated")
    store = open_store()
    assert not store.lost
    assert ask(store, "SELECT no FROM tasks ORDER BY no") == [(1,), (3,)]


# ---------------------------------------------------------------- hostile SQL


@pytest.fixture
def store(spool: Spool, folder: Path, open_store: Callable[..., Store]) -> Store:
    store = open_store()
    for first in range(0, 20_000, 4_000):
        spool.put([ended(*range(first, first + 4_000))])
    take_in(store, spool, folder)
    return store


REFUSED = [
    "",
    " ;",
    "SELECT",
    "SELECT 1; SELECT 2",
    "ATTACH 'other.db'",
    "DETACH history",
    "COPY tasks TO 'out.csv'",
    "COPY (SELECT 1) TO 'out.parquet' (FORMAT parquet)",
    "EXPORT DATABASE 'out'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '9GB'",
    "RESET memory_limit",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP MACRO m() AS 1",
    "DROP VIEW tasks",
    "INSERT INTO live_tasks SELECT * FROM live_tasks",
    "DELETE FROM live_tasks",
    "UPDATE live_tasks SET code = ''",
    "WITH x AS (INSERT INTO ingested VALUES ('x') RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM ingested RETURNING *) SELECT * FROM x",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "PREPARE v AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "SHOW TABLES",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('*')",
    "SELECT * FROM read_parquet('*')",
    "SELECT * FROM read_json('*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'archive/tasks.parquet'",
    'SELECT * FROM "history.duckdb"',
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM tasks WHERE code IN (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 UNION ALL SELECT count(*) FROM glob('*')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM live_tasks",
    "SELECT * FROM ingested",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('live_tasks')",
    "SELECT current_setting('memory_limit')",
    "SELECT getvariable('x')",
    "SELECT nextval('s')",
    "SELECT write_log('x')",
    "SELECT * FROM postgres_scan('', '', '')",
    "SELECT no_such_column FROM tasks",
    "SELECT 1/*" + "*" * 30_000 + "*/",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT '\0'",
    "\u202eSELECT 1",
]


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_anything_but_a_select_over_the_tables_is_refused(
    store: Store, folder: Path, sql: str
) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(Invalid) as refused:
        ask(store, sql)
    assert refused.value.fix
    assert ask(store, "SELECT count(*) FROM tasks") == [(20_000,)]
    assert sorted(path.name for path in folder.rglob("*")) == before


ALLOWED = [
    "SELECT 1",
    "FROM tasks LIMIT 1",
    "SELECT * FROM main.tasks LIMIT 1",
    "DESCRIBE tasks",
    "SUMMARIZE samples",
    "WITH t AS (SELECT no FROM tasks), u AS (FROM t) SELECT count(*) FROM u",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) FROM n",
    "SELECT a.no FROM tasks a JOIN tasks b USING (no) WHERE a.no < 5 ORDER BY ALL",
    "SELECT capability, count(*) OVER (PARTITION BY phase) FROM tasks LIMIT 3",
    "SELECT * FROM range(3), generate_series(1, 2)",
    "SELECT detail->>'$.code' FROM events",
    "SELECT time_bucket(INTERVAL 1 MINUTE, ended_at) AS m, count(*) FROM tasks GROUP BY ALL",
    "SELECT quantile_cont(elapsed_s, [0.5, 0.95]) FROM tasks",
    "VALUES (1), (2)",
    "(SELECT no FROM tasks LIMIT 1) UNION (SELECT 7)",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_ordinary_questions_are_answered(store: Store, sql: str) -> None:
    ask(store, sql)


def test_what_takes_too_long_is_stopped(store: Store) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not end") as stopped:
        ask(
            store,
            "SELECT count(*) FROM tasks a, tasks b, tasks c WHERE a.no * b.no % 7 < c.no % 3",
            0.3,
        )
    assert stopped.value.code == "deadline"
    assert time.monotonic() - began < 5.0
    assert ask(store, "SELECT count(*) FROM tasks") == [(20_000,)]


def test_what_takes_too_much_memory_is_stopped(store: Store) -> None:
    with pytest.raises(Overloaded):
        ask(store, "SELECT list(a.id || b.id) FROM tasks a, tasks b", 20.0)
    assert ask(store, "SELECT count(*) FROM tasks") == [(20_000,)]


def test_rows_are_capped_and_it_is_told(store: Store) -> None:
    def count(rows_max: int) -> tuple[bool, int]:
        seen: list[Any] = []
        cut = store.query(
            "SELECT no FROM tasks", (), 5.0, rows_max, lambda _, rows: seen.extend(rows)
        )
        return cut, len(seen)

    assert count(700) == (True, 700)
    assert count(20_000) == (False, 20_000)


# ---------------------------------------------------------------- the process


def test_a_process_that_ignores_the_clock_is_killed_and_comes_back(
    folder: Path, spool: Spool
) -> None:
    async def scene() -> None:
        history = History(folder, ME, Rules(), spool)
        try:
            assert history.pid == 0, "it is started by the first question"
            spool.put([ended(1)])
            assert await history.rows("SELECT count(*) FROM tasks") == [[1]]
            pid = history.pid
            began = time.monotonic()
            with pytest.raises(NovaError) as stopped:
                await history.rows("SELECT repeat('x', 900000000) FROM range(1000)", (), 0.2)
            assert stopped.value.code in ("deadline", "overloaded", "unavailable")
            assert time.monotonic() - began < 10.0
            spool.put([ended(2)])
            assert await history.rows("SELECT count(*) FROM tasks") == [[2]]
            os.kill(history.pid, 9)
            await history.gone()
            assert await history.rows("SELECT count(*) FROM tasks") == [[2]]
            assert history.pid not in (0, pid)
        finally:
            await history.stop()

    asyncio.run(scene())


def test_it_leaves_when_nobody_asks(folder: Path, spool: Spool) -> None:
    async def scene() -> None:
        history = History(folder, ME, Rules(), spool, idle_s=0.05)
        try:
            spool.put([ended(1)])
            await history.take_in()
            pid = history.pid
            await history.gone()
            assert await history.rows("SELECT count(*) FROM tasks") == [[1]]
            assert history.pid != pid
        finally:
            await history.stop()

    asyncio.run(scene())


def test_questions_at_once_are_answered_each_by_its_own(folder: Path, spool: Spool) -> None:
    async def scene() -> None:
        history = History(folder, ME, Rules(), spool)
        try:
            asked = [history.rows(f"SELECT {n}, count(*) FROM range({n})") for n in range(8)]
            assert await asyncio.gather(*asked) == [[[n, n]] for n in range(8)]
            frames: list[Kind] = []
            async with aclosing(history.ask("SELECT * FROM range(1200)")) as answer:
                async for frame in answer:
                    frames.append(frame.kind)
            assert frames == [Kind.COLUMNS, Kind.ROWS, Kind.ROWS, Kind.ROWS, Kind.END]
        finally:
            await history.stop()

    asyncio.run(scene())


def test_an_answer_is_bounded_in_bytes(folder: Path, spool: Spool) -> None:
    async def scene() -> None:
        history = History(folder, ME, Rules(), spool)
        try:
            for sql in (
                "SELECT repeat('x', 2000000)",
                "SELECT repeat('x', 10000) FROM range(5000)",
            ):
                with pytest.raises(Overloaded):
                    await history.rows(sql)
        finally:
            await history.stop()

    asyncio.run(scene())


def test_its_own_questions_are_such_as_it_allows(folder: Path, spool: Spool) -> None:
    async def scene() -> None:
        history = History(folder, ME, Rules(), spool)
        begin, end = NOW - 100.0, NOW + 100.0
        rate = Rate("a.run", 3, 1, 0.1, 0.2, 0.3)
        gauges = Gauges(slots=4, slots_free=1)
        spool.put(Sample(NOW, 1.0, gauges, 3, 1, 1, (rate,)).lines())
        spool.put(
            [
                ended(
                    1, 2, 3, 4,
                    status=["done", "done", "failed", "done"],
                    worker=[ME, PEER, PEER, PEER],
                    failed_at=[None, micros(NOW) - 4_000_000, None, None],
                    parent_no=[0, 0, 0, 1],
                )
            ]
        )  # fmt: skip
        try:
            (row,) = await history.rows(stats.SQL, stats.sql_values(begin, end))
            assert stats.Sums(*row) == stats.Sums(3, 2, 1, 0, 1, 4.0, 4, 3, 4.0, 3.0)
            values = dict[str, float]()
            for name in SERIES:
                sql, given = series_sql(name, "", begin, end, 10.0)
                ((_, values[name]),) = await history.rows(sql, given)
            assert values["busy"] == 3.0
            assert round(values["rate"], 6) == 0.4
            assert round(values["latency"], 6) == 0.1
            sql, given = series_sql("rate", "a.other", begin, end, 10.0)
            assert await history.rows(sql, given) == []
        finally:
            await history.stop()

    asyncio.run(scene())


def test_values_of_every_kind_become_json(store: Store) -> None:
    row = ask(
        store,
        "SELECT 'nan'::DOUBLE, 'inf'::DOUBLE, TIMESTAMP '2026-01-02 03:04:05', DATE '2026-01-02',"
        " INTERVAL 90 SECOND, 1.50::DECIMAL(9,2), MAP {'a': 1}, [1, NULL], {'b': 'c'}, '\\xAA'::BLOB,"
        " true, 170141183460469231731687303715884105727::HUGEINT, NULL",
    )
    assert json.loads(rows_json(row)) == [
        [
            None,
            None,
            "2026-01-02T03:04:05",
            "2026-01-02",
            90.0,
            "1.50",
            {"a": 1},
            [1, None],
            {"b": "c"},
            "qg==",
            True,
            170141183460469231731687303715884105727,
            None,
        ]
    ]
