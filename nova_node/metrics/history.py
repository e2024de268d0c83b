"""From an owner's events to lines of the tables: the projection, live and when it is made again.

What an event leaves out (capability, acceptance, earlier attempts) is looked up in the owner's tasks.
A task that they no longer hold is left out: the parts that a worker made of a part.

Rule: no argument, result, output or text of an error, since the history is not encrypted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
from nova_node.core.model import Durability, Outcome, Phase, Status, Usage
from nova_node.core.tasks import Task
from nova_node.metrics.tables import EVENTS, MEMBERS, SPENDING, TASKS, Line, micros, squeezed

Detail = Mapping[str, Any]

_STATUS_WORDS = {status: status.name.lower() for status in Status}
_PHASE_WORDS = {phase: phase.name.lower() for phase in Phase}
_DURABILITY_WORDS = {each: each.name.lower() for each in Durability}


class _Group:
    """Tasks that ended and have this in common; the lists go side by side."""

    __slots__ = ("batch", "demand", "journaled", "outcomes", "phase", "seqs", "tasks", "times_us")

    def __init__(self, task: Task, journaled: bool) -> None:
        self.batch = task.batch
        self.demand = task.demand
        self.phase = task.phase
        self.journaled = journaled
        self.outcomes: list[Outcome] = []
        self.tasks: list[Task] = []
        self.seqs: list[int] = []
        self.times_us: list[int] = []


class Tally:
    """Of one capability's tasks that ended."""

    __slots__ = ("count", "done", "elapsed_max_us", "elapsed_us", "total_us")

    def __init__(self) -> None:
        self.count = 0
        self.done = 0
        self.elapsed_us = 0
        self.elapsed_max_us = 0
        #: from acceptance to the end
        self.total_us = 0


