"""Vectors of meaning made small: turned, then cut to a byte a number, and to 256 bits. Pure.

The bits find candidates among very many fast (those of like vectors differ in few), the bytes rank them.
A fixed random rotation (signs, then Hadamard's) spreads what a model puts into few numbers.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from functools import cache
from math import isfinite, sqrt
from operator import add, mul, sub
from typing import NamedTuple

WORDS, WORD_BITS = 4, 64
BITS = WORDS * WORD_BITS
NUMBERS_MAX = 8192
SEED = 0x6E6F7661
TOP = 127


class Packed(NamedTuple):
    body: bytes
    bits: tuple[int, ...]


def pack(vector: Sequence[float]) -> Packed | None:
    """None: it points nowhere, or is too long."""
    if not 0 < len(vector) <= NUMBERS_MAX or not all(map(isfinite, vector)):
        return None
    turned = _turned(vector)
    most = max(map(abs, turned))
    if not most or not isfinite(most):
        return None
    body = array("b", [round(each / most * TOP) for each in turned]).tobytes()
    words = (turned[at : at + WORD_BITS] for at in range(0, BITS, WORD_BITS))
    return Packed(body, tuple(_word(word) for word in words))


def cosine(one: bytes, other: bytes) -> float:
    """Of two bodies; 0 where they are of different length."""
    if len(one) != len(other):
        return 0.0
    a, b = array("b", one), array("b", other)
    size = sqrt(sum(map(mul, a, a)) * sum(map(mul, b, b)))
    return sum(map(mul, a, b)) / size if size else 0.0


def apart(one: Sequence[int], other: Sequence[int]) -> int:
    """In how many bits they differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def _turned(vector: Sequence[float]) -> list[float]:
    size = max(BITS, 1 << (len(vector) - 1).bit_length())
    found = [*map(mul, vector, _signs(size)), *(0.0 for _ in range(size - len(vector)))]
    for _ in range(size.bit_length() - 1):
        evens, odds = found[0::2], found[1::2]
        found = [*map(add, evens, odds), *map(sub, evens, odds)]
    return found


@cache
def _signs(size: int) -> tuple[int, ...]:
    chance = random.Random(SEED)
    return tuple(1 - 2 * chance.getrandbits(1) for _ in range(size))


def _word(numbers: Sequence[float]) -> int:
    word = 0
    for each in numbers:
        word = word << 1 | (each > 0)
    return word
