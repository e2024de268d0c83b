"""Virtual time for simulations: a heap of what happens next, and the one source of chance."""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable
from itertools import count
from typing import Any

START = 1_700_000_000.0

Act = Callable[[], None]


class Violation(AssertionError):
    """A promise was broken."""


class Clock:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START
        #: a checksum over all that happened, in order
        self.trace = 0
        self._agenda: list[tuple[float, int, Act]] = []
        self._order = count()

    def at(self, when: float, act: Act) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), act))

    def later(self, seconds: float, act: Act) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), act))

    def note(self, words: str) -> None:
        self.trace = zlib.crc32(f"{self.now!r} {words}".encode(), self.trace)

    def run(self, seconds: float) -> None:
        agenda, end = self._agenda, self.now + seconds
        while agenda and agenda[0][0] <= end:
            self.now, _, act = heapq.heappop(agenda)
            act()
        self.now = end


def drive(work: Any) -> None:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
