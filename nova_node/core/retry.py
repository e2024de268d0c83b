"""When a failed attempt is tried again: exponential with full jitter, capped, finite."""

from __future__ import annotations

import random
from dataclasses import dataclass

from nova_node.core.model import Failure

BLAMELESS = frozenset({"lost", "unavailable", "blob_unavailable", "draining"})
"""Codes of failures that the mesh is to blame for, not the task."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`cap_s` bounds what this node chooses, `pause_cap_s` what whoever failed asks for."""

    base_s: float = 0.2
    cap_s: float = 300.0
    pause_cap_s: float = 3600.0
    #: attempts lost with their node are not the task's fault, but they are not endless either
    max_losses: int = 10


def delay_s(policy: RetryPolicy, failures: int, rng: random.Random) -> float:
    """Seconds to wait after the `failures`-th failure (1, 2, ...)."""
    ceiling = min(policy.cap_s, policy.base_s * 2.0 ** min(failures - 1, 32))
    return rng.uniform(0.0, ceiling)


def is_charged(failure: Failure) -> bool:
    """Whether it counts against the task's attempts; else, as when it was only asked to come back
    later, it counts as a loss."""
    return failure.code not in BLAMELESS and not failure.retry_after_s


def gives_up(failure: Failure, failures: int, max_attempts: int) -> bool:
    """`failures` counts this one."""
    return not failure.retryable or failures >= max_attempts
