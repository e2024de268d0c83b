"""Faults of a simulated mesh, drawn from its seed. All of them end by the time given."""

from __future__ import annotations

import random

from support.world_clock import Clock
from support.world_net import Net
from support.world_node import SimNode

KINDS = ("crash", "crash", "silent", "pause", "cut", "one_way", "isolate", "slow", "disk", "drain")


class Faults:
    def __init__(self, clock: Clock, net: Net, nodes: list[SimNode], resumes: bool = False) -> None:
        """`resumes`: drains are ended again, most of them in the middle."""
        self._resumes = resumes
        self._clock, self._net, self._nodes = clock, net, nodes
        self._rng = random.Random(clock.rng.random())

    def plan(self, count: int, within_s: float) -> None:
        rng = self._rng
        if rng.random() < 0.4:
            self._net.drop = rng.choice((0.01, 0.1, 0.3))
            self._net.twice = 0.05
        for _ in range(count):
            kind, node = rng.choice(KINDS), rng.choice(self._nodes)
            begin_s = rng.uniform(0.3, within_s)
            self._clock.later(begin_s, lambda kind=kind, node=node: self._begin(kind, node))

    def crash_some(self, count: int, within_s: float) -> None:
        """With disks so slow that much waits for them."""
        rng = self._rng
        for node in self._nodes:
            node.disk.slow_s = rng.choice((0.0, 0.1, 0.5))
        for _ in range(count):
            node, begin_s = rng.choice(self._nodes), rng.uniform(0.3, within_s)
            self._clock.later(begin_s, lambda node=node: self._begin("crash", node))

    def end(self) -> None:
        """Everything works again."""
        self._net.heal_all()
        for node in self._nodes:
            node.slow_s = node.disk.slow_s = 0.0
            node.paused_until = min(node.paused_until, self._clock.now)
            if not node.up:
                self.start(node)

    def restart_drained(self) -> None:
        for node in self._nodes:
            if not node.up or node.draining:
                self._restart(node)

    def start(self, node: SimNode) -> None:
        node.start([n.address for n in self._nodes if n is not node])

    def _begin(self, kind: str, node: SimNode) -> None:
        rng, clock = self._rng, self._clock
        clock.note(f"{kind} {node.number}")
        others = [n for n in self._nodes if n is not node]
        peer = rng.choice(others)
        match kind:
            case "crash" | "silent" if node.up:
                node.crash(silent=kind == "silent")
                clock.later(rng.choice((0.1, 1.0, 4.0, 9.0)), lambda: self._restart(node))
            case "drain" if node.up and not node.draining:
                node.drain()
                clock.later(rng.uniform(2.0, 6.0), lambda: self._restart(node))
                if self._resumes:
                    soon_s = rng.choice((0.0, 0.1, 1.0))
                    clock.later(soon_s, node.mine(lambda: self._resume(node)))
            case "pause":
                node.paused_until = clock.now + rng.choice((0.2, 1.0, 3.0, 6.0))
            case "cut":
                self._cut([(node, peer), (peer, node)])
            case "one_way":
                self._cut([(node, peer)])
            case "isolate":
                self._cut([pair for n in others for pair in ((node, n), (n, node))])
            case "slow":
                node.slow_s = rng.choice((0.05, 0.5))
                clock.later(rng.uniform(1.0, 5.0), lambda: setattr(node, "slow_s", 0.0))
            case "disk":
                node.disk.slow_s = rng.choice((0.05, 0.5))
                clock.later(rng.uniform(1.0, 5.0), lambda: setattr(node.disk, "slow_s", 0.0))
            case _:
                pass

    def _resume(self, node: SimNode) -> None:
        if node.up and node.draining:
            node.resume()

    def _restart(self, node: SimNode) -> None:
        if node.up and node.draining:
            node.crash()
        if not node.up:
            self.start(node)

    def _cut(self, pairs: list[tuple[SimNode, SimNode]]) -> None:
        for source, target in pairs:
            self._net.cut(source.address, target.address)
        seconds = self._rng.choice((0.3, 2.0, 7.0, 14.0))

        def heal() -> None:
            for source, target in pairs:
                self._net.heal(source.address, target.address)

        self._clock.later(seconds, heal)
