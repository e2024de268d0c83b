"""How far this node trusts its own judgement (Lifeguard's local health).

A node that is late itself takes longer over its probes, so that it blames nobody for its own lag.
"""

from __future__ import annotations

SCORE_MAX = 7


class Awareness:
    """`score` 0 is healthy; each point makes the node's probes rarer and more patient."""

    def __init__(self) -> None:
        self.score = 0

    @property
    def multiplier(self) -> int:
        return 1 + self.score

    def worsen(self, points: int = 1) -> None:
        self.score = min(SCORE_MAX, self.score + points)

    def improve(self) -> None:
        self.score = max(0, self.score - 1)

    def lagged(self, lag_s: float, tolerable_s: float) -> None:
        """One point for each `tolerable_s` of lag, three at most."""
        if lag_s >= tolerable_s:
            self.worsen(min(3, int(lag_s / tolerable_s)))
