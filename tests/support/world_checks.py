"""What must hold in a simulated mesh, whatever happens: judged from what nodes do, say and keep."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from support.world_clients import Ticket
from support.world_clock import Violation
from support.world_money import Till, check_money, is_reserved, request_of
from support.world_node import SimNode
from support.world_work import Job, Works, wrong_end

from nova_node.core.effects import Append, Effect
from nova_node.core.events import (
    Accepted,
    AnomalySeen,
    Assigned,
    Event,
    Finished,
    Grown,
    Output,
    PeerChanged,
    Requeued,
    Retried,
)
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import (
    Attempt,
    Durability,
    Member,
    MemberState,
    Outcome,
    Status,
    Usage,
)
from nova_node.core.owner import SubmitAnswer
from nova_node.core.roster import HERE


class Record:
    """What is known of one task of one owner."""

    __slots__ = ("charged", "is_root", "no", "request_id", "status", "unit", "was_requeued")

    def __init__(self, no: int, unit: str, is_root: bool, request_id: str = "") -> None:
        self.no = no
        self.unit = unit
        self.is_root = is_root
        self.request_id = request_id
        self.status = Status.WAITING
        self.charged = 0
        self.was_requeued = False


class Ledger:
    """The checker's own fold of one node's events, kept apart from the node's."""

    def __init__(self, node: SimNode, jobs: dict[str, Job]) -> None:
        self._node, self._jobs = node, jobs
        self._life = 0
        self.records: dict[int, Record] = {}
        self._requests: dict[str, int] = {}
        self._used: set[int] = set()
        self.last_seq = 0
        #: ends of root tasks that watchers were told
        self.told: dict[int, Outcome] = {}
        self.told_times: Counter[int] = Counter()
        #: of root tasks, in all lives
        self.requeues: Counter[int] = Counter()

    def fold(self, events: Iterable[Event]) -> None:
        if self._life != self._node.life:
            self._restart()
        for event in events:
            self._apply(event, live=True)

    def _restart(self) -> None:
        self._life = self._node.life
        self.records.clear()
        self._requests.clear()
        known: set[int] = set()
        for event in self._node.restored:
            if isinstance(event.fact, Accepted):
                known.add(event.batch)
            if event.batch in known:
                self._apply(event, live=False)

    def _apply(self, event: Event, live: bool) -> None:
        fact = event.fact
        match fact:
            case Accepted(request_id, groups):
                calls = [call for group in groups for call in group.calls]
                if live and request_id:
                    if request_id in self._requests:
                        self._fail(f"request {request_id} was accepted twice")
                    self._requests[request_id] = event.batch
                for no, call in enumerate(calls, event.batch):
                    unit = json.loads(call.args)["u"]
                    self._add(Record(no, unit, True, request_id), live)
            case Grown(parent, first, _, calls):
                for no in range(first, first + len(calls)):
                    self._add(Record(no, self.records[parent].unit, False), live)
            case Retried(outcome, _, charged):
                self._retried(outcome, charged)
            case Finished(outcomes):
                for outcome in outcomes:
                    self._finished(outcome)
            case Assigned(_, fences):
                for fence in fences:
                    self.records[fence.no].status = Status.RUNNING
            case Requeued(nos):
                for no in nos:
                    self._requeued(no)
                if live:
                    self.requeues.update(nos)
            case Output() | PeerChanged() | AnomalySeen():
                pass

    def _add(self, record: Record, live: bool) -> None:
        if live and record.no in self._used:
            self._fail(f"task number {record.no} was given out twice")
        self._used.add(record.no)
        self.records[record.no] = record

    def _retried(self, outcome: Outcome, charged: bool) -> None:
        record = self.records[outcome.no]
        if record.status in (Status.FAILED, Status.CANCELLED):
            self._fail(f"task {outcome.no} is tried again after it ended")
        record.status = Status.WAITING
        if not charged:
            return
        record.charged += 1
        code = outcome.failure.code if outcome.failure else ""
        job = self._jobs[record.unit]
        if code not in job.charged_for:
            self._fail(f"task {outcome.no} ({record.unit}) was charged for {outcome.failure}")
        if record.charged >= job.demand.max_attempts:
            self._fail(f"task {outcome.no} is tried more often than allowed")

    def _requeued(self, no: int) -> None:
        record = self.records[no]
        if record.status is not Status.FAILED or not record.is_root:
            self._fail(f"task {no} was requeued, though it is no dead letter")
        record.status, record.charged = Status.WAITING, 0
        record.was_requeued = True

    def _finished(self, outcome: Outcome) -> None:
        record = self.records[outcome.no]
        if record.status in ENDED:
            self._fail(f"task {outcome.no} ended twice: {record.status.name}, {outcome}")
        record.status = outcome.status
        job = self._jobs[record.unit]
        code = outcome.failure.code if outcome.failure else ""
        if (
            record.is_root
            and not record.was_requeued
            and record.request_id
            and job.charges
            and outcome.status is Status.FAILED
            and code == job.code
            and record.charged + 1 != job.charges
        ):
            self._fail(f"task {outcome.no} failed after {record.charged + 1} attempts")

    # ------------------------------------------------------------ what watchers are told

    def tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.seq <= self.last_seq:
                self._fail(f"event {event.seq} announced after {self.last_seq}")
            self.last_seq = event.seq
            if event.journaled and event.seq > self._node.disk.synced_seq:
                self._fail(f"event {event.seq} was announced before it was durable")
            if isinstance(event.fact, Finished):
                for outcome in event.fact.outcomes:
                    if self.records[outcome.no].is_root:
                        self.told_times[outcome.no] += 1
                        if self.told_times[outcome.no] > 1 + self.requeues[outcome.no]:
                            self._fail(f"a second result of task {outcome.no} was announced")
                        self.told[outcome.no] = outcome

    def _fail(self, what: str) -> None:
        raise Violation(f"node {self._node.number}: {what}")


