"""How long to wait before trying again."""

from __future__ import annotations

import random

BASE_S = 0.05
CAP_S = 5.0


def delay_s(attempt: int) -> float:
    """Full jitter: anything up to 50 ms doubled `attempt` times, at most 5 s."""
    return random.uniform(0.0, min(CAP_S, BASE_S * 2 ** min(attempt, 10)))
