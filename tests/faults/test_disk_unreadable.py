"""A disk that gives nothing any more is told from a journal that is damaged: nothing is set aside."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import power
from support.journal_writer import event

from nova_node.adapters import journal_repair
from nova_node.adapters.journal_rows import READ_AT_ONCE_ROWS, connect
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.core.errors import Unavailable
from nova_node.core.events import Event

if why := power.refused() or (os.environ.get("CI") != "true" and power.missing()):
    pytest.skip(why, allow_module_level=True)

EVENTS = [event(n) for n in range(1, 2 * READ_AT_ONCE_ROWS)]
SILENT = "the disk does not give the journal"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[power.Disk]:
    """Below the folder of the journal."""
    with power.Disk(tmp_path / "disk.img", tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def folder(disk: power.Disk, tmp_path: Path) -> Path:
    """Of a journal that holds EVENTS."""
    journal = SqliteJournal(tmp_path / "disk" / "journal")
    journal.open()
    written = threading.Event()
    journal.append(EVENTS, lambda error: written.set() if error is None else None)
    assert written.wait(20.0)
    journal.close()
    return tmp_path / "disk" / "journal"


def test_who_reads_is_told_so(disk: power.Disk, folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.open()
    reading = journal.read()
    assert next(reading) == EVENTS[0]
    disk.cut()
    with pytest.raises(Unavailable, match=SILENT):
        list(reading)
    journal.close()
    disk.power_on()


def test_a_start_sets_nothing_aside(
    disk: power.Disk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect_and_cut(path: Path) -> sqlite3.Connection:
        db = connect(path)
        disk.cut()
        return db

    with monkeypatch.context() as patched:
        patched.setattr(journal_repair, "connect", connect_and_cut)
        with pytest.raises(Unavailable, match=SILENT):
            SqliteJournal(folder).open()
    disk.power_on()
    journal = SqliteJournal(folder)
    journal.open()
    held: list[Event] = list(journal.read())
    journal.close()
    assert held == EVENTS
    assert not (folder / "quarantine").exists()
