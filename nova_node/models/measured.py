"""How fast each model answers here, and how much it says: running averages of what was measured.

Whoever hears of it is told when a figure changed by a fifth, a model at most every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

NEWEST = 0.2
"""Weight of the newest measurement."""

CHANGE = 0.2
TELL_EVERY_S = 5.0
TOKENS_MIN = 4
"""Fewer say nothing of a rate."""


class Figures(NamedTuple):
    """Of one model; 0: not measured yet."""

    ttft_ms: float = 0.0
    tokens_per_s: float = 0.0
    #: of an answer
    output_tokens: float = 0.0
    answers: int = 0


Row = tuple[str, float, float]
"""Name of a model, ttft_ms, tokens_per_s."""

Tell = Callable[[Sequence[Row]], None]


class Measured:
    def __init__(self) -> None:
        self._figures: dict[str, Figures] = {}
        self._told: dict[str, tuple[Figures, float]] = {}

    def of(self, name: str) -> Figures:
        return self._figures.get(name, Figures())

    def note(
        self, name: str, ttft_s: float, output_tokens: int, elapsed_s: float, now: float
    ) -> None:
        """Of an answer that came to its end."""
        old = self.of(name)
        saying_s = elapsed_s - ttft_s
        rate = output_tokens / saying_s if output_tokens >= TOKENS_MIN and saying_s > 0 else 0.0
        self._figures[name] = Figures(
            _averaged(old.ttft_ms, ttft_s * 1000),
            _averaged(old.tokens_per_s, rate),
            _averaged(old.output_tokens, output_tokens),
            old.answers + 1,
        )
        self._report(name, now)

    def _report(self, name: str, now: float) -> None:
        new = self._figures[name]
        told, told_at = self._told.get(name, (Figures(), -TELL_EVERY_S))
        moved = _moved(told.ttft_ms, new.ttft_ms) or _moved(told.tokens_per_s, new.tokens_per_s)
        if moved and now - told_at >= TELL_EVERY_S:
            self._told[name] = new, now
            for tell in _ears:
                tell([(name, round(new.ttft_ms, 1), round(new.tokens_per_s, 1))])


def _averaged(old: float, new: float) -> float:
    if not new:
        return old
    return old + NEWEST * (new - old) if old else float(new)


def _moved(old: float, new: float) -> bool:
    return abs(new - old) > CHANGE * old


_ears: list[Tell] = []


@contextmanager
def heard_by(tell: Tell) -> Generator[None]:
    """Within it `tell` gets what this process measures."""
    _ears.append(tell)
    try:
        yield
    finally:
        _ears.remove(tell)
