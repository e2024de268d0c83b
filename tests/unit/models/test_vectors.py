"""Vectors made small: what is like stays like."""

from __future__ import annotations

import random

import pytest

from nova_node.models.vectors import BITS, NUMBERS_MAX, apart, cosine, pack

CHANCE = random.Random(7)


def near(vector: list[float], how: float) -> list[float]:
    """Another one, at about this cosine."""
    other = [CHANCE.gauss(0, 1) for _ in vector]
    rest = (1 - how * how) ** 0.5
    return [how * a + rest * b for a, b in zip(vector, other, strict=True)]


def vector(size: int) -> list[float]:
    return [CHANCE.gauss(0, 1) for _ in range(size)]


@pytest.mark.parametrize("size", [32, 384, 1536])
def test_bytes_keep_the_angle_and_bits_order_it(size: int) -> None:
    one = vector(size)
    exact, like, other = (pack(each) for each in (one, near(one, 0.95), vector(size)))
    mine = pack(one)
    assert mine
    assert exact
    assert like
    assert other
    assert mine == exact
    assert round(cosine(mine.body, exact.body), 6) == 1
    assert abs(cosine(mine.body, like.body) - 0.95) < 0.06
    assert apart(mine.bits, like.bits) < BITS // 4 < apart(mine.bits, other.bits)


def test_one_large_number_does_not_drown_the_rest() -> None:
    one, other = [100.0, *vector(300)], [-100.0, *vector(300)]
    packed, opposite = pack(one), pack(other)
    assert packed
    assert opposite
    assert len(set(packed.body)) > 20
    assert cosine(packed.body, opposite.body) < -0.9


@pytest.mark.parametrize("bad", [[], [0.0] * 8, [float("nan")] * 8, [1.0] * (NUMBERS_MAX + 1)])
def test_what_points_nowhere_is_none(bad: list[float]) -> None:
    assert pack(bad) is None


def test_vectors_of_different_length_are_not_alike() -> None:
    one, other = pack(vector(256)), pack(vector(600))
    assert one
    assert other
    assert cosine(one.body, other.body) == 0
