"""Which node runs a task. Pure arithmetic over what the owner knows of each worker.

A score is the expected time in microseconds until the task could be done there, apart from its own run
time; lower is better. Every ranking keeps its terms, so that `explain` can put them into words.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nova_node.core.model import PROTOCOL, Capability, Card, Credit, Demand, Member, MemberState
from nova_node.core.tasks import Task

TRANSFER_BYTES_PER_US = 100.0
"""Assumed speed of fetching a blob from a peer (100 MB/s: gigabit Ethernet)."""

FAILURE_PENALTY_US = 200_000.0
PREFERENCE_US = 50_000.0
"""Of a label that is one place further down in what a task prefers."""

WAITING_US = 100.0
"""Of each attempt that waits on a node already: enough to spread them, less than any preference."""

LAG_FACTOR = 1_000.0
SAMPLE_ABOVE = 16
"""With more candidates than this, two drawn at random are compared in place of all."""

NO_CREDIT = Credit(0, 0, 0, 0)


class Worker:
    """What an owner knows of one node that may work for it, itself included."""

    __slots__ = (
        "capabilities",
        "card",
        "connecting",
        "credit",
        "failures",
        "labels",
        "member",
        "node",
        "owed",
        "owed_at",
        "owed_bytes",
        "owed_us",
        "owed_waiting",
        "recall_after",
        "retry_at",
        "up",
        "waiting",
    )

    def __init__(self, node: str) -> None:
        self.node = node
        self.member: Member | None = None
        self.card: Card | None = None
        self.capabilities: dict[str, Capability] = {}
        #: names of those that take a place
        self.waiting: frozenset[str] = frozenset()
        self.labels: frozenset[tuple[str, str]] = frozenset()
        #: a work stream is open
        self.up = False
        self.connecting = False
        self.retry_at = 0.0
        self.credit = NO_CREDIT
        self.owed: dict[int, Task] = {}
        #: of those that take slots
        self.owed_us = 0.0
        self.owed_bytes = 0
        #: how many take a place
        self.owed_waiting = 0
        #: of those, by depth
        self.owed_at: dict[int, int] = {}
        #: running failures: grows with each, halves with each success
        self.failures = 0.0
        self.recall_after = 0.0

    def take_card(self, card: Card) -> None:
        self.card = card
        self.capabilities = {c.name: c for c in card.capabilities}
        self.waiting = frozenset(c.name for c in card.capabilities if c.waits)
        self.labels = frozenset(card.labels)

    def splits(self, task: Task) -> bool:
        return self.capabilities[task.demand.capability].splits

    @property
    def owed_slots(self) -> int:
        """How many take a slot."""
        return len(self.owed) - self.owed_waiting

    def places_left(self, depth: int) -> int:
        """Each depth has its own: those that wait for deeper ones leave them room to be sent."""
        return max(0, self.credit.places - self.owed_at.get(depth, 0))

    def owe_waiting(self, depth: int, count: int) -> None:
        """So many more, or fewer."""
        self.owed_waiting += count
        self.owed_at[depth] = self.owed_at.get(depth, 0) + count
        if not self.owed_at[depth]:
            del self.owed_at[depth]

    def disown(self) -> list[Task]:
        """It owes nothing from now on; what it did until now."""
        owed = list(self.owed.values())
        self.owed.clear()
        self.owed_us, self.owed_bytes, self.owed_waiting = 0.0, 0, 0
        self.owed_at.clear()
        return owed

    def room(self, cost_us: float) -> int:
        """How many more tasks of this cost may be sent now, of those that take slots."""
        credit, owed = self.credit, len(self.owed) - self.owed_waiting
        if owed >= credit.max_items or self.owed_bytes >= credit.max_bytes:
            return 0
        by_time = int((credit.budget_us - self.owed_us) / cost_us)
        return max(credit.min_items - owed, min(by_time, credit.max_items - owed), 0)


class Rank(NamedTuple):
    """One candidate. `unfit` is "" or why the node cannot run the task at all."""

    node: str
    score: float
    unfit: str
    queue_us: float = 0.0
    transfer_us: float = 0.0
    lag_us: float = 0.0
    failure_us: float = 0.0
    preference_us: float = 0.0


def unfit(worker: Worker, demand: Demand) -> str:
    """Why this worker cannot run such a task; "" when it can."""
    member = worker.member
    if member is not None and member.state is not MemberState.ALIVE:
        return f"is {member.state.name.lower()}"
    if member is not None and member.protocol != PROTOCOL:
        return f"speaks protocol {member.protocol}, this node {PROTOCOL}: upgrade the older one"
    if member is not None and member.digest.draining:
        return "is draining"
    if worker.card is None:
        return "has not told its capabilities yet"
    capability = worker.capabilities.get(demand.capability)
    if capability is None:
        return f"does not offer {demand.capability}"
    if demand.version and capability.version != demand.version:
        return f"has {demand.capability} version {capability.version}, not {demand.version}"
    if worker.card.slots == 0 and not capability.waits:
        return "has no slots"
    for label in demand.labels:
        if label not in worker.labels:
            return f"lacks the label {label[0]}={label[1]}"
    if demand.prefers and worker.labels.isdisjoint(demand.prefers):
        names = " or ".join(f"{name}={value}" for name, value in demand.prefers[:3])
        return f"lacks every label it could run by, such as {names}"
    if demand.limits.memory_bytes > worker.card.memory_bytes > 0:
        return "has less memory than the task may use"
    return ""


def rank_one(worker: Worker, task: Task, reason: str) -> Rank:
    if reason:
        return Rank(worker.node, float("inf"), reason)
    assert worker.card is not None
    member = worker.member
    demand = task.demand
    if demand.capability in worker.waiting:
        queue_us = worker.owed_waiting * WAITING_US
    else:
        queue_us = worker.owed_us / max(1, worker.card.slots)
    lag_us = LAG_FACTOR * member.digest.lag_ms if member else 0.0
    transfer_us = missing_bytes(worker.node, task) / TRANSFER_BYTES_PER_US
    failure_us = worker.failures * FAILURE_PENALTY_US
    preference_us = _choice(worker, demand) * PREFERENCE_US if demand.prefers else 0.0
    score = queue_us + transfer_us + lag_us + failure_us + preference_us
    return Rank(worker.node, score, "", queue_us, transfer_us, lag_us, failure_us, preference_us)


def _choice(worker: Worker, demand: Demand) -> int:
    """0 when it carries the label that is preferred to all others, 1 for the next, and so on."""
    labels = worker.labels
    return next(place for place, label in enumerate(demand.prefers) if label in labels)


def missing_bytes(node: str, task: Task) -> int:
    """Bytes of the task's inputs that the node would have to fetch."""
    if not task.blobs or not task.call.inputs:
        return 0
    held = {blob.id for blob in task.blobs if node in blob.holders}
    return sum(
        extent.size_bytes
        for binary in task.call.inputs
        for extent in binary.extents or ()
        if extent.blob_id not in held
    )


def choose(
    workers: Sequence[Worker], task: Task, rng: random.Random
) -> tuple[list[Worker], list[Rank]]:
    """Workers fit and connected, best first, and the ranking. Beyond SAMPLE_ABOVE candidates the
    better of two random ones comes first, which is nearly as good and does not herd."""
    fit = [w for w in workers if w.up and not unfit(w, task.demand)]
    if len(fit) > SAMPLE_ABOVE and not task.demand.prefers:
        fit = rng.sample(fit, 2)
    ranks = {w.node: rank_one(w, task, "") for w in fit}
    fit.sort(key=lambda w: ranks[w.node].score)
    return fit, [ranks[w.node] for w in fit]


def rank_all(workers: Iterable[Worker], task: Task) -> list[Rank]:
    """Every worker with its reason, best first; for people."""
    ranks = [
        rank_one(w, task, unfit(w, task.demand) or ("" if w.up else "no work stream is open to it"))
        for w in workers
    ]
    return sorted(ranks, key=lambda r: (r.score, r.node))