class Checks:
    """The Watcher of all nodes."""

    def __init__(self, works: Works, jobs: dict[str, Job]) -> None:
        self._works, self._jobs = works, jobs
        self.till = Till()
        self.tickets: list[Ticket] = []
        self._ledgers: dict[int, Ledger] = {}
        self._tickets: dict[tuple[int, int], Ticket] = {}
        #: (observer, its life, peer): incarnation that it saw dead
        self._dead: dict[tuple[int, int, str], int] = {}

    def ledger(self, node: SimNode) -> Ledger:
        known = self._ledgers.get(node.number)
        if known is None:
            known = self._ledgers[node.number] = Ledger(node, self._jobs)
        return known

    def performed(self, node: SimNode, effects: Sequence[Effect]) -> None:
        self.ledger(node).fold(e.event for e in effects if isinstance(e, Append))
        self._check_bounds(node)
        check_money(node.engine, self.till, self._is_kept)

    def spend(self, attempt: Attempt, args: dict[str, Any]) -> Usage | None:
        """An attempt begins."""
        if attempt.demand.allowance_uusd and not attempt.depth:
            ticket = self.tickets[int(request_of(args["u"])[1:])]
            node = ticket.owner
            assert isinstance(node, SimNode)
            if ticket.journaled and not is_reserved(attempt, node.disk.ever):
                raise Violation(
                    f"attempt {attempt.attempt} of task {attempt.no} went out unreserved"
                )
        return self.till.spend(attempt, args)

    def _is_kept(self, request_id: str) -> bool:
        return bool(request_id) and self.tickets[int(request_id[1:])].journaled

    def announced(self, node: SimNode, events: Sequence[Event]) -> None:
        self.ledger(node).tell(events)

    def saw(self, node: SimNode, member: Member) -> None:
        key = (node.number, node.life, member.node)
        if member.state is MemberState.DEAD:
            self._dead[key] = member.incarnation
        elif member.state in HERE and self._dead.get(key, -1) >= member.incarnation:
            raise Violation(f"node {node.number} raised {member} from the dead")

    def acknowledged(self, ticket: Ticket, answer: SubmitAnswer) -> None:
        node = ticket.owner
        assert isinstance(node, SimNode)
        if answer.tasks != len(ticket.jobs):
            raise Violation(f"{ticket.request_id} was answered with {answer}")
        if ticket.journaled and ticket.first not in (0, answer.first):
            raise Violation(f"{ticket.request_id} was acknowledged with two numbers")
        if ticket.journaled and answer.first not in [e.batch for e in node.disk.ever]:
            raise Violation(f"{ticket.request_id} was acknowledged before it was durable")
        known = self._tickets.setdefault((node.number, answer.first), ticket)
        if known is not ticket:
            raise Violation(f"{ticket.request_id} got the numbers of {known.request_id}")

    def _check_bounds(self, node: SimNode) -> None:
        worker, config = node.engine.worker, node.config.worker
        here = dict.fromkeys(worker.links, 0)
        for kind in (worker.slots, worker.places):
            for item in kind.queue:
                here[item.link] += 1
            for slot in kind.all.values():
                for item in slot.items.values():
                    if not item.cancelled:
                        here[item.link] += 1
                if kind is worker.places and len(slot.items) > 1:
                    raise Violation(f"node {node.number} put two attempts into one place")
        for number, link in worker.links.items():
            if link.outstanding != here[number]:
                raise Violation(
                    f"node {node.number}: link {number} counts {link.outstanding} attempts, "
                    f"{here[number]} are here"
                )
        for origin in node.engine.owner.shards._origins.values():
            if origin.link not in worker.links:
                raise Violation(f"node {node.number} works on for an owner that is gone")
        # adopted attempts take no room, so that there may be some more than the credit
        for peer in node.engine.owner.dispatch.workers.values():
            if len(peer.owed) > 2 * config.items_max:
                raise Violation(f"node {node.number}: {len(peer.owed)} tasks at one worker")
            waiting = sum(t.demand.capability == "sim.ask" for t in peer.owed.values())
            if waiting != peer.owed_waiting or peer.owed_slots < 0:
                raise Violation(f"node {node.number} counts {peer.owed_waiting} of {waiting}")

    # ------------------------------------------------------------ at the end

    def judge(self, tickets: list[Ticket]) -> None:
        """Every accepted task ended once, and as it had to."""
        for ticket in tickets:
            node = ticket.owner
            assert isinstance(node, SimNode)
            if not ticket.journaled and ticket.life != node.life:
                continue
            durable = _durable_ends(node)
            for place, job in enumerate(ticket.jobs):
                no = ticket.first + place
                told = self.ledger(node).told.get(no)
                requeues = self.ledger(node).requeues[no]
                kept = durable.get(no, []) if ticket.journaled else [told] if told else []
                if not kept or len(kept) > 1 + requeues:
                    raise Violation(
                        f"task {no} of node {node.number} ({job.args['u']}) has {len(kept)} results"
                    )
                end = kept[-1]
                # a node that died told nobody of its last end, so that of an earlier one was told last
                all_told = self.ledger(node).told_times[no] == len(kept)
                if told is not None and not _is_among(told, [end] if all_told else kept):
                    raise Violation(f"task {no}: {told} was announced, {kept} were kept")
                wrong = wrong_end(job, end, self._works, place in ticket.cancels)
                if wrong:
                    raise Violation(f"task {no} of node {node.number} {job}: {wrong}")


