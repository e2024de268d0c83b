"""Answers and functions in the host's database: found, bounded, and begun anew when damaged."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nova_node.models.cache_store import BODY_MAX_CHARS, PENDING_MAX, Answers
from nova_node.models.database import ASIDE, NAME, ROOM_BYTES, Database
from nova_node.models.library_store import Functions, Kept
from nova_node.models.vectors import Packed, pack

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path, 1 << 30)
    yield database
    database.close()


def of(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def settle(answers: Answers, database: Database) -> None:
    """Until all is written that can be."""
    answers.flush()
    of(database.read(lambda db: None, None))


def packed(*numbers: float) -> Packed:
    found = pack(numbers)
    assert found
    return found


def test_it_finds_what_was_put_before_and_nothing_that_is_old(database: Database) -> None:
    answers = Answers(database)
    answers.put("a", "", "one", 100.0)
    answers.put("b", "", "two", 200.0)
    answers.put("a", "", "newer", 300.0)
    assert of(answers.get(["x", "a", "b"], 0.0)) == "newer"
    assert of(answers.get(["x", "b"], 0.0)) == "two"
    assert of(answers.get(["b"], 200.0)) is None


def test_what_is_on_disk_is_known_when_it_is_opened_again(path: Path) -> None:
    for round_ in range(2):
        database = Database(path, 1 << 30)
        answers = Answers(database)
        if round_:
            assert of(answers.get(["x", "a"], 0.0)) == "one"
            assert of(answers.get(["x"], 0.0)) is None
        answers.put("a", "", "one", 1.0)
        answers.flush()
        database.close()


def test_the_likest_of_the_scope_is_found(database: Database) -> None:
    answers = Answers(database)
    answers.put("a", "mine", "right", 1.0, packed(1, 2, 3, 4))
    answers.put("b", "mine", "wrong", 1.0, packed(-4, 1, 2, -1))
    answers.put("c", "other", "foreign", 1.0, packed(1, 2, 3, 4.1))
    answers.put("d", "mine", "no vector", 1.0)
    found = of(answers.near("mine", packed(1, 2, 3, 4.1), 0.0))
    assert found is not None
    assert found.body == "right"
    assert found.similarity > 0.99
    assert of(answers.near("nobody's", packed(1, 2, 3, 4), 0.0)) is None
    assert of(answers.near("mine", packed(1, 2, 3, 4), 1.0)) is None


def test_the_oldest_go_when_there_are_too_many(database: Database) -> None:
    answers = Answers(database, rows_max=50)
    for n in range(120):
        answers.put(f"k{n:03}", "", "x", float(n))
        settle(answers, database)  # each in a write of its own
    kept = [n for n in range(120) if of(answers.get([f"k{n:03}"], -1.0))]
    assert 40 <= len(kept) <= 50
    assert kept == [*range(120 - len(kept), 120)]


def test_what_is_too_old_to_be_given_is_deleted(database: Database) -> None:
    answers = Answers(database)
    answers.kept_s = 1_000.0
    for key, made_at in {"old": 100.0, "new": 500.0, "newest": 1_200.0}.items():
        answers.put(key, "", f"answer {key}", made_at)
        settle(answers, database)
    assert of(database.read(_keys, [])) == ["new", "newest"]
    assert of(answers.get(["old", "new"], 0.0)) == "answer new"


def _keys(db: Any) -> list[str]:
    return [key for (key,) in db.execute("SELECT key FROM answers ORDER BY key").fetchall()]


def test_bytes_are_bounded_too(path: Path) -> None:
    database = Database(path, 100_000)
    answers = Answers(database)
    for n in range(20):
        answers.put(f"k{n:02}", "", "x" * 20_000, float(n))
        settle(answers, database)
    assert sum(of(answers.get([f"k{n:02}"], -1.0)) is not None for n in range(20)) <= 5
    assert of(answers.get(["k19"], 0.0)) is not None
    answers.put("long", "", "x" * (BODY_MAX_CHARS + 1), 99.0)
    assert of(answers.get(["long"], 0.0)) is None
    database.close()


def test_it_survives_its_end_and_is_nobody_elses(path: Path) -> None:
    database = Database(path, 1 << 30)
    answers = Answers(database)
    answers.put("a", "", "one", 1.0)
    answers.flush()
    database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Database(path, 1 << 30)
    assert of(Answers(again).get(["a"], 0.0)) == "one"
    again.close()


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 1000, None])
def test_a_damaged_file_is_begun_anew(path: Path, damage: bytes | None) -> None:
    first = Database(path, 1 << 30)
    stored = Answers(first)
    for n in range(200):
        stored.put(f"k{n}", "", "x" * 5000, 1.0)
    stored.flush()
    first.close()
    if damage is None:  # a part of it
        data = path.read_bytes()
        path.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    else:
        path.write_bytes(damage)
    database = Database(path, 1 << 30)
    answers = Answers(database)
    of(answers.get(["k1"], 0.0))
    answers.put("new", "", "here", 1.0)
    settle(answers, database)
    answers.put("new", "", "here", 1.0)
    settle(answers, database)
    assert of(answers.get(["new"], 0.0)) == "here"
    assert Path(f"{path}{ASIDE}").exists()
    database.close()


def test_where_nothing_can_be_written_a_little_is_kept_in_memory(tmp_path: Path) -> None:
    database = Database(tmp_path / "nowhere" / NAME, 1 << 30)
    answers = Answers(database)
    for n in range(PENDING_MAX + 10):
        answers.put(f"k{n}", "", "one", 1.0)
    settle(answers, database)
    assert of(answers.get(["k1"], 0.0)) == "one"
    assert of(answers.get([f"k{PENDING_MAX + 1}"], 0.0)) is None
    assert not database.path.parent.exists()
    database.close()


def test_a_file_that_grew_past_its_bounds_is_begun_anew(path: Path) -> None:
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(ROOM_BYTES + 4096)
    database = Database(path, 1000)
    answers = Answers(database)
    answers.put("a", "", "x", 1.0)
    settle(answers, database)
    assert of(answers.get(["a"], 0.0)) == "x"
    database.close()
    assert path.stat().st_size < 4 << 20


def test_functions_are_kept_once_for_each_person(database: Database) -> None:
    functions = Functions(database)
    kept = Kept("f", "f(n)", "doubles", "def f(n): return 2 * n", 1.0, 1, "", None)
    functions.put("k1", "ada", kept)
    functions.put("k1", "ada", kept._replace(made_at=5.0))
    functions.put("k2", "bob", kept)
    (found,) = of(functions.all("ada"))
    assert (found.name, found.passed, found.made_at) == ("f", 2, 5.0)
    assert len(of(functions.all("bob"))) == 1
    assert of(functions.all("")) == []