class Projection:
    """Lines and sums of the events it was given."""

    def __init__(self, by_no: Mapping[int, Task]) -> None:
        self.retried = 0
        #: tasks by how they ended, parts included
        self.ended: Counter[Status] = Counter()
        self._by_no = by_no
        self._groups: dict[tuple[int, int, Phase, bool], _Group] = {}
        #: rows in the order of their tables' columns
        self._events: list[tuple[Any, ...]] = []
        self._members: list[tuple[Any, ...]] = []
        self._spending: list[tuple[Any, ...]] = []

    def lines(self) -> list[tuple[str, Line]]:
        """Each with the name of its table. To be asked for once all is added."""
        lines = [(TASKS.name, self._line(group)) for group in self._groups.values()]
        for table, rows in (
            (SPENDING, self._spending),
            (EVENTS, self._events),
            (MEMBERS, self._members),
        ):
            if rows:
                columns = zip(table.columns, zip(*rows, strict=True), strict=True)
                lines.append((table.name, {c.name: squeezed(list(v)) for c, v in columns}))
        return lines

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            fact = event.fact
            # the two that are many go first
            if isinstance(fact, Finished):
                self._finished(event, fact.outcomes)
            elif isinstance(fact, Assigned):
                fences = fact.fences
                self._note(event, "assigned", fences[0].no, len(fences), fact.node, {})
            else:
                self._add_rare(event, fact)

    def _add_rare(
        self,
        event: Event,
        fact: Accepted | Retried | Grown | Requeued | PeerChanged | AnomalySeen | Output,
    ) -> None:
        match fact:
            case Accepted(groups=groups):
                names = sorted({group.demand.capability for group in groups})
                count = sum(len(group.calls) for group in groups)
                self._note(event, "accepted", event.batch, count, "", {"capabilities": names})
            case Retried(outcome, _, charged):
                self._retried(event, outcome, charged)
            case Grown(parent, _, phase, calls):
                detail = {"phase": _PHASE_WORDS[phase]}
                self._note(event, "grown", parent, len(calls), "", detail)
            case PeerChanged():
                self._peer_changed(event, fact)
            case Requeued(nos):
                self._note(event, "requeued", nos[0], len(nos), "", {})
            case AnomalySeen():
                pass  # noted where it was seen
            case Output():
                pass  # what tasks wrote stays in the journal: nova logs

    def tallies(self) -> dict[str, Tally]:
        """By capability."""
        tallies: dict[str, Tally] = {}
        for group in self._groups.values():
            tally = tallies.setdefault(group.demand.capability, Tally())
            count = len(group.outcomes)
            elapsed_us = [o.elapsed_us for o in group.outcomes]
            tally.count += count
            tally.done += [o.status for o in group.outcomes].count(Status.DONE)
            tally.elapsed_us += sum(elapsed_us)
            tally.elapsed_max_us = max(tally.elapsed_max_us, max(elapsed_us))
            tally.total_us += sum(group.times_us) - count * micros(group.batch.accepted_at)
        return tallies

    def note_anomaly(self, at: float, detail: Detail) -> None:
        row = (micros(at), 0, "anomaly", 0, 0, 0, "", json.dumps(detail))
        self._events.append(row)

    # ------------------------------------------------------------ one fact each

    def _finished(self, event: Event, outcomes: Sequence[Outcome]) -> None:
        find, seq, time_us = self._by_no.get, event.seq, micros(event.time)
        group: _Group | None = None
        for outcome in outcomes:
            task = find(outcome.no)
            if task is None:
                continue
            if group is None or task.demand is not group.demand or task.phase is not group.phase:
                key = (event.batch, id(task.demand), task.phase, event.journaled)
                group = self._groups.get(key)
                if group is None:
                    group = self._groups[key] = _Group(task, event.journaled)
            group.outcomes.append(outcome)
            group.tasks.append(task)
            group.seqs.append(seq)
            group.times_us.append(time_us)
            if outcome.usage is not None:
                self._spent(event, outcome, outcome.usage)
        detail: dict[str, int] = {}
        statuses = [outcome.status for outcome in outcomes]
        for status in set(statuses):
            count = statuses.count(status)
            self.ended[status] += count
            detail[_STATUS_WORDS[status]] = count
        self._note(event, "finished", outcomes[0].no, len(outcomes), "", detail)

    def _line(self, group: _Group) -> Line:
        demand, batch, outcomes, tasks = group.demand, group.batch, group.outcomes, group.tasks
        durability = demand.durability if group.journaled else Durability.VOLATILE
        return {
            "batch": batch.first,
            "capability": demand.capability,
            "phase": _PHASE_WORDS[group.phase],
            "submitter": batch.submitter,
            "priority": demand.priority,
            "durability": _DURABILITY_WORDS[durability],
            "accepted_at": micros(batch.accepted_at),
            "seq": group.seqs,
            "ended_at": group.times_us,
            "no": [o.no for o in outcomes],
            "parent_no": squeezed([t.parent.no if t.parent else 0 for t in tasks]),
            "status": squeezed([_STATUS_WORDS[o.status] for o in outcomes]),
            "worker": squeezed([o.node for o in outcomes]),
            "attempts": squeezed([o.attempt for o in outcomes]),
            "started_at": [int(o.started_at * 1e6) or None for o in outcomes],
            "elapsed_us": [o.elapsed_us for o in outcomes],
            "code": squeezed([o.failure.code if o.failure else "" for o in outcomes]),
            "failed_at": squeezed([_failed_at(t) if t.history else None for t in tasks]),
        }

    def _retried(self, event: Event, outcome: Outcome, charged: bool) -> None:
        if outcome.status is Status.WAITING:
            return  # given back before it began
        self.retried += 1
        detail: dict[str, Any] = {"attempt": outcome.attempt, "charged": charged}
        if outcome.failure is not None:
            detail["code"] = outcome.failure.code
        if outcome.usage is not None:
            self._spent(event, outcome, outcome.usage)
        self._note(event, "retried", outcome.no, 1, outcome.node, detail)

    def _spent(self, event: Event, outcome: Outcome, usage: Usage) -> None:
        task = self._by_no.get(outcome.no)
        if task is None:
            return
        row = (
            micros(event.time),
            event.seq,
            outcome.no,
            outcome.attempt,
            task.root.depth > 0,
            task.demand.capability,
            task.batch.submitter,
            outcome.node,
            _STATUS_WORDS[outcome.status],
            *usage,
        )
        self._spending.append(row)

    def _peer_changed(self, event: Event, fact: PeerChanged) -> None:
        row = (micros(event.time), fact.node, fact.name, fact.state, fact.why)
        self._members.append(row)
        detail = {"name": fact.name, "state": fact.state, "why": fact.why}
        self._note(event, "peer_changed", 0, 0, fact.node, detail)

    def _note(
        self, event: Event, kind: str, no: int, count: int, worker: str, detail: Detail
    ) -> None:
        row = (
            micros(event.time),
            event.seq,
            kind,
            event.batch,
            no,
            count,
            worker,
            json.dumps(detail) if detail else "{}",
        )
        self._events.append(row)


def _failed_at(task: Task) -> int | None:
    """When its first attempt without a result ended."""
    first = task.history[0] if task.history else None
    if first is None or not first.started_at:
        return None
    return micros(first.started_at) + first.elapsed_us
