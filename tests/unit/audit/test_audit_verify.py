"""Each kind of tampering with an audit log is found, by whoever has less than all of the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_node.audit.heads import Head
from nova_node.audit.lines import FIRST, digest, files_of
from nova_node.audit.log import AuditLog
from nova_node.audit.verify import Verdict, verify

COUNT = 30


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in several files."""
    folder = tmp_path_factory.mktemp("written")
    log = AuditLog(folder, file_max_bytes=1500, gather_s=0.0)
    for n in range(1, COUNT + 1):
        log.note("submitter/ada", "192.0.2.7:5", "submit", f"request-{n}", count=n)
        log.flush()
    log.close()
    assert len(files_of(folder)) > 2
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "log"))


def read(folder: Path) -> list[bytes]:
    return [line for path in files_of(folder) for line in path.read_bytes().splitlines()]


def head(folder: Path, no: int = COUNT) -> Head:
    return Head("n1", no, digest(read(folder)[no - 1]), 1.0)


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """All in one file."""
    changed = change(read(folder))
    for path in files_of(folder):
        path.unlink()
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in changed))


def kinds(verdict: Verdict) -> set[str]:
    assert all(finding.text for finding in verdict.findings)
    return {finding.kind for finding in verdict.findings}


def rechained(lines: list[bytes]) -> list[bytes]:
    """With numbers and hashes that fit again."""
    prev, done = FIRST, list[bytes]()
    for no, line in enumerate(lines, 1):
        values = json.loads(line) | {"no": no, "prev": prev}
        done.append(json.dumps(values, separators=(",", ":")).encode())
        prev = digest(done[-1])
    return done


def test_an_untouched_log_is_sound(folder: Path) -> None:
    for heads in ([], [head(folder)], [head(folder, 7), head(folder, 1)]):
        verdict = verify(folder, heads)
        assert verdict.findings == ()
        assert (verdict.first, verdict.last, verdict.lines) == (1, COUNT, COUNT)
        assert verdict.heads == len(heads)
    rewrite(folder, lambda lines: lines)
    assert verify(folder, [head(folder)]).sound


@pytest.mark.parametrize("at", range(COUNT))
def test_an_edited_line_is_found(folder: Path, at: int) -> None:
    heads = [head(folder)]
    rewrite(
        folder,
        lambda ls: [
            line.replace(b"/ada", b"/bob") if n == at else line for n, line in enumerate(ls)
        ],
    )
    verdict = verify(folder, heads)
    assert kinds(verdict) <= {"edited", "rewritten"}
    assert [finding.no for finding in verdict.findings] == [at + 1]


@pytest.mark.parametrize("at", range(0, COUNT, 3))
def test_a_flipped_byte_is_found(folder: Path, at: int) -> None:
    heads = [head(folder)]
    size = len(read(folder)[at])
    for place in range(0, size, 11):
        copy = folder.with_name(f"{at}-{place}")
        shutil.copytree(folder, copy)

        def flip(ls: list[bytes], place: int = place) -> list[bytes]:
            line = bytearray(ls[at])
            line[place] ^= 1
            return [*ls[:at], bytes(line), *ls[at + 1 :]]

        rewrite(copy, flip)
        assert not verify(copy, heads).sound


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 6), (5, 15), (0, 29), (28, 29)])
def test_deleted_lines_are_found(folder: Path, start: int, end: int) -> None:
    rewrite(folder, lambda ls: ls[:start] + ls[end:])
    verdict = verify(folder)
    assert kinds(verdict) == {"deleted"}
    assert verdict.findings[0].no == start + 1


def test_a_deleted_file_is_found(folder: Path) -> None:
    for path in files_of(folder)[:-1]:
        copy = folder.with_name(path.name)
        shutil.copytree(folder, copy)
        (copy / path.name).unlink()
        assert kinds(verify(copy)) == {"deleted"}


@pytest.mark.parametrize(("one", "other"), [(4, 5), (4, 20), (0, 1), (0, 29), (28, 29)])
def test_lines_in_another_order_are_found(folder: Path, one: int, other: int) -> None:
    def swap(ls: list[bytes]) -> list[bytes]:
        ls[one], ls[other] = ls[other], ls[one]
        return ls

    rewrite(folder, swap)
    assert "reordered" in kinds(verify(folder))


def test_a_line_that_stands_twice_is_found(folder: Path) -> None:
    rewrite(folder, lambda ls: [*ls[:10], ls[3], *ls[10:]])
    assert kinds(verify(folder)) == {"reordered"}


@pytest.mark.parametrize("left", [0, 1, 10, 29])
def test_a_cut_end_is_found_against_a_head(folder: Path, left: int) -> None:
    heads = [head(folder)]
    rewrite(folder, lambda ls: ls[:left])
    verdict = verify(folder, heads)
    assert kinds(verdict) == {"truncated"}
    assert verdict.findings[0].no == left + 1


def test_a_log_that_is_gone_is_found_against_a_head(folder: Path) -> None:
    heads = [head(folder)]
    for path in files_of(folder):
        path.unlink()
    assert kinds(verify(folder, heads)) == {"truncated"}


def test_a_log_put_back_is_found_though_it_went_on(folder: Path) -> None:
    """What a peer keeps is further, or of another line with that number."""
    old = folder.with_name("old")
    shutil.copytree(folder, old)
    log = AuditLog(folder)
    for n in range(5):
        log.note("a", "b", "x", str(n))
    log.close()
    heads = [head(folder, COUNT + 5)]
    assert verify(folder, heads).sound
    assert kinds(verify(old, heads)) == {"truncated"}
    log = AuditLog(old)
    for n in range(9):
        log.note("a", "b", "y", str(n))
    log.close()
    assert verify(old).sound
    assert kinds(verify(old, heads)) == {"rewritten"}


def renamed(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"request-3", b"request-9") for line in lines]


def without_the_fifth(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], *lines[5:]]


def with_the_first_two_swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


@pytest.mark.parametrize("change", [renamed, without_the_fifth, with_the_first_two_swapped])
def test_a_chain_made_anew_is_found_against_a_head(
    folder: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    heads = [head(folder, 20)]
    rewrite(folder, lambda lines: rechained(change(lines)))
    assert verify(folder).sound
    assert kinds(verify(folder, heads)) == {"rewritten"}


def test_only_what_the_log_itself_dropped_may_be_missing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, file_max_bytes=1000, files_max=3, gather_s=0.0)
    for n in range(40):
        log.note("a", "b", "x", str(n))
        log.flush()
    log.close()
    assert verify(tmp_path).sound
    files_of(tmp_path)[0].unlink()
    assert kinds(verify(tmp_path)) == {"deleted"}


def test_a_head_of_what_was_dropped_says_nothing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, file_max_bytes=1000, files_max=3, gather_s=0.0)
    for n in range(40):
        log.note("a", "b", "x", str(n))
        log.flush()
    log.close()
    assert verify(tmp_path, [Head("n1", 1, "0" * 64, 1.0)]).sound


def test_findings_are_bounded(folder: Path) -> None:
    (folder / "audit.jsonl").write_bytes(b"what\n" * 10_000)
    assert len(verify(folder).findings) == 100
