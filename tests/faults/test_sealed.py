"""What is sealed on disk: nothing of it can be read in a file, and what was moved or changed is found."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest
from support.data_keys import one_key

from nova_node.adapters.blob_chunks import CHUNK_BYTES
from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.core.errors import Corrupt, Refused
from nova_node.core.events import Accepted, Event, Finished
from nova_node.core.model import Call, Demand, Encoding, Group, Outcome, Status, Value
from nova_node.identity.data_keys import DataKeys

CANARY = b"canary-7f3a91c2"
DATA = (CANARY * (CHUNK_BYTES // len(CANARY) + 1))[:CHUNK_BYTES] + CANARY * 10


def accepted(no: int) -> Event:
    call = Call(b'{"text":"%s"}' % CANARY)
    return Event(2 * no - 1, no, 1.0, Accepted(f"r{no}", (Group(Demand("a.run"), (call,)),)))


def finished(no: int) -> Event:
    value = Value(Encoding.JSON, b'"%s"' % CANARY)
    return Event(2 * no, no, 2.0, Finished((Outcome(no, 1, Status.DONE, value),)))


EVENTS = [event for no in range(1, 6) for event in (accepted(no), finished(no))]


def fill(folder: Path, sealer: DataKeys | None, events: Iterable[Event]) -> None:
    journal = SqliteJournal(folder, sealer)
    journal.open()
    ended = threading.Event()
    answers: list[Exception | None] = []
    journal.append(list(events), answers.append)
    journal.append([], lambda error: ended.set())
    assert ended.wait(20)
    assert answers == [None]
    journal.close()


def events_of(folder: Path, sealer: DataKeys | None) -> list[Event]:
    journal = SqliteJournal(folder, sealer)
    journal.open()
    try:
        return list(journal.read())
    finally:
        journal.close()


def with_canary(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if CANARY in path.read_bytes()]


# ---------------------------------------------------------------- the journal


def test_a_sealed_journal_holds_no_argument_and_no_result(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    fill(folder, one_key(tmp_path), EVENTS)
    assert with_canary(tmp_path) == []
    fill(tmp_path / "plain", None, EVENTS)
    assert with_canary(tmp_path) != []


def test_rows_from_before_the_key_are_read_beside_the_others(tmp_path: Path) -> None:
    fill(tmp_path / "journal", None, EVENTS[:4])
    keys = one_key(tmp_path)
    fill(tmp_path / "journal", keys, EVENTS[4:8])
    keys.add(2, b"2" * 32)
    fill(tmp_path / "journal", keys, EVENTS[8:])
    assert events_of(tmp_path / "journal", keys) == EVENTS


@pytest.mark.parametrize("has_file", [False, True])
def test_without_its_keys_a_journal_is_refused_and_left_alone(
    tmp_path: Path, has_file: bool
) -> None:
    keys = one_key(tmp_path)
    fill(tmp_path / "journal", keys, EVENTS)
    none = DataKeys(tmp_path / "none") if has_file else None
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            events_of(tmp_path / "journal", none)
        assert caught.value.fix
    assert not (tmp_path / "journal" / "quarantine").exists()
    assert events_of(tmp_path / "journal", keys) == EVENTS


def test_a_row_in_the_place_of_another_is_set_aside(tmp_path: Path) -> None:
    """Whoever moves it can mend the checksum, but not the seal."""
    folder, keys = tmp_path / "journal", one_key(tmp_path)
    fill(folder, keys, EVENTS)
    with closing(sqlite3.connect(folder / "journal.db")) as db, db:
        (body,) = db.execute("SELECT body FROM events WHERE seq = 3").fetchone()
        crc = crc32(b"5 3 3", crc32(body))
        db.execute("UPDATE events SET body = ?, crc = ? WHERE seq = 5", (body, crc))
    with pytest.raises(Corrupt, match="5 of batch 3"):
        events_of(folder, keys)
    assert events_of(folder, keys) == [event for event in EVENTS if event.seq != 5]
    assert with_canary(tmp_path) == []


def test_salvage_keeps_sealed_rows(tmp_path: Path) -> None:
    folder, keys = tmp_path / "journal", one_key(tmp_path)
    fill(folder, keys, EVENTS)
    with (folder / "journal.db").open("r+b") as file:
        file.write(b"\xff" * 100)
    with pytest.raises(Corrupt, match="10 events"):
        events_of(folder, keys)
    assert events_of(folder, keys) == EVENTS


# ---------------------------------------------------------------- blobs


def test_a_sensitive_blob_is_in_no_file(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs", 1 << 30, one_key(tmp_path))
    ref = blobs.put([DATA], sensitive=True)
    blobs.lend(ref.id, 0, len(DATA))
    assert Path(blobs.path(ref.id)).read_bytes() == DATA
    assert with_canary(tmp_path) == []
    blobs.put([DATA])
    assert with_canary(tmp_path) == []
    assert DiskBlobs(tmp_path / "blobs", 1 << 30, one_key(tmp_path)).read(ref.id) == DATA


def test_what_was_plain_is_in_no_file_once_it_is_sensitive(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs", 1 << 30, one_key(tmp_path))
    ref = blobs.put([DATA])
    assert with_canary(tmp_path) == [ref.id]
    blobs.put([DATA], sensitive=True)
    assert with_canary(tmp_path) == []
    assert blobs.read(ref.id) == DATA


def test_what_a_kill_left_of_the_plain_file_goes_at_the_next_start(tmp_path: Path) -> None:
    keys = one_key(tmp_path)
    ref = DiskBlobs(tmp_path / "blobs", 1 << 30, keys).put([DATA], sensitive=True)
    (tmp_path / "blobs" / ref.id[:2] / ref.id).write_bytes(DATA)
    assert DiskBlobs(tmp_path / "blobs", 1 << 30, keys).read(ref.id) == DATA
    assert with_canary(tmp_path) == []


def test_a_rotated_key_reads_on(tmp_path: Path) -> None:
    keys = one_key(tmp_path)
    blobs = DiskBlobs(tmp_path / "blobs", 1 << 30, keys)
    old = blobs.put([DATA], sensitive=True)
    keys.add(2, b"2" * 32)
    new = blobs.put([b"new"], sensitive=True)
    assert (blobs.read(old.id), blobs.read(new.id)) == (DATA, b"new")


def test_without_its_key_a_blob_is_refused_and_stays(tmp_path: Path) -> None:
    keys = one_key(tmp_path)
    ref = DiskBlobs(tmp_path / "blobs", 1 << 30, keys).put([DATA], sensitive=True)
    for none in (None, DataKeys(tmp_path / "none")):
        with pytest.raises(Refused) as caught:
            DiskBlobs(tmp_path / "blobs", 1 << 30, none).read(ref.id)
        assert caught.value.fix
    assert DiskBlobs(tmp_path / "blobs", 1 << 30, keys).read(ref.id) == DATA


@pytest.mark.parametrize("at", [0, 1, 5, 17, CHUNK_BYTES, CHUNK_BYTES + 40, -1])
def test_a_changed_byte_is_found_and_set_aside(tmp_path: Path, at: int) -> None:
    keys = one_key(tmp_path)
    ref = DiskBlobs(tmp_path / "blobs", 1 << 30, keys).put([DATA], sensitive=True)
    path = tmp_path / "blobs" / ref.id[:2] / f"{ref.id}.sealed"
    data = bytearray(path.read_bytes())
    data[at] ^= 0x80
    path.write_bytes(data)
    blobs = DiskBlobs(tmp_path / "blobs", 1 << 30, keys)
    with pytest.raises((Corrupt, Refused)):
        blobs.read(ref.id)
    blobs.put([DATA], sensitive=True)
    assert blobs.read(ref.id) == DATA


def test_too_much_is_not_lent_at_once(tmp_path: Path) -> None:
    from nova_node.adapters.blob_loans import Loans
    from nova_node.core.errors import Overloaded

    loans = Loans(tmp_path, 2 * CHUNK_BYTES)
    loans.lend("a", 3 * CHUNK_BYTES, range(2), lambda index: b"x")
    with pytest.raises(Overloaded) as caught:
        loans.lend("a", 3 * CHUNK_BYTES, range(3), lambda index: b"x")
    assert caught.value.fix
    loans.take_back("a", range(2))
    loans.lend("b", CHUNK_BYTES, range(1), lambda index: b"y")
    assert Path(loans.path("b")).read_bytes()[:1] == b"y"
    loans.take_back("b", range(1))


def test_a_failed_loan_lends_nothing(tmp_path: Path) -> None:
    from nova_node.adapters.blob_loans import Loans
    from nova_node.core.errors import NotFound

    def read(index: int) -> bytes:
        if index:
            raise NotFound("not here")
        return b"x"

    loans = Loans(tmp_path, 2 * CHUNK_BYTES)
    with pytest.raises(NotFound):
        loans.lend("a", 3 * CHUNK_BYTES, range(2), read)
    with pytest.raises(NotFound):
        loans.path("a")
    loans.lend("a", 3 * CHUNK_BYTES, range(2), lambda index: b"y")
