"""Anomalies: what is called one, when it begins and ends, and what never is one."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nova_node.metrics.anomaly import Anomaly, Detector, Rule, robust_z

RULE = Rule(needed=10, window=60, run=3)


def feed(detector: Detector, values: list[float]) -> list[Anomaly]:
    said = [detector.feed(float(at), value) for at, value in enumerate(values)]
    return [each for each in said if each is not None]


def noise(count: int, level: float = 100.0, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(level, level / 20) for _ in range(count)]


def test_noise_is_ordinary() -> None:
    assert feed(Detector("rate", RULE), noise(2_000)) == []


def test_a_level_that_jumps_begins_and_a_return_ends() -> None:
    detector = Detector("rate", RULE)
    assert feed(detector, noise(50)) == []
    begun = feed(detector, [400.0] * 3)
    assert [each.ended for each in begun] == [False]
    assert begun[0].z > RULE.z
    assert 90 < begun[0].median < 110
    assert detector.current == begun[0]
    ended = feed(detector, noise(3))
    assert [each.ended for each in ended] == [True]
    assert detector.current is None


def test_one_outlier_is_none() -> None:
    detector = Detector("rate", RULE)
    feed(detector, noise(50))
    assert feed(detector, [1e6, *noise(1), 1e6, 1e6, *noise(1)]) == []


def test_outliers_in_the_past_do_not_hide_the_next() -> None:
    past = [*noise(45), *[1e9] * 5]
    _, z = robust_z(past, 300.0, RULE)
    assert z > RULE.z


def test_a_new_level_becomes_ordinary() -> None:
    detector = Detector("rate", RULE)
    feed(detector, noise(60))
    said = feed(detector, noise(120, level=400.0))
    assert [each.ended for each in said] == [False, True]


def test_a_fall_counts_unless_only_above_does() -> None:
    down = [5.0] * 3
    both, above = Detector("rate", RULE), Detector("lag", Rule(needed=10, run=3, above_only=True))
    for detector in (both, above):
        feed(detector, noise(50))
    assert feed(both, down)[0].z < 0
    assert feed(above, down) == []


def test_small_changes_and_beginnings_do_not_count() -> None:
    quiet = Detector("latency", Rule(needed=10, run=3, least=0.01))
    assert feed(quiet, [0.001] * 50 + [0.005] * 10) == []
    idle = Detector("rate", Rule(needed=10, run=3, least=1.0, from_zero=False))
    assert feed(idle, [0.0] * 50 + [5_000.0] * 10) == []


def test_nothing_is_judged_without_a_past() -> None:
    assert feed(Detector("rate", RULE), [0.0] * 5 + [1e9] * 5) == []


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50), st.floats(-1e12, 1e12))
def test_the_score_is_a_number_with_the_right_sign(past: list[float], value: float) -> None:
    middle, z = robust_z(past, value, RULE)
    assert min(past) <= middle <= max(past)
    assert (z > 0) == (value > middle)
