"""Whose a container is, and when nobody's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from nova_sandbox import lease

NOW = 1_700_000_000.0
ME = lease.new_owner()


def labels(owner: lease.Owner, until: float = NOW + 60) -> dict[str, str]:
    return lease.labels(owner, "desk", until)


def test_an_owner_reads_back() -> None:
    assert lease.read_owner(str(ME)) == ME


def test_two_sandboxes_of_one_process_are_two_owners() -> None:
    assert lease.new_owner() != ME


def test_of_a_living_process_it_is_no_orphan_even_when_the_clock_jumps() -> None:
    other = lease.new_owner()
    assert not lease.is_orphan(labels(other, NOW - 1e6), ME, NOW)


def test_of_a_process_that_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(ME, pid=child.pid, started=lease.started(child.pid))
    assert not lease.is_orphan(labels(owner), ME, NOW)
    child.kill()
    child.communicate()
    assert lease.is_orphan(labels(owner), ME, NOW)


def test_of_another_process_with_the_same_number() -> None:
    assert lease.is_orphan(labels(replace(ME, started="1")), ME, NOW)


@pytest.mark.parametrize("field", ["boot", "namespace"])
def test_where_the_process_cannot_be_looked_up_the_lease_decides(field: str) -> None:
    elsewhere = replace(ME, **{field: "another"}, pid=1, started="0")
    assert not lease.is_orphan(labels(elsewhere, NOW + 1), ME, NOW)
    assert not lease.is_orphan(labels(elsewhere, NOW - 1), ME, NOW)
    assert lease.is_orphan(labels(elsewhere, NOW - lease.MARGIN_S - 1), ME, NOW)


@pytest.mark.parametrize(
    "found", [{}, {lease.OWNER: "nonsense"}, {lease.OWNER: "a/b/-1/c/d", lease.LEASE: "soon"}]
)
def test_labels_that_make_no_sense_hold_nothing(found: dict[str, str]) -> None:
    assert lease.is_orphan(found, ME, NOW)
