"""Matching what waits with room on workers, and taking back what one worker hoards.

Credit bounds what a worker is sent; expected cost comes from measured run times, so that tiny tasks
travel by the hundred and long ones at most a few ahead.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nova_node.core.fairness import Flow, ReadyQueue
from nova_node.core.model import Demand, Group, Phase
from nova_node.core.placement import PREFERENCE_US, Rank, Worker, choose, unfit
from nova_node.core.purse import Purse
from nova_node.core.tasks import Task

COST_UNKNOWN_US = 10_000.0
COST_FLOOR_US = 8.0
BRIEF_US = 500.0
NONE = frozenset[str]()
WAITS = 0.0
"""The cost of a task that takes a place: no time of a slot."""

ASSIGN_MAX = 512
RANKINGS_MAX = 256
RECALL_ABOVE_US = 5_000.0
RECALL_PAUSE_S = 0.02
RESTS_MAX = 1024


class Ranking(NamedTuple):
    at: float
    ranks: list[Rank]


class Dispatch:
    def __init__(self, rng: random.Random) -> None:
        self.workers: dict[str, Worker] = {}
        self.ready = ReadyQueue()
        #: when a node that asked for a pause, and was passed over, may be asked again
        self.wake_at = float("inf")
        #: flows of batches whose money is used up, for the owner to end
        self.broke: list[Flow] = []
        self._rests: dict[tuple[str, Demand], float] = {}
        self._rng = rng
        self._cost_us: dict[tuple[str, Phase], float] = {}
        self._rankings: OrderedDict[tuple[Demand, Phase], Ranking] = OrderedDict()

    def learn(self, demand: Demand, phase: Phase, elapsed_us: float) -> None:
        """Fold a measured run time into the expected cost of such attempts."""
        key = (demand.capability, phase)
        old = self._cost_us.get(key)
        sample = elapsed_us + COST_FLOOR_US
        self._cost_us[key] = sample if old is None else 0.7 * old + 0.3 * sample

    def cost_us(self, demand: Demand, phase: Phase) -> float:
        return self._cost_us.get((demand.capability, phase), COST_UNKNOWN_US)

    def is_brief(self, group: Group) -> bool:
        """Whether all of it will be done in a moment, if it is begun at once."""
        return len(group.calls) * self.cost_us(group.demand, Phase.RUN) < BRIEF_US

    def pick(self, now: float) -> Iterator[tuple[Worker, list[Task]]]:
        """Pairs of a worker and waiting tasks for it; the caller marks them as owed before the next."""
        everyone = up = [w for w in self.workers.values() if w.up]
        if not up or not self.ready:
            return
        waiting = NONE
        for worker in up:
            if worker.waiting:
                waiting |= worker.waiting
        full = False
        for flow in self.ready.flows():
            head = flow.head()
            waits = bool(waiting) and flow.demand.capability in waiting
            if head is None or (full and not waits):
                continue
            purse = head.batch.purse
            if purse is not None and not self._can_pay(flow, purse):
                continue
            cost_us = self.cost_us(flow.demand, flow.phase)
            workers = everyone if waits else up
            if self._rests:
                workers = self._awake(workers, flow.demand, now)
            fit, ranks = choose(workers, head, self._rng)
            self._keep_ranking(flow, Ranking(now, ranks))
            if waits:
                rooms = [(w, n) for w in fit if (n := _room(w, flow.demand, cost_us, head.depth))]
            else:
                rooms = [(w, room) for w in fit if (room := w.room(cost_us))]
            if rooms:
                self.ready.served(flow)
                for tier in _tiers(rooms, ranks) if flow.demand.prefers else (rooms,):
                    yield from _share(flow, tier, purse)
            elif fit and not waits:
                # kept free for it, else cheaper tasks of others would fill them again and again
                up = [w for w in up if w not in fit]
            if not full and not any(w.room(COST_FLOOR_US) for w in up):
                full = True
            if full and not waiting:
                return

    def _can_pay(self, flow: Flow, purse: Purse) -> bool:
        """Whether its batch has the money for one attempt; notes those that never will."""
        if purse.fits(flow.demand.allowance_uusd):
            return True
        if purse.is_settled:
            self.broke.append(flow)
        return False

    def owe(self, worker: Worker, tasks: list[Task]) -> None:
        owed = worker.owed
        if tasks[0].demand.capability in worker.waiting:
            worker.owe_waiting(tasks[0].depth, len(tasks))
            for task in tasks:
                owed[task.no], task.cost_us = task, WAITS
            return
        cost_us = self.cost_us(tasks[0].demand, tasks[0].phase)
        for task in tasks:
            owed[task.no] = task
            task.cost_us = cost_us
            call = task.call
            worker.owed_bytes += len(call.args) if not call.inputs else call.size_bytes
        worker.owed_us += cost_us * len(tasks)

    def settle(self, worker: Worker, task: Task) -> None:
        """The worker no longer owes this task."""
        if worker.owed.pop(task.no, None) is None:
            return
        if task.cost_us == WAITS:
            worker.owe_waiting(task.depth, -1)
            return
        if len(worker.owed) == worker.owed_waiting:
            worker.owed_us, worker.owed_bytes = 0.0, 0
            return
        worker.owed_us -= task.cost_us
        call = task.call
        worker.owed_bytes -= len(call.args) if not call.inputs else call.size_bytes

    def recall(self, now: float) -> tuple[Worker, int] | None:
        """When one worker is idle, though all that fits it was handed out: whom to ask for unstarted
        work, and how much."""
        up = [w for w in self.workers.values() if w.up]
        if len(up) < 2:
            return None
        busiest = max(up, key=lambda w: w.owed_us)
        if busiest.owed_us < RECALL_ABOVE_US or now < busiest.recall_after:
            return None
        owed = busiest.owed_slots
        if owed < 2:
            return None
        last = next(task for task in reversed(busiest.owed.values()) if task.cost_us != WAITS)
        for worker in up:
            if not worker.owed_slots and _is_free(worker) and not unfit(worker, last.demand):
                busiest.recall_after = now + RECALL_PAUSE_S
                return busiest, min(owed // 2, ASSIGN_MAX)
        return None

    # ------------------------------------------------------------ nodes that asked for a pause

    def rest(self, node: str, demand: Demand, until: float, now: float) -> float:
        """Keep such tasks away from the node until then. When another attempt may begin: at once
        (`now`) when another node fits, else when the first of those that rest may be asked again."""
        if len(self._rests) >= RESTS_MAX:
            self._rests = {key: end for key, end in self._rests.items() if end > now}
        if len(self._rests) < RESTS_MAX:
            self._rests[node, demand] = until
        fit = [w for w in self.workers.values() if w.up and not unfit(w, demand)]
        return min([max(now, self.rests_until(w, demand)) for w in fit], default=until)

    def rests_until(self, worker: Worker, demand: Demand) -> float:
        """In the past, or 0, when it does not."""
        return self._rests.get((worker.node, demand), 0.0)

    def _awake(self, workers: list[Worker], demand: Demand, now: float) -> list[Worker]:
        resting = [end for w in workers if (end := self.rests_until(w, demand)) > now]
        if not resting:
            return workers
        self.wake_at = min(self.wake_at, *resting)
        return [w for w in workers if self.rests_until(w, demand) <= now]

    # ------------------------------------------------------------ for people

    def ranking(self, task: Task) -> Ranking | None:
        """The latest ranking made for such a task."""
        return self._rankings.get((task.demand, task.phase))

    def _keep_ranking(self, flow: Flow, ranking: Ranking) -> None:
        key = (flow.demand, flow.phase)
        self._rankings[key] = ranking
        self._rankings.move_to_end(key)
        if len(self._rankings) > RANKINGS_MAX:
            self._rankings.popitem(last=False)


def _room(worker: Worker, demand: Demand, cost_us: float, depth: int) -> int:
    """How many more such tasks may be sent to it now."""
    waits = demand.capability in worker.waiting
    return worker.places_left(depth) if waits else worker.room(cost_us)


def _tiers(
    rooms: list[tuple[Worker, int]], ranks: Sequence[Rank]
) -> Iterator[list[tuple[Worker, int]]]:
    """Workers as good as each other for a task that prefers some, the best first."""
    scores = {rank.node: rank.score for rank in ranks}
    while rooms:
        enough = scores[rooms[0][0].node] + PREFERENCE_US / 2
        yield [pair for pair in rooms if scores[pair[0].node] < enough]
        rooms = [pair for pair in rooms if scores[pair[0].node] >= enough]


def _share(
    flow: Flow, rooms: list[tuple[Worker, int]], purse: Purse | None
) -> Iterator[tuple[Worker, list[Task]]]:
    """Spread over the workers, none getting more than it has room for, nor all than can be paid."""
    share = -(-len(flow.tasks) // len(rooms))
    for worker, room in rooms:
        count = min(room, share, ASSIGN_MAX)
        if purse is not None:
            count = min(count, purse.fits(flow.demand.allowance_uusd))
        tasks = flow.take(count)
        if not tasks:
            return
        yield worker, tasks


def _is_free(worker: Worker) -> bool:
    told = worker.member is None or worker.member.digest.slots_free > 0
    return told and worker.room(COST_FLOOR_US) > 0
