"""When the console looks for cycles: never while somebody types, and not never."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from nova_console.app import sweep
from nova_console.app.sweep import EVERY_S, LATEST_S, QUIET_S, Sweep


@pytest.fixture
def begun() -> Generator[Sweep]:
    before = gc.get_threshold()
    sweep.begin()
    yield Sweep(now=0.0)
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.enable()


def test_it_sweeps_in_the_first_quiet_moment(begun: Sweep) -> None:
    assert not begun.pause(EVERY_S - 1)
    assert begun.pause(EVERY_S)
    assert not begun.pause(EVERY_S + QUIET_S)
    assert begun.pause(2 * EVERY_S)


def test_a_key_puts_it_off_but_not_for_ever(begun: Sweep) -> None:
    for now in range(int(LATEST_S)):
        begun.keyed(now)
        assert not begun.pause(now + 0.5)
    begun.keyed(LATEST_S)
    assert begun.pause(LATEST_S + 0.5)


def test_after_the_first_frame_the_young_are_looked_at_and_all_never_by_itself(
    begun: Sweep,
) -> None:
    assert not gc.isenabled()
    begun.settle()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[2] == sweep.NEVER


def test_where_it_was_not_begun_python_is_left_alone() -> None:
    other, before = Sweep(now=0.0), gc.get_threshold()
    other.settle()
    assert gc.get_threshold() == before
    assert not other.pause(10 * LATEST_S)