def _is_among(told: Outcome, kept: list[Outcome]) -> bool:
    return any((told.status, told.value) == (end.status, end.value) for end in kept)


def _durable_ends(node: SimNode) -> dict[int, list[Outcome]]:
    ends: dict[int, list[Outcome]] = {}
    for event in node.disk.ever:
        if isinstance(event.fact, Finished):
            for outcome in event.fact.outcomes:
                ends.setdefault(outcome.no, []).append(outcome)
    return ends


def unrest(node: SimNode, peers: int) -> str:
    """What is still open on a node that should be at rest; "" when nothing is."""
    engine = node.engine
    owner, worker = engine.owner, engine.worker
    shards, dispatch = owner.shards, owner.dispatch
    linked = [w for w in dispatch.workers.values() if w.up and w.credit.max_items]
    waiting = [f.key for f in dispatch.ready.flows() if f.head() is not None]
    found = {
        "commits": node.unsynced,
        "unended tasks": engine.tasks.unended,
        "owed tasks": owner.owed(),
        "waiting flows": len(waiting),
        "queued attempts": len(worker.slots.queue) + len(worker.places.queue),
        "attempts in slots and places": worker.held,
        "slots not ready": len(worker.slots.all) - worker.slots.ready,
        "places not ready": len(worker.places.all) - worker.places.ready,
        "waiting tasks counted": sum(w.owed_waiting for w in dispatch.workers.values()),
        "unsent groups": len(owner.spending),
        "open fanouts": len(shards._fanouts),
        "open origins": len(shards._origins),
        "missing links": peers + 1 - len(linked),
        "owners too many": len(worker.links) - peers - 1,
        "open tasks": sum(1 for t in engine.tasks.by_no.values() if t.status not in ENDED),
        "volatile adopted batches": sum(
            1
            for b in engine.tasks.batches.values()
            if not b.request_id
            and engine.tasks.by_no[b.first].demand.durability is Durability.VOLATILE
        ),
    }
    return ", ".join(f"{count} {what}" for what, count in found.items() if count)
