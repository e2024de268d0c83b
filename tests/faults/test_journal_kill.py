"""Acknowledged means durable: a writer is killed again and again, and nothing is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.journal_writer import event

from nova_node.adapters.journal_sqlite import SqliteJournal

TESTS = Path(__file__).parents[1]


def kill_after(folder: Path, acknowledged: int) -> set[int]:
    """What a writer acknowledged before it was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "support.journal_writer", str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    )
    assert writer.stdout is not None
    try:
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
    finally:
        writer.kill()
    lines += writer.stdout.readlines()  # what the pipe held when it died
    writer.stdout.close()
    writer.wait()
    return {int(line) for line in lines if line.endswith(b"\n")}


def kill_again_and_again(folder: Path, times: int) -> None:
    draw = random.Random(7)
    acknowledged: set[int] = set()
    for _ in range(times):
        new = kill_after(folder, draw.randrange(1, 400))
        assert new
        acknowledged |= new
        journal = SqliteJournal(folder)
        journal.open()
        kept = list(journal.read())
        journal.close()
        assert [e for e in kept if e != event(e.seq)] == []
        lost = acknowledged - {e.seq for e in kept}
        assert [seq for seq in lost if seq % 10] == []  # the tens may be forgotten


def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("round", range(5))
def test_a_writer_killed_often_loses_nothing(tmp_path: Path, round: int) -> None:
    kill_again_and_again(tmp_path, 100)
