"""A full disk: appends are refused with a typed error, reads go on, and room is enough to recover."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.core.errors import Overloaded
from nova_node.core.events import Accepted, Event
from nova_node.core.model import Call, Demand, Group


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """2 MB, half of it taken by the file `ballast`."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (tmp_path / "ballast").write_bytes(bytes(1 << 20))
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def event(seq: int) -> Event:
    group = Group(Demand("text.count"), (Call(bytes(20_000)),))
    return Event(seq, seq, 1.0, Accepted(f"r{seq}", (group,)))


def store(journal: SqliteJournal, *events: Event) -> Exception | None:
    answers: SimpleQueue[Exception | None] = SimpleQueue()
    journal.append(events, answers.put)
    return answers.get(timeout=20)


def test_a_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    journal = SqliteJournal(small_disk / "journal")
    journal.open()
    kept: list[Event] = []
    seq = 0
    for seq in range(1, 200):
        error = store(journal, event(seq))
        if error is not None:
            assert isinstance(error, Overloaded)
            assert "disk" in error.message
            break
        kept.append(event(seq))
    assert 10 < seq < 199
    assert isinstance(store(journal, event(seq + 1)), Overloaded)
    assert list(journal.read()) == kept
    (small_disk / "ballast").unlink()
    assert store(journal, event(seq + 2)) is None
    assert store(journal, event(seq)) is None  # a gap can be filled
    kept += [event(seq), event(seq + 2)]
    assert list(journal.read()) == kept
    journal.close()
    assert journal.open() == 2
    assert list(journal.read()) == kept
    journal.close()


def test_a_full_disk_refuses_blobs_and_leaves_nothing(small_disk: Path) -> None:
    blobs = DiskBlobs(small_disk / "blobs", 1 << 30)
    with pytest.raises(Overloaded):
        blobs.put([bytes(3 << 20)])
    assert blobs.size_bytes() == 0
    (small_disk / "ballast").unlink()
    assert blobs.read(blobs.put([b"x" * 1_500_000]).id) == b"x" * 1_500_000


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path, queue_max_bytes=50_000)
    journal.open()
    at_work, go_on = threading.Event(), threading.Event()

    def hold_up(error: Exception | None) -> None:
        at_work.set()
        go_on.wait(20)

    journal.append([event(1)], hold_up)
    assert at_work.wait(20)
    answers: SimpleQueue[Exception | None] = SimpleQueue()
    for seq in range(2, 8):
        journal.append([event(seq)], answers.put)
    go_on.set()
    errors = [answers.get(timeout=20) for _ in range(2, 8)]
    assert [type(error) for error in errors] == [type(None)] * 2 + [Overloaded] * 4
    assert store(journal, event(9)) is None
    assert [e.seq for e in journal.read()] == [1, 2, 3, 9]
    journal.close()
