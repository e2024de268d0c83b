"""Why a task is where it is, in words: what it waits for, and what would unblock it."""

from __future__ import annotations

from typing import NamedTuple

from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Durability, Status
from nova_node.core.owner import Owner
from nova_node.core.placement import Rank, Worker, rank_all, unfit
from nova_node.core.tasks import Task


class Explanation(NamedTuple):
    status: Status
    waits_for: str
    unblock: list[str]
    ranking: list[Rank]
    #: unix seconds of the ranking; 0 = made for this answer
    ranked_at: float
    durability: str


DURABILITY = {
    Durability.JOURNALED: (
        "journaled: on this node's disk before it was acknowledged. If this node dies, the task goes on"
        " when it starts again; no other node takes it over."
    ),
    Durability.VOLATILE: "volatile: in memory only; lost if this node's process ends.",
}


def explain(owner: Owner, task: Task, now: float) -> Explanation:
    kept = owner.dispatch.ranking(task)
    workers = list(owner.dispatch.workers.values())
    waiting = task.status in (Status.WAITING, Status.BACKOFF)
    if waiting or kept is None:
        ranking, ranked_at = rank_all(workers, task), 0.0
    else:
        ranking, ranked_at = kept.ranks, kept.at
    waits_for, unblock = _waits(owner, task, workers, now)
    durability = DURABILITY[task.demand.durability]
    return Explanation(task.status, waits_for, unblock, ranking, ranked_at, durability)


def _waits(owner: Owner, task: Task, workers: list[Worker], now: float) -> tuple[str, list[str]]:
    if task.status in ENDED:
        return "nothing: it has ended", []
    if task.status is Status.BACKOFF:
        return f"its next attempt, in {max(0.0, task.not_before - now):.1f} s", []
    if task.children is not None:
        ended = sum(1 for c in task.children if c.status in ENDED)
        return f"its shards and merges: {ended} of {len(task.children)} known so far have ended", []
    if task.status is Status.RUNNING:
        return f"attempt {task.attempt} on node {task.node}", ["cancel it: nova cancel"]
    if owner.draining:
        return "this node to end its drain", ["nova-node resume", "or start this node again"]
    purse = task.batch.purse
    if purse is not None and not purse.fits(task.demand.allowance_uusd):
        spent, held, limit = (
            f"${uusd / 1e6:.6f}"
            for uusd in (purse.spent_uusd, purse.reserved_uusd, purse.limit_uusd)
        )
        return f"money: {spent} of {limit} are spent, {held} reserved for attempts under way", []
    fit = [w for w in workers if not unfit(w, task.demand)]
    rests = [owner.dispatch.rests_until(w, task.demand) - now for w in fit if w.up]
    if rests and min(rests) > 0:
        return f"a node that asked for a pause, for {min(rests):.1f} s more", [
            "add a node that can run it too"
        ]
    if fit and any(w.up for w in fit):
        return "room on a node: all that fit are busy", [
            "add a node or slots",
            "raise its priority",
        ]
    if fit:
        return "a connection to a node that fits", ["see `nova-node doctor` there"]
    return _no_fit(task, workers)


def _no_fit(task: Task, workers: list[Worker]) -> tuple[str, list[str]]:
    demand = task.demand
    offering = [w for w in workers if demand.capability in w.capabilities]
    if not offering:
        return (
            f"a node that offers {demand.capability}; none does",
            [
                f"start a node with the plug-in that holds {demand.capability}",
                "check the name: nova capabilities",
                "cancel it: nova cancel",
            ],
        )
    reasons = sorted({f"{w.node}: {unfit(w, demand)}" for w in offering})
    return f"a node that fits among {len(offering)} that offer {demand.capability}", reasons


def words(rank: Rank) -> list[str]:
    """The terms of a rank, largest first."""
    if rank.unfit:
        return [rank.unfit]
    terms = [
        (rank.queue_us, f"{rank.queue_us / 1000:.1f} ms of work ahead"),
        (rank.transfer_us, f"{rank.transfer_us / 1000:.1f} ms to fetch its inputs"),
        (rank.lag_us, f"{rank.lag_us / 1000:.1f} ms for a slow event loop"),
        (rank.preference_us, f"{rank.preference_us / 1000:.1f} ms for not being its first choice"),
        (rank.failure_us, f"{rank.failure_us / 1000:.1f} ms for recent failures"),
    ]
    told = [text for cost, text in sorted(terms, reverse=True) if cost > 0]
    return told or ["free"]
