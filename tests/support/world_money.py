"""Money and places in a simulated mesh: what clients ask for, what it costs, and that no budget is exceeded.

What an attempt really spends is counted when it begins, wherever it runs and whatever becomes of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from support.world_clock import Violation
from support.world_work import MAX_ATTEMPTS, WALL_S, Job, make_job

from nova_node.core.engine import Engine
from nova_node.core.events import Assigned, Event
from nova_node.core.model import Attempt, Demand, Fence, Limits, Usage
from nova_node.core.tasks import Batch, Tasks

FAILED_FOR = frozenset({"raised", "worker_died", "wall_limit"})
BROKE = "budget_exhausted"

Labels = list[tuple[str, str]]


class Order(NamedTuple):
    jobs: list[Job]
    budget_uusd: int


class Till:
    """What was really spent, by request."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def spend(self, attempt: Attempt, args: dict[str, Any]) -> Usage | None:
        """The attempt begins. What it tells of it; None: it keeps silent."""
        allowance = attempt.demand.allowance_uusd
        if not allowance:
            return None
        spent = min(allowance, args.get("cost", allowance))
        self.spent[request_of(args["u"])] += spent
        told = None if args.get("free") else spent
        return None if args.get("silent") else Usage("sim", 1, 1, told)


def request_of(unit: str) -> str:
    return "r" + unit[1:].partition("-")[0]


def make_order(rng: random.Random, number: int, labels: Labels) -> Order:
    """A batch with a budget that may or may not do."""
    count = rng.choice((1, 3, 6, 12))
    jobs = [_spender(rng, f"t{number}-{place}", labels) for place in range(count)]
    most = sum(job.demand.allowance_uusd for job in jobs)
    return Order(jobs, max(1, int(most * rng.choice((0.2, 0.6, 1.2, 5.0)))))


def make_waiter(rng: random.Random, unit: str, labels: Labels) -> Job:
    """A task that takes a place."""
    args: dict[str, Any] = {
        "u": unit,
        "x": rng.randrange(100),
        "s": rng.choice((0.0, 0.05, 0.5, 2.0)),
    }
    value = {"twice": 2 * args["x"]}
    prefers = tuple(rng.sample(labels, rng.randint(1, len(labels)))) if rng.random() < 0.4 else ()
    limits = Limits(wall_s=WALL_S) if rng.random() < 0.1 else Limits()
    demand = Demand("sim.ask", prefers=prefers, limits=limits, max_attempts=MAX_ATTEMPTS)
    cancel = rng.uniform(0.0, 0.3) if rng.random() < 0.12 else 0.0
    how = rng.choices(("", "busy", "raise", "die"), (6, 2, 1, 1))[0]
    if how:
        args |= {"fail": how, "times": rng.randint(1, 2)}
    if limits.wall_s:
        args |= {"fail": "stall", "times": 1, "s": 0.05}
    return Job(demand, args, value, charged_for=FAILED_FOR, cancel_after_s=cancel)


def _spender(rng: random.Random, unit: str, labels: Labels) -> Job:
    job = make_waiter(rng, unit, labels)
    if rng.random() < 0.2:
        job = _splitter(rng, unit, labels)
    allowance = rng.choice((10, 100, 100, 1000))
    told = {"cost": rng.randint(0, allowance)}
    told |= {rng.choice(("silent", "free")): True} if rng.random() < 0.2 else {}
    demand = replace(job.demand, allowance_uusd=allowance)
    return replace(job, demand=demand, args=job.args | told, code=BROKE, charges=0)


def _splitter(rng: random.Random, unit: str, labels: Labels) -> Job:
    while True:
        job = make_job(rng, unit, labels)
        if job.demand.capability == "sim.list" and not job.code:
            return job


def is_reserved(attempt: Attempt, on_disk: Sequence[Event]) -> bool:
    """Whether its owner could know of it after a crash."""
    fence = Fence(attempt.no, attempt.attempt)
    facts = [event.fact for event in on_disk]
    return any(isinstance(fact, Assigned) and fence in fact.fences for fact in facts)


def check_money(engine: Engine, till: Till, is_kept: Callable[[str], bool]) -> None:
    """Raises Violation. `is_kept` tells whether a request is of a journaled batch: a volatile one is
    accepted anew when its owner dies before it answered."""
    for batch in engine.tasks.batches.values():
        purse = batch.purse
        if purse is None:
            continue
        known = purse.spent_uusd + purse.reserved_uusd
        if known > purse.limit_uusd:
            raise Violation(f"{batch.request_id}: {known} of {purse.limit_uusd} are given out")
        if purse.reserved_uusd and not batch.unended:
            raise Violation(f"{batch.request_id} has ended and holds {purse.reserved_uusd} back")
        spent = till.spent[batch.request_id]
        if is_kept(batch.request_id) and spent > known:
            raise Violation(f"{batch.request_id} spent {spent}, its owner knows of {known}")


def purses(tasks: Tasks) -> dict[int, tuple[int, int]]:
    """What a replay must give again."""
    kept = [b for b in tasks.batches.values() if b.journaled]
    return {b.first: _money(b) for b in kept if b.purse is not None}


def _money(batch: Batch) -> tuple[int, int]:
    assert batch.purse is not None
    return batch.purse.spent_uusd, batch.purse.reserved_uusd
