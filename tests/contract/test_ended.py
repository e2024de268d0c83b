"""The history asked for ended tasks: what SQL finds is what the filter lets pass, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nova_client import Invalid, ended_sql, filters
from nova_client.ended import EndedPage, EndedTask, fields_of, paged

from nova_node.adapters.metrics_duckdb import Column, Store
from nova_node.metrics.keeping import Rules
from nova_node.metrics.tables import TASKS

OWNERS = ("k7q2m9xdaaaaaaaa", "p3birch0bbbbbbbb")
WORKERS = ("k7q2m9xdaaaaaaaa", "p3birch0bbbbbbbb", "gone5678cccccccc", "")
NAMES = {OWNERS[0]: "Birch-'1", OWNERS[1]: "ash_%"}
CODES = ("", "", "timed_out", "capability_failed")
COUNT = 60
BEGIN_US = 1_800_000_000_000_000


def row(no: int) -> dict[str, Any]:
    failed = CODES[no % 4] != ""
    return {
        "seq": 1000 + no,
        "batch": 1,
        "capability": ("text.grep", "text.wordcount", "core.echo")[no % 3],
        "phase": ("run", "run", "split", "merge")[no % 4] if no % 5 == 0 else "run",
        "submitter": "",
        "priority": 5,
        "durability": "journaled",
        # many share a time
        "accepted_at": BEGIN_US + no // 16 * 1_000_001,
        "ended_at": BEGIN_US + no * 10_000_000,
        "no": no,
        "parent_no": 1 if no % 5 == 0 else 0,
        "status": "failed" if failed else ("cancelled" if no % 7 == 0 else "done"),
        "worker": WORKERS[no % 4 if no % 3 else 3],
        "attempts": 1 if no % 3 else 0,
        "started_at": BEGIN_US + no if no % 3 else None,
        "elapsed_us": 5,
        "code": CODES[no % 4],
        "failed_at": None,
    }


def insert(store: Store, rows: list[dict[str, Any]]) -> None:
    places = ", ".join(
        "make_timestamp(?::BIGINT)" if column.type == "TIMESTAMP" else "?"
        for column in TASKS.columns
    )
    store._db.executemany(  # pyright: ignore
        f"INSERT INTO live_tasks VALUES ({places})",
        [[each[column.name] for column in TASKS.columns] for each in rows],
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    made: list[Store] = []
    for owner in OWNERS:
        folder: Path = tmp_path_factory.mktemp(owner)
        store = Store(folder, owner, Rules())
        store.open()
        insert(store, [row(no) for no in range(1, COUNT + 1)])
        made.append(store)
    yield made
    for store in made:
        store.close()


def asked(stores: list[Store], sql: str, limit: int) -> EndedPage:
    answers: list[tuple[str, list[str], list[tuple[Any, ...]]]] = []
    for owner, store in zip(OWNERS, stores, strict=False):
        columns, rows = list[str](), list[tuple[Any, ...]]()

        def emit(
            named: list[Column] | None,
            more: list[tuple[Any, ...]],
            columns: list[str] = columns,
            rows: list[tuple[Any, ...]] = rows,
        ) -> None:
            columns += [column.name for column in named or ()]
            rows += more

        store.query(sql, (), 5.0, limit + 2, emit)
        answers.append((owner, columns, rows))
    return paged(answers, limit, ())


def page(
    stores: list[Store], words: str, *, limit: int = 1_000, before: str = "", children: bool = True
) -> EndedPage:
    place = ended_sql.placed(before) if before else None
    sql = ended_sql.page(filters.parse(words), NAMES, children, place, limit + 1)
    return asked(stores, sql, limit)


def passes(task: EndedTask, words: str) -> bool:
    return filters.parse(words).passes(fields_of(task.view(), NAMES))


HOSTILE = ["'", "''; DROP TABLE tasks; --", "%", "_", "\\", "?", "$1", "{tag}", "\0", "\ud800", "é"]
WORDS = st.one_of(
    st.sampled_from(
        [*HOSTILE, "birch", "BIRCH-'1", "ash_%", "grep", "text.", "failed", "one", "split", "out"]
    ),
    st.sampled_from(
        [
            "k7q2m9xd-1",
            "xd-12",
            "-5",
            "12",
            "p3",
            "gone",
            "q2m9xd-x",
            "a-1-2",
            "-0",
            "-",
            "xd-",
            "-60",
        ]
    ),
    st.text(max_size=6),
)
TERMS = st.tuples(
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "", "id:", "status:", "cap:", "node:", "why:", "phase:", "10.0.0.1:"]),
    WORDS,
).map("".join)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TERMS, max_size=3).map(" ".join))
@example("status:failed cap:grep !birch")
@example("!status:done !")
@example("node:birch why:timed_out")
@example("'; DROP TABLE tasks; --")
def test_sql_finds_what_the_filter_lets_pass(stores: list[Store], words: str) -> None:
    everything = page(stores, "").tasks
    assert len(everything) == 2 * COUNT
    found = page(stores, words)
    assert [t.id for t in found.tasks] == [t.id for t in everything if passes(t, words)]
    assert (found.total, found.next) == (len(found.tasks), "")


@pytest.mark.parametrize("limit", [1, 7, 16, 59, 60, 500])
def test_pages_follow_each_other_without_a_gap_or_a_repeat(stores: list[Store], limit: int) -> None:
    whole = page(stores, "", children=False)
    found, before, total = list[EndedTask](), "", whole.total
    while True:
        part = page(stores, "", limit=limit, before=before, children=False)
        assert part.total == total
        found += part.tasks
        if not part.next:
            break
        assert len(part.tasks) == limit
        before = part.next
    assert found == list(whole.tasks)
    assert len({task.id for task in found}) == total == 2 * sum(no % 5 != 0 for no in range(1, 61))
    assert [t.accepted_at for t in found] == sorted((t.accepted_at for t in found), reverse=True)


def test_a_task_that_ended_twice_is_there_once_as_it_ended_last(tmp_path: Path) -> None:
    store = Store(tmp_path, OWNERS[0], Rules())
    store.open()
    first: dict[str, Any] = {**row(3), "no": 7, "status": "failed", "code": "timed_out"}
    again: dict[str, Any] = {
        **first,
        "seq": 2000,
        "ended_at": first["ended_at"] + 5,
        "status": "done",
        "code": "",
    }
    insert(store, [{**row(4), "no": 6}, again, first, {**row(5), "no": 8}])
    sql = ended_sql.page(filters.parse(""), {}, True, None, 3)
    found = asked([store], sql, 2)
    assert [(t.id[-1], t.status.value) for t in found.tasks] == [("8", "done"), ("7", "done")]
    place = ended_sql.placed(found.next)
    rest = asked([store], ended_sql.page(filters.parse(""), {}, True, place, 3), 2)
    assert [t.id[-1] for t in rest.tasks] == ["6"]
    latest = asked([store], ended_sql.one(f"{OWNERS[0][:8]}-7", 1), 1)
    assert [(t.status.value, t.ended_at) for t in latest.tasks] == [
        ("done", again["ended_at"] / 1e6)
    ]
    assert not asked([store], ended_sql.one("otherone-7", 1), 1).tasks
    store.close()


@pytest.mark.parametrize("id", ["", "abc", "abc-", "-1", "abc-1x", "abc-1 OR 1=1", f"abc-{10**20}"])
def test_what_is_no_id_is_refused(id: str) -> None:
    with pytest.raises(Invalid, match="not a task id"):
        ended_sql.one(id, 1)


@pytest.mark.parametrize(
    "mark", ["x", "1/abc", "1/abc-1; DROP", "-1/abc-1", "1/a'b-1", f"{10**20}/a-1"]
)
def test_what_is_no_mark_is_refused(mark: str) -> None:
    with pytest.raises(Invalid, match="no page begins"):
        ended_sql.placed(mark)


def test_a_filter_that_is_too_long_is_refused() -> None:
    names = {f"node{i:012d}": f"birch-{i}" for i in range(1_000)}
    with pytest.raises(Invalid, match="too long"):
        ended_sql.page(filters.parse("node:birch"), names, False, None, 10)
