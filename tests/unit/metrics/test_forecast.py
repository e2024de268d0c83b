"""The forecast: right about what is simple, honest about what is not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nova_node.metrics.forecast import NEEDED, forecast


def test_too_little_gives_none() -> None:
    assert forecast([1.0] * (NEEDED - 1), 5) is None
    assert forecast([1.0] * 50, 0) is None


def test_a_constant_goes_on_and_is_sure() -> None:
    said = forecast([7.0] * 60, 10)
    assert said is not None
    assert [step.value for step in said.steps] == [7.0] * 10
    assert [step.error for step in said.steps] == [0.0] * 10


def test_a_trend_is_followed() -> None:
    said = forecast([float(n) for n in range(100)], 5)
    assert said is not None
    assert said.method == "trend"
    assert said.steps[4].value > said.steps[0].value > 98.0
    assert abs(said.steps[0].value - 100.0) < 2.0


def test_a_random_walk_is_left_at_its_level() -> None:
    rng = random.Random(4)
    values, level = list[float](), 1_000.0
    for _ in range(200):
        level += rng.choice((-5.0, 5.0))
        values.append(level)
    said = forecast(values, 20)
    assert said is not None
    assert abs(said.steps[19].value - level) < 60.0


def test_its_error_is_about_what_it_then_misses_by() -> None:
    rng = random.Random(9)
    values = [100.0 + rng.gauss(0, 10) for _ in range(400)]
    missed, told = list[float](), list[float]()
    for end in range(200, 395, 5):
        said = forecast(values[:end], 5)
        assert said is not None
        missed.append(abs(said.steps[4].value - values[end + 4]))
        told.append(said.steps[4].error)
    assert 0.6 < sum(missed) / sum(told) < 1.6


@given(
    st.lists(st.floats(0, 1e9), min_size=NEEDED, max_size=80),
    st.integers(1, 60),
)
def test_it_stays_above_the_least_and_farther_is_never_surer(
    values: list[float], steps: int
) -> None:
    said = forecast(values, steps)
    assert said is not None
    assert len(said.steps) == steps
    assert all(step.value >= 0 for step in said.steps)
    errors = [step.error for step in said.steps]
    assert errors == sorted(errors)
