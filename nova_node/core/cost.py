"""How long attempts of one kind run: a running mean, and how far single ones stray from it."""

from __future__ import annotations

WEIGHT = 0.3


class Cost:
    __slots__ = ("mean_us", "spread_us")

    def __init__(self, sample_us: float) -> None:
        self.mean_us = sample_us
        self.spread_us = 0.5 * sample_us

    def learn(self, sample_us: float) -> None:
        off_us = sample_us - self.mean_us
        self.mean_us += WEIGHT * off_us
        self.spread_us += WEIGHT * (abs(off_us) - self.spread_us)

    @property
    def cautious_us(self) -> float:
        """Most take less: nothing short should wait behind what may be long."""
        return self.mean_us + 3.0 * self.spread_us
