"""Whole meshes in one process: real cores on a virtual clock, with faults, clients and checks.

All chance comes from one seed: the same seed gives the same trace. A run has two parts: faults, under
which nothing wrong may happen, and quiet, within which everything accepted must end.
"""

from __future__ import annotations

from typing import NamedTuple

from support.world_checks import Checks, unrest
from support.world_clients import Clients, Owner
from support.world_clock import START, Clock, Violation
from support.world_faults import Faults
from support.world_net import Net
from support.world_node import SimNode
from support.world_work import Job, Works

from nova_node.core.engine import EngineConfig
from nova_node.core.owner import OwnerConfig
from nova_node.core.retention import RetentionConfig
from nova_node.core.worker import WorkerConfig

FAULTS_S = 10.0
QUIET_MAX_S = 120.0
TURNS_MAX_A_SECOND = 2000
"""Of one node, averaged over a run: more is a loop that spins."""


class Run(NamedTuple):
    """How a seed went. `error` is "" when all held."""

    seed: int
    trace: int
    virtual_s: float
    tasks: int
    runs: int
    error: str


class World:
    def __init__(self, seed: int, deeds: bool = False, money: bool = False) -> None:
        """`deeds`: people requeue dead letters and end drains. `money`: some batches have a budget, and
        nodes have places."""
        self._deeds, self._money = deeds, money
        self.clock = clock = Clock(seed)
        rng = clock.rng
        self.net = Net(clock)
        self.works = Works(rng)
        jobs: dict[str, Job] = {}
        self.checks = Checks(self.works, jobs)
        self.works.spend = self.checks.spend
        count = rng.choice((2, 3, 3, 3, 4))
        kept = rng.choice((10, 50_000))
        if money:
            # a request that is forgotten before its client has the answer is done twice, and paid twice
            kept = 50_000
        self.nodes = [
            SimNode(
                number,
                clock,
                self.net,
                self.works,
                self.checks,
                EngineConfig(
                    OwnerConfig(
                        retention=RetentionConfig(kept_max=kept, kept_s=3.0, young_max=2 * kept)
                    ),
                    WorkerConfig(
                        slots=rng.randint(1, 3),
                        places=rng.randint(1, 4) if money else 0,
                        items_max=32,
                    ),
                ),
                (("zone", f"z{number % 2}"),),
            )
            for number in range(1, count + 1)
        ]
        labels = [("zone", "z0"), ("zone", "z1")]
        owners: list[Owner] = [*self.nodes]
        self.clients = Clients(clock, owners, labels, self.checks.acknowledged, money)
        self.checks.tickets = self.clients.tickets
        self.clients.jobs = jobs
        self.faults = Faults(clock, self.net, self.nodes, deeds)

    def play(self) -> None:
        clock, rng = self.clock, self.clock.rng
        for node in self.nodes:
            self.faults.start(node)
        for _ in range(rng.randint(8, 30)):
            self.clients.submit_later(rng.uniform(0.0, FAULTS_S))
        self.faults.plan(rng.randint(0, 10), FAULTS_S)
        if self._money:
            self.faults.crash_some(6, FAULTS_S)
        if self._deeds:
            for share in (0.2, 0.4, 0.6, 0.8, 1.0):
                self.clients.requeue_later(share * FAULTS_S)
        clock.run(FAULTS_S)
        self.faults.end()
        self._come_to_rest()
        self.checks.judge(self.clients.tickets)
        taken = sum(node.turns_taken for node in self.nodes)
        if taken > TURNS_MAX_A_SECOND * len(self.nodes) * (clock.now - START):
            raise Violation(f"{taken} turns in {clock.now - START:.0f} s")

    def _come_to_rest(self) -> None:
        clock, begun = self.clock, self.clock.now
        while self._unrest():
            if clock.now - begun > QUIET_MAX_S:
                raise Violation(f"no rest {QUIET_MAX_S:.0f} s after the faults: {self._unrest()}")
            clock.run(0.5)
            self.faults.restart_drained()

    def _unrest(self) -> str:
        open_tickets = [t.request_id for t in self.clients.tickets if not t.is_settled]
        if open_tickets:
            return f"unanswered: {open_tickets}"
        peers = len(self.nodes) - 1
        told = [(n.number, unrest(n, peers) if n.up else "down") for n in self.nodes]
        return "; ".join(f"node {number}: {what}" for number, what in told if what)


def simulate(seed: int, deeds: bool = False, money: bool = False) -> Run:
    """Never raises: whatever went wrong is told in the answer."""
    world = World(seed, deeds, money)
    error = ""
    try:
        world.play()
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed} {_where(failed)}"
    jobs = sum(len(t.jobs) for t in world.clients.tickets)
    seconds = world.clock.now - START
    return Run(seed, world.clock.trace, seconds, jobs, world.works.runs, error)


def _where(error: Exception) -> str:
    """The innermost lines of the core it passed through."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/core/" in code.co_filename:
            name = code.co_filename.rsplit("/", 1)[1]
            lines.append(f"{name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"[{' < '.join(reversed(lines[-4:]))}]" if lines else ""
