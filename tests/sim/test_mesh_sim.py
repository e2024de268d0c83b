"""Whole meshes under seeded faults: what Nova promises holds, and planted bugs are found.

To look into one seed: `simulate(seed)` from support.world, which gives the same run each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from support.world import Run, simulate
from support.world_bugs import BUGS
from support.world_money_bugs import MONEY_BUGS

SEEDS = 500
SEEDS_LONG = 20_000
SEEDS_DEEDS = 100
SEEDS_MONEY = 60
SEEDS_MONEY_LONG = 5_000
SEEDS_PER_BUG = 300


def failures(seeds: Iterable[int]) -> list[Run]:
    return [run for run in map(simulate, seeds) if run.error]


def told(failed: list[Run], of: int) -> str:
    lines = [f"seed {run.seed}: {run.error[:600]}" for run in failed[:20]]
    return f"{len(failed)} of {of} seeds failed\n" + "\n".join(lines)


@pytest.mark.timeout(900)
def test_promises_hold_under_faults() -> None:
    failed = failures(range(SEEDS))
    assert not failed, told(failed, SEEDS)


@pytest.mark.timeout(300)
def test_promises_hold_while_dead_letters_are_requeued_and_drains_ended() -> None:
    runs = [simulate(seed, deeds=True) for seed in range(SEEDS_DEEDS)]
    failed = [run for run in runs if run.error]
    assert not failed, told(failed, SEEDS_DEEDS)


@pytest.mark.timeout(300)
def test_no_budget_is_exceeded_under_faults() -> None:
    runs = [simulate(seed, deeds=seed % 2 > 0, money=True) for seed in range(SEEDS_MONEY)]
    failed = [run for run in runs if run.error]
    assert not failed, told(failed, SEEDS_MONEY)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_no_budget_is_exceeded_under_faults_long() -> None:
    seeds = range(SEEDS_MONEY, SEEDS_MONEY + SEEDS_MONEY_LONG)
    runs = [simulate(seed, deeds=seed % 2 > 0, money=True) for seed in seeds]
    failed = [run for run in runs if run.error]
    assert not failed, told(failed, SEEDS_MONEY_LONG)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_promises_hold_under_faults_long() -> None:
    failed = failures(range(SEEDS, SEEDS + SEEDS_LONG))
    assert not failed, told(failed, SEEDS_LONG)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_seed_repeats_itself(seed: int) -> None:
    first = simulate(seed)
    assert simulate(seed) == first
    assert simulate(seed + 1).trace != first.trace


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", BUGS.values(), ids=BUGS.keys())
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(simulate(seed).error for seed in range(SEEDS_PER_BUG))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", MONEY_BUGS.values(), ids=MONEY_BUGS.keys())
def test_a_planted_bug_about_money_or_places_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(simulate(seed, money=True).error for seed in range(SEEDS_PER_BUG))
