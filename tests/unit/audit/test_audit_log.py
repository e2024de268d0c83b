from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nova_node.audit.lines import DETAILS_MAX, FIRST, LINE_MAX_BYTES, TEXT_LENGTH, files_of
from nova_node.audit.log import AuditLog, follow, tail
from nova_node.audit.verify import verify
from nova_node.core.errors import Overloaded


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path, now=lambda: 12.3456)
    yield log
    log.close()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in files_of(folder) for line in path.read_bytes().splitlines()
    ]


def test_an_entry_is_a_line_that_names_the_one_before(tmp_path: Path, audit: AuditLog) -> None:
    audit.note("submitter/ada", "192.0.2.7:5", "submit", "r1", first=3, count=2)
    audit.note("admin/bob", "", "drain")
    assert audit.flush()
    raw = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    assert list(json.loads(raw[0]).items()) == [
        ("no", 1),
        ("time", 12.346),
        ("who", "submitter/ada"),
        ("from", "192.0.2.7:5"),
        ("what", "submit"),
        ("subject", "r1"),
        ("first", 3),
        ("count", 2),
        ("prev", FIRST),
    ]
    assert json.loads(raw[1])["prev"] == sha256(raw[0]).hexdigest()
    assert audit.tip() == (2, sha256(raw[1]).hexdigest())
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_goes_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        log = AuditLog(tmp_path)
        log.note("a", "b", "start")
        log.note("a", "b", "stop")
        log.close()
    assert [line["no"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert verify(tmp_path).sound


def test_no_detail_takes_the_place_of_what_is_fixed_or_grows_a_line(
    tmp_path: Path, audit: AuditLog
) -> None:
    hostile: dict[str, Any] = {
        "no": 99,
        "prev": "x",
        "time": 0,
        "from": "me",
        "x\n": "\ud800\n\x00",
    }
    audit.note("w" * 9999, "o" * 9999, "what", "\n{}\u2028" + "s" * 9999, **hostile)
    many: dict[str, Any] = {f"{n}" * 50: "v" * 9999 for n in range(100)}
    audit.note("w", "o", "what", "s", **many)
    assert audit.flush()
    raw = (tmp_path / "audit.jsonl").read_bytes().split(b"\n")
    assert len(raw) == 3
    assert max(map(len, raw)) < LINE_MAX_BYTES
    first, second = lines(tmp_path)
    assert (first["no"], first["prev"], first["time"]) == (1, FIRST, 12.346)
    assert first["from"] == "o" * (TEXT_LENGTH - 3) + "..."
    assert len(second) == 7 + DETAILS_MAX
    assert verify(tmp_path).sound


def test_threads_and_processes_write_one_chain(tmp_path: Path, audit: AuditLog) -> None:
    script = (
        "import sys; from pathlib import Path; from nova_node.audit.log import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for n in range(50): log.note('b', '', 'x', str(n)); n % 10 or log.flush()\n"
        "log.close()"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])

    def work() -> None:
        for n in range(50):
            audit.note("a", "", "x", str(n))
            if n % 10 == 0:
                audit.flush()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(30) == 0
    assert audit.flush()
    verdict = verify(tmp_path)
    assert (verdict.lines, verdict.findings) == (150, ())


def test_full_files_are_put_aside_and_the_oldest_go_but_the_chain_stays(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, gather_s=0.0, file_max_bytes=1000, files_max=4)
    for n in range(60):
        log.note("a", "b", "x", str(n))
        assert log.flush()
    log.close()
    assert len(files_of(tmp_path)) == 4
    verdict = verify(tmp_path)
    assert verdict.findings == ()
    assert verdict.first > 1
    assert verdict.files == 4
    assert [line["what"] for line in lines(tmp_path)].count("audit.pruned") > 0
    log = AuditLog(tmp_path, gather_s=0.0, file_max_bytes=1000, files_max=4)
    log.note("a", "b", "x")
    log.close()
    assert verify(tmp_path).sound


@pytest.mark.parametrize("full_files", [0, 1])
def test_a_line_that_a_killed_process_left_is_dropped_and_told(
    tmp_path: Path, full_files: int
) -> None:
    log = AuditLog(tmp_path)
    log.note("a", "b", "x")
    log.close()
    if full_files:
        (tmp_path / "audit.jsonl").rename(tmp_path / "audit-000000000001.jsonl")
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b'{"no":2,"ti')
    log = AuditLog(tmp_path)
    log.note("a", "b", "y")
    log.close()
    assert [(line["no"], line["what"]) for line in lines(tmp_path)] == [
        (1, "x"),
        (2, "audit.torn"),
        (3, "y"),
    ]
    assert verify(tmp_path).sound


