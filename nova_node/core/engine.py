"""The whole node's decisions: signals in, effects out. Nothing here reads a clock, a file or a socket.

The node's own worker is reached like any other, by effects that turn into signals before they leave:
a task that runs where it was submitted takes the same path as one that runs elsewhere.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nova_node.core.effects import (
    Acknowledge,
    Assign,
    Drained,
    Effect,
    Forget,
    Grant,
    Recall,
    Relay,
    Report,
    Resumed,
    Revoke,
)
from nova_node.core.events import (
    AnomalySeen,
    Event,
    PeerChanged,
)
from nova_node.core.links import Links
from nova_node.core.model import Card, Digest, Group, MemberState
from nova_node.core.owner import Owner, OwnerConfig
from nova_node.core.placement import Worker as PeerWorker
from nova_node.core.signals import (
    Cancel,
    CardFetched,
    Confirmed,
    DrainAsked,
    Granted,
    Heard,
    LinkDown,
    LinkUp,
    Noticed,
    OwnerDown,
    OwnerUp,
    PeerSeen,
    Pulled,
    Ran,
    Requeue,
    Resulted,
    ResumeAsked,
    Signal,
    SlotDied,
    SlotReady,
    Spoke,
    Submit,
    Tick,
    Work,
)
from nova_node.core.tasks import Tasks
from nova_node.core.worker import LOCAL, Worker, WorkerConfig

FORGET_EVERY_S = 1.0
NUMBERS_A_LIFE = 10_000_000
"""Each start numbers its tasks from a new multiple of this on: numbers of volatile tasks, which no
journal holds, are not given again."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    owner: OwnerConfig = OwnerConfig()
    worker: WorkerConfig = WorkerConfig()


