"""Each file of the journal flipped, cut and zeroed: the answer is right, or an error says so."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.core.errors import Corrupt, NovaError
from nova_node.core.events import (
    Accepted,
    Event,
    Finished,
)
from nova_node.core.model import Call, Demand, Group, Outcome, Status

BATCHES = 40


def history() -> list[Event]:
    group = Group(Demand("text.count"), (Call(b'{"text":"%s"}' % (b"x" * 300)),))
    events: list[Event] = []
    for no in range(1, BATCHES + 1):
        events.append(Event(2 * no - 1, no, 1.0, Accepted(f"r{no}", (group,))))
        events.append(Event(2 * no, no, 2.0, Finished((Outcome(no, 1, Status.DONE),))))
    return events


EVENTS = history()
USED = (EVENTS[-1].seq, BATCHES)


def fill(journal: SqliteJournal) -> None:
    ended = threading.Event()
    for at in range(0, len(EVENTS), 4):
        journal.append(EVENTS[at : at + 4], lambda error: None)
    journal.append([], lambda error: ended.set())
    assert ended.wait(20)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a journal that was closed."""
    folder = tmp_path_factory.mktemp("closed")
    journal = SqliteJournal(folder)
    journal.open()
    fill(journal)
    journal.close()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a journal whose process was killed: all is still in the WAL."""
    live, folder = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("killed")
    journal = SqliteJournal(live)
    journal.open()
    fill(journal)
    for name in ("journal.db", "journal.db-wal", "journal.head"):
        shutil.copy(live / name, folder / name)
    journal.close()
    return folder


def faults(size: int, pieces: int, step: int) -> Iterator[tuple[str, int]]:
    for n in range(pieces):
        at = n * size // pieces
        yield "flip", at
        yield "zero", at
        yield "cut", at
    for at in range(min(size, 112)):  # headers
        yield "flip", at


def damage(path: Path, kind: str, at: int) -> None:
    with path.open("r+b") as file:
        if kind == "cut":
            file.truncate(at)
            return
        file.seek(at)
        old = file.read(1 if kind == "flip" else 4096)
        file.seek(at)
        file.write(bytes([old[0] ^ 0xFF]) if kind == "flip" else bytes(len(old)))


def verdict(folder: Path) -> str:
    """Opens what was damaged; "right" or "told"."""
    journal = SqliteJournal(folder)
    told = False
    try:
        incarnation = journal.open()
    except NovaError as error:
        if not isinstance(error, Corrupt):
            return "told"
        told = True
        incarnation = journal.open()
    try:
        assert incarnation > 1
        events = list(journal.read())
        assert journal.used() >= USED
        if told:
            assert [event for event in events if event not in EVENTS] == []
            return "told"
        assert events == EVENTS
        for no in range(1, BATCHES + 1):
            assert list(journal.read(batch=no)) == EVENTS[2 * no - 2 : 2 * no]
        return "right"
    finally:
        journal.close()


@pytest.mark.parametrize("state", ["closed", "killed"])
@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.head"])
def test_no_damage_gives_a_wrong_answer(
    state: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(state)
    if not (source / name).exists():
        return
    found = {"right": 0, "told": 0}
    telling = (state, name) in {("closed", "journal.db"), ("killed", "journal.db-wal")}
    size = (source / name).stat().st_size
    for n, (kind, at) in enumerate(faults(size, 30, 3) if telling else faults(size, 4, 12)):
        folder = tmp_path / str(n)
        shutil.copytree(source, folder)
        damage(folder / name, kind, at)
        try:
            found[verdict(folder)] += 1
        except Exception as error:
            raise AssertionError(f"{kind} at {at} of {name}") from error
        shutil.rmtree(folder)
    if name == "journal.head":
        assert found["told"] == 0
    elif telling:
        assert found["told"] > 20


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_file_that_is_gone_is_told(
    state: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "x"
    shutil.copytree(request.getfixturevalue(state), folder)
    (folder / "journal.db").unlink()
    (folder / "journal.db-wal").unlink(missing_ok=True)
    journal = SqliteJournal(folder)
    with pytest.raises(Corrupt, match=f"1 to {USED[0]} are gone"):
        journal.open()
    assert journal.open() > 1
    assert journal.used() == USED
    journal.close()


def test_a_journal_put_back_is_told(killed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(killed, folder)
    journal = SqliteJournal(folder)
    assert journal.open() == 2
    journal.close()
    (folder / "journal.db").unlink()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(killed / name, folder / name)
    with pytest.raises(Corrupt, match="put back"):
        journal.open()
    assert journal.open() > 2
    journal.close()


def test_a_damaged_row_alone_goes_to_quarantine(closed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(closed, folder)
    with closing(sqlite3.connect(folder / "journal.db")) as db, db:
        db.execute("UPDATE events SET batch = 7 WHERE seq = 41")
    journal = SqliteJournal(folder)
    with pytest.raises(Corrupt, match="41 of batch 7"):
        journal.open()
    journal.open()
    assert list(journal.read()) == [event for event in EVENTS if event.seq != 41]
    journal.close()
    assert [path.name for path in folder.glob("quarantine/*/*")] == ["rows.jsonl"]


@pytest.mark.parametrize("kept", [0, 100, 4096])
def test_salvages_what_a_lost_header_leaves(closed: Path, tmp_path: Path, kept: int) -> None:
    """100 bytes of header or the whole first page: the rows are in the others."""
    folder = tmp_path / "x"
    shutil.copytree(closed, folder)
    with (folder / "journal.db").open("r+b") as file:
        file.write(os.urandom(kept) if kept else b"\xff")
    journal = SqliteJournal(folder)
    with pytest.raises(Corrupt, match=rf"{len(EVENTS)} events up to {USED[0]} could be read"):
        journal.open()
    journal.open()
    assert list(journal.read()) == EVENTS
    journal.close()
    assert (next(folder.glob("quarantine/*")) / "journal.db").exists()


def test_a_schema_that_is_no_text_is_told(closed: Path, tmp_path: Path) -> None:
    """The sqlite3 module cannot even word that error."""
    folder = tmp_path / "x"
    shutil.copytree(closed, folder)
    comma = (folder / "journal.db").read_bytes().find(b"NOT NULL, crc") + len("NOT NULL")
    damage(folder / "journal.db", "flip", comma)
    assert verdict(folder) == "told"