@pytest.mark.parametrize("junk", [b"what\n", b"[1]\n", b'{"no":"2"}\n', b"x" * 40_000 + b"\n"])
def test_what_cannot_be_gone_on_with_is_put_aside_and_told(tmp_path: Path, junk: bytes) -> None:
    log = AuditLog(tmp_path)
    log.note("a", "b", "x")
    log.close()
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(junk)
    log = AuditLog(tmp_path)
    log.note("a", "b", "y")
    log.close()
    assert [(line["no"], line["what"]) for line in lines(tmp_path)] == [
        (2, "audit.damaged"),
        (3, "y"),
    ]
    assert len(list(tmp_path.glob("audit-damaged-*"))) == 1
    assert "damaged" in {finding.kind for finding in verify(tmp_path).findings}


# ---------------------------------------------------------------- a disk that takes nothing


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Switches it on and off."""
    write, full = os.write, threading.Event()

    def maybe(handle: int, data: bytes) -> int:
        if full.is_set():
            write(handle, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "no space left")
        return write(handle, data)

    monkeypatch.setattr("nova_node.audit.log.os.write", maybe)
    monkeypatch.setattr("nova_node.audit.log.RETRY_S", 0.01)
    return lambda on: full.set() if on else full.clear()


def test_while_the_disk_is_full_changes_are_refused_and_nothing_is_lost(
    tmp_path: Path, audit: AuditLog, full_disk: Callable[[bool], None]
) -> None:
    audit.note("a", "b", "before")
    assert audit.flush()
    audit.check()
    full_disk(True)
    audit.note("a", "b", "during")
    assert not audit.flush(0.3)
    with pytest.raises(Overloaded, match="no space") as caught:
        audit.check()
    assert caught.value.fix
    full_disk(False)
    assert audit.flush()
    audit.check()
    assert [line["what"] for line in lines(tmp_path)] == ["before", "during"]
    assert verify(tmp_path).sound


def test_what_does_not_fit_the_queue_is_counted(
    tmp_path: Path, full_disk: Callable[[bool], None]
) -> None:
    full_disk(True)
    log = AuditLog(tmp_path, queue_max=3)
    for n in range(8):
        log.note("a", "b", "x", str(n))
    with pytest.raises(Overloaded):
        log.check()
    full_disk(False)
    assert log.flush()
    log.close()
    found = lines(tmp_path)
    assert [line["what"] for line in found] == ["x", "x", "x", "audit.lost"]
    assert found[-1]["count"] == 5
    assert verify(tmp_path).sound


def test_closing_on_a_full_disk_ends(tmp_path: Path, full_disk: Callable[[bool], None]) -> None:
    full_disk(True)
    log = AuditLog(tmp_path)
    log.note("a", "b", "x")
    log.close()
    log.note("a", "b", "after")
    assert lines(tmp_path) == []


# ---------------------------------------------------------------- reading


def test_the_tail_goes_over_files(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, gather_s=0.0, file_max_bytes=500)
    for n in range(20):
        log.note("a", "b", "x", str(n))
        log.flush()
    log.close()
    assert len(files_of(tmp_path)) > 2
    assert [each["subject"] for each in tail(tmp_path, 12)] == [str(n) for n in range(8, 20)]
    assert len(tail(tmp_path, 1000)) == 20
    assert tail(tmp_path / "none", 5) == []


def test_follows_lines_as_they_come_also_into_the_next_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, gather_s=0.0, file_max_bytes=300)
    log.note("a", "b", "x", "0")
    log.flush()
    waits = iter(range(1, 6))

    def wait() -> None:
        log.note("a", "b", "x", str(next(waits)))
        assert log.flush()

    found = follow(tmp_path / "audit.jsonl", 1, wait)
    assert [next(found)["subject"] for _ in range(5)] == ["1", "2", "3", "4", "5"]
    log.close()
