"""When a failed attempt is tried again."""

from __future__ import annotations

import random

import pytest

from nova_node.core.model import Failure
from nova_node.core.retry import RetryPolicy, delay_s, gives_up, is_charged

POLICY = RetryPolicy(base_s=0.2, cap_s=300.0)
RETRYABLE = Failure("raised", "again", retryable=True)


@pytest.mark.parametrize(("failures", "ceiling_s"), [(1, 0.2), (2, 0.4), (5, 3.2), (60, 300.0)])
def test_waits_grow_with_full_jitter_up_to_a_cap(failures: int, ceiling_s: float) -> None:
    rng = random.Random(1)
    waits = [delay_s(POLICY, failures, rng) for _ in range(500)]
    assert min(waits) < 0.1 * ceiling_s
    assert 0.9 * ceiling_s < max(waits) <= ceiling_s


def test_attempts_are_finite() -> None:
    assert not gives_up(RETRYABLE, 2, 3)
    assert gives_up(RETRYABLE, 3, 3)


def test_hopeless_failures_are_not_tried_again() -> None:
    assert gives_up(Failure("raised", "never"), 1, 100)


@pytest.mark.parametrize("code", ["lost", "unavailable", "blob_unavailable"])
def test_what_the_mesh_is_to_blame_for_is_not_charged(code: str) -> None:
    assert not is_charged(Failure(code, "", retryable=True))
    assert is_charged(RETRYABLE)