class Engine:
    def __init__(
        self,
        me: str,
        incarnation: int,
        config: EngineConfig,
        rng: random.Random,
        history: Iterable[Event] = (),
        now: float = 0.0,
        first_no: int = 1,
    ) -> None:
        """`first_no` is above every number that the journal ever held."""
        self.me = me
        self._out: list[Effect] = []
        tasks = Tasks()
        orphans = tasks.replay(history)
        if orphans:
            self._out.append(Forget(sorted(orphans)))
        tasks.next_no = max(tasks.next_no, first_no, (incarnation - 1) * NUMBERS_A_LIFE + 1)
        self.tasks = tasks
        self.owner = Owner(me, incarnation, config.owner, rng, tasks, self._out)
        self.worker = Worker(config.worker, self._out)
        self.links = Links(me, self.owner.dispatch, rng, self._out)
        self._drain_told = False
        self._forget_at = now
        self._table = self._make_table()
        self._become_own_worker()
        self.owner.take_up(now)

    def _make_table(self) -> dict[type, Callable[[Any, float], None]]:
        owner, worker, links = self.owner, self.worker, self.links
        return {
            Submit: owner.submit,
            Cancel: owner.cancel,
            Requeue: owner.dead_letters.requeue,
            Resulted: owner.judging.resulted,
            Pulled: owner.judging.pulled,
            Confirmed: owner.spending.confirmed,
            Heard: owner.judging.heard,
            Granted: lambda s, now: links.granted(s.node, s.credit),
            LinkUp: lambda s, now: links.up(s.node),
            LinkDown: self._link_down,
            CardFetched: lambda s, now: links.card(s.card, now),
            PeerSeen: self._peer_seen,
            OwnerUp: lambda s, now: worker.link_up(s.link),
            OwnerDown: self._owner_down,
            Work: self._work,
            Ran: self._ran,
            Spoke: lambda s, now: worker.spoke(s),
            SlotReady: lambda s, now: worker.slot_ready(s.slot),
            SlotDied: lambda s, now: worker.slot_died(s),
            DrainAsked: lambda s, now: self._drain(),
            ResumeAsked: lambda s, now: self._resume(s),
            Noticed: lambda s, now: owner.record(AnomalySeen(s.anomaly), 0, now, False),
            Tick: self._tick,
        }

    def _become_own_worker(self) -> None:
        own = PeerWorker(self.me)
        own.up = True
        self.owner.dispatch.workers[self.me] = own
        self.worker.link_up(LOCAL)

    # ------------------------------------------------------------ the one way in

    def handle(self, signals: Sequence[Signal], now: float) -> list[Effect]:
        out = self._out
        pending: deque[Any] = deque(signals)
        effects: list[Effect] = []
        while True:
            while pending:
                signal = pending.popleft()
                self._table[type(signal)](signal, now)
            self._free_adopted()
            self.owner.place(now)
            self.worker.feed(now)
            if now >= self._forget_at:
                self._forget_at = now + FORGET_EVERY_S
                self.owner.forget(now)
            for effect in out:
                signal = self._inward(effect)
                if signal is None:
                    effects.append(effect)
                else:
                    pending.append(signal)
            out.clear()
            if not pending:
                break
        self._tell_drained(effects)
        return effects

    def _inward(self, effect: Effect) -> Any:
        """The signal that an effect between this node's own owner and worker amounts to."""
        match effect:
            case Assign(self.me, attempts):
                return Work(LOCAL, attempts)
            case Recall(self.me, at_most):
                return Work(LOCAL, recall=at_most)
            case Revoke(self.me, fences):
                return Work(LOCAL, cancels=fences)
            case Report(0, outcomes, returned, cuts):
                return Resulted(self.me, outcomes, returned, cuts)
            case Relay(0, said):
                return Heard(self.me, said)
            case Grant(0, credit):
                return Granted(self.me, credit)
            case _:
                return None

    @property
    def wake_at(self) -> float:
        return min(self.owner.wake_at, self.worker.wake_at, self.links.wake_at)

    # ------------------------------------------------------------ signals with more than one reader

    def _work(self, signal: Work, now: float) -> None:
        self.worker.work(signal)
        for fence in signal.cancels:
            self.owner.shards.abandon(signal.link, fence, now)

    def _ran(self, signal: Ran, now: float) -> None:
        """Adopts at once, so that whoever gives such an attempt up later finds it."""
        self.worker.ran(signal, now)
        grown, self.worker.grown = self.worker.grown, []
        for link, attempt, shards in grown:
            self.worker.adopted(link, 1)
            self.owner.shards.adopt(link, attempt, shards, now)

    def _free_adopted(self) -> None:
        closed, self.owner.shards.closed = self.owner.shards.closed, []
        for link in closed:
            if link in self.worker.links:
                self.worker.adopted(link, -1)

    def _link_down(self, signal: LinkDown, now: float) -> None:
        worker = self.links.down(signal.node, now)
        if worker is not None:
            self.owner.judging.lost(worker, signal.why, now)

    def _owner_down(self, signal: OwnerDown, now: float) -> None:
        self.worker.link_down(signal.link)
        self.owner.shards.abandon(signal.link, None, now)

    def _peer_seen(self, signal: PeerSeen, now: float) -> None:
        member = signal.member
        worker = self.owner.dispatch.workers.get(member.node)
        before = worker.member.state if worker is not None and worker.member is not None else None
        gone = self.links.seen(member, now)
        if gone is not None:
            self.owner.judging.lost(gone, f"it is {member.state.name.lower()}", now)
        if before is not member.state and (before is not None or member.state is MemberState.ALIVE):
            fact = PeerChanged(member.node, member.name, member.state.name.lower(), "")
            self.owner.record(fact, 0, now, False)

    def is_brief(self, group: Group) -> bool:
        """Whether all of it will have ended in a moment, once it was assigned."""
        return self.owner.dispatch.is_brief(group)

    def describe(self, card: Card) -> None:
        """What this node itself can run."""
        self.owner.dispatch.workers[self.me].take_card(card)
        self.worker.walls_s = {c.name: c.limits.wall_s for c in card.capabilities}
        self.worker.local = frozenset(c.name for c in card.capabilities if c.local)
        self.worker.waiting = frozenset(c.name for c in card.capabilities if c.waits)

    def digest(self, card_version: int, lag_ms: int) -> Digest:
        worker = self.worker
        return Digest(
            card_version,
            len(worker.slots.all),
            worker.slots_free,
            len(worker.slots.queue),
            lag_ms,
            self.owner.draining,
        )

    def _tick(self, signal: Tick, now: float) -> None:
        self.owner.tick(now)
        self.worker.tick(now)
        self.links.tick(now)

    def _drain(self) -> None:
        self.owner.draining = True
        self.owner.asked.begin()
        self.worker.drain()

    def _resume(self, signal: ResumeAsked) -> None:
        self._out += [Resumed(), Acknowledge(signal.token, self.owner.draining)]
        self.owner.draining = self._drain_told = False
        self.worker.resume()

    def _tell_drained(self, effects: list[Effect]) -> None:
        done = self.owner.draining and self.worker.is_idle and not self.owner.owed()
        if done and not self._drain_told:
            self._drain_told = True
            effects.append(Drained())
