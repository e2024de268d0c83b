"""Which peers an owner keeps a work stream to.

Small meshes are fully linked, so that a broken stream tells of a dead process at once. Beyond LINKS_MAX
peers, a random set is linked, and changed when what waits fits none of them.
"""

from __future__ import annotations

import random

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import (
    Connect,
    Disconnect,
    Effect,
    FetchCard,
)
from nova_node.core.model import PROTOCOL, Card, Credit, Member, MemberState
from nova_node.core.placement import NO_CREDIT, Worker, unfit

LINKS_MAX = 32
RECONNECT_S = 1.0
CARD_RETRY_S = 1.0


class Links:
    def __init__(self, me: str, dispatch: Dispatch, rng: random.Random, out: list[Effect]) -> None:
        self._me = me
        self._dispatch = dispatch
        self._rng = rng
        self._out = out
        self._card_retry_at: dict[str, float] = {}

    def seen(self, member: Member, now: float) -> Worker | None:
        """Membership spoke of a peer. The worker is returned when its work must go elsewhere."""
        workers = self._dispatch.workers
        if member.node == self._me:
            return None
        worker = workers.get(member.node)
        if member.state in (MemberState.DEAD, MemberState.LEFT):
            return self._gone(worker)
        if worker is None:
            worker = workers[member.node] = Worker(member.node)
        moved = worker.member is not None and worker.member.address != member.address
        worker.member = member
        if moved and (worker.up or worker.connecting):
            self._out.append(Disconnect(member.node))
        self._want_card(worker, now)
        self._link(now)
        return None

    def _gone(self, worker: Worker | None) -> Worker | None:
        if worker is None:
            return None
        del self._dispatch.workers[worker.node]
        self._card_retry_at.pop(worker.node, None)
        if worker.up or worker.connecting:
            self._out.append(Disconnect(worker.node))
        return worker

    def card(self, card: Card, now: float) -> None:
        worker = self._dispatch.workers.get(card.node)
        if worker is not None:
            worker.take_card(card)
            self._card_retry_at.pop(card.node, None)

    def up(self, node: str) -> None:
        worker = self._dispatch.workers.get(node)
        if worker is not None:
            worker.up, worker.connecting = True, False

    def down(self, node: str, now: float) -> Worker | None:
        """The stream broke, or did not open; its worker, if there is one."""
        worker = self._dispatch.workers.get(node)
        if worker is None:
            return None
        worker.up, worker.connecting = False, False
        worker.credit = NO_CREDIT
        worker.retry_at = now + RECONNECT_S * self._rng.uniform(0.5, 1.5)
        return worker

    def granted(self, node: str, credit: Credit) -> None:
        worker = self._dispatch.workers.get(node)
        if worker is not None:
            worker.credit = credit

    def tick(self, now: float) -> None:
        for worker in self._dispatch.workers.values():
            self._want_card(worker, now)
        self._link(now)

    @property
    def wake_at(self) -> float:
        waits = [
            w.retry_at
            for w in self._dispatch.workers.values()
            if w.retry_at and _linkable(w, w.retry_at)
        ]
        return min(waits + list(self._card_retry_at.values()), default=float("inf"))

    def _want_card(self, worker: Worker, now: float) -> None:
        member, card = worker.member, worker.card
        if (
            member is None
            or member.state is not MemberState.ALIVE
            or (card is not None and card.card_version == member.digest.card_version)
        ):
            self._card_retry_at.pop(worker.node, None)
            return
        if now >= self._card_retry_at.get(worker.node, 0.0):
            self._card_retry_at[worker.node] = now + CARD_RETRY_S
            self._out.append(FetchCard(worker.node, member.address))

    def _link(self, now: float) -> None:
        workers = list(self._dispatch.workers.values())
        wanted = [w for w in workers if _linkable(w, now)]
        linked = sum(1 for w in workers if w.up or w.connecting)
        room = LINKS_MAX - linked
        for worker in wanted:
            worker.retry_at = 0.0
        if len(wanted) > room:
            if room <= 0:
                room = self._make_room(workers, wanted)
            wanted = self._rng.sample(wanted, max(0, min(room, len(wanted))))
        for worker in wanted:
            assert worker.member is not None
            worker.connecting = True
            self._out.append(Connect(worker.node, worker.member.address))

    def _make_room(self, workers: list[Worker], wanted: list[Worker]) -> int:
        """Drop one idle link when what waits fits none of the linked peers but fits an unlinked one."""
        for flow in self._dispatch.ready.flows():
            if any(w.up and not unfit(w, flow.demand) for w in workers):
                continue
            fit = [w for w in wanted if not unfit(w, flow.demand)]
            idle = [w for w in workers if w.up and not w.owed and w.member is not None]
            if fit and idle:
                self._out.append(Disconnect(self._rng.choice(idle).node))
                wanted[:] = fit
                return 1
        return 0


def _linkable(worker: Worker, now: float) -> bool:
    member = worker.member
    return (
        member is not None
        and member.state is MemberState.ALIVE
        and member.protocol == PROTOCOL
        and not worker.up
        and not worker.connecting
        and now >= worker.retry_at
    )
