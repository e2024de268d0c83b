"""Matching what waits with room on workers, and taking back what one worker hoards.

Credit bounds what a worker is sent; expected cost comes from measured run times, so that tiny tasks
travel by the hundred and long ones at most a few ahead.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from nova_node.core.fairness import Flow, ReadyQueue
from nova_node.core.model import Demand, Phase
from nova_node.core.placement import Rank, Worker, choose, unfit
from nova_node.core.tasks import Task

COST_UNKNOWN_US = 10_000.0
COST_FLOOR_US = 8.0
ASSIGN_MAX = 512
RANKINGS_MAX = 256
RECALL_ABOVE_US = 5_000.0
RECALL_PAUSE_S = 0.02


class Ranking(NamedTuple):
    at: float
    ranks: list[Rank]


class Dispatch:
    def __init__(self, rng: random.Random) -> None:
        self.workers: dict[str, Worker] = {}
        self.ready = ReadyQueue()
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

    def pick(self, now: float) -> Iterator[tuple[Worker, list[Task]]]:
        """Pairs of a worker and waiting tasks for it; the caller marks them as owed before the next."""
        up = [w for w in self.workers.values() if w.up]
        if not up or not self.ready:
            return
        for flow in self.ready.flows():
            head = flow.head()
            if head is None:
                continue
            cost_us = self.cost_us(flow.demand, flow.phase)
            fit, ranks = choose(up, head, self._rng)
            self._keep_ranking(flow, Ranking(now, ranks))
            rooms = [(w, room) for w in fit if (room := w.room(cost_us))]
            if rooms:
                self.ready.served(flow)
                yield from _share(flow, rooms)
            elif fit:
                # kept free for it, else cheaper tasks of others would fill them again and again
                up = [w for w in up if w not in fit]
            if not any(w.room(COST_FLOOR_US) for w in up):
                return

    def owe(self, worker: Worker, tasks: list[Task]) -> None:
        cost_us = self.cost_us(tasks[0].demand, tasks[0].phase)
        owed = worker.owed
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
        if not worker.owed:
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
        if len(busiest.owed) < 2 or busiest.owed_us < RECALL_ABOVE_US or now < busiest.recall_after:
            return None
        last = next(reversed(busiest.owed.values()))
        for worker in up:
            if not worker.owed and _is_free(worker) and not unfit(worker, last.demand):
                busiest.recall_after = now + RECALL_PAUSE_S
                return busiest, min(len(busiest.owed) // 2, ASSIGN_MAX)
        return None

    def ranking(self, task: Task) -> Ranking | None:
        """The latest ranking made for such a task."""
        return self._rankings.get((task.demand, task.phase))

    def _keep_ranking(self, flow: Flow, ranking: Ranking) -> None:
        key = (flow.demand, flow.phase)
        self._rankings[key] = ranking
        self._rankings.move_to_end(key)
        if len(self._rankings) > RANKINGS_MAX:
            self._rankings.popitem(last=False)


def _share(flow: Flow, rooms: list[tuple[Worker, int]]) -> Iterator[tuple[Worker, list[Task]]]:
    """Spread over the workers, none getting more than it has room for."""
    share = -(-len(flow.tasks) // len(rooms))
    for worker, room in rooms:
        tasks = flow.take(min(room, share, ASSIGN_MAX))
        if not tasks:
            return
        yield worker, tasks


def _is_free(worker: Worker) -> bool:
    told = worker.member is None or worker.member.digest.slots_free > 0
    return told and worker.room(COST_FLOOR_US) > 0
