"""From an owner's events to lines of the tables: the projection, live and when it is made again.

What an event leaves out (capability, acceptance, earlier attempts) is looked up in the owner's tasks.
A task that they no longer hold is left out: the parts that a worker made of a part.

Rule: no argument, result, output or text of an error, since the history is not encrypted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
    Finished,
    Grown,
    Output,
    PeerChanged,
    Retried,
)
from nova_node.core.model import Demand, Durability, Outcome, Phase, Status
from nova_node.core.tasks import Batch, Task
from nova_node.metrics.tables import EVENTS, MEMBERS, TASKS, Line, micros

Detail = Mapping[str, Any]

_STATUS_WORDS = {status: status.name.lower() for status in Status}
_PHASE_WORDS = {phase: phase.name.lower() for phase in Phase}
_DURABILITY_WORDS = {each: each.name.lower() for each in Durability}


class _Sort(NamedTuple):
    """What the tasks of one line have in common."""

    batch: Batch
    demand: Demand
    phase: Phase
    journaled: bool


class _Ended(NamedTuple):
    outcome: Outcome
    task: Task
    seq: int
    time_us: int


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
        self._sorts: dict[tuple[int, int, Phase, bool], tuple[_Sort, list[_Ended]]] = {}
        #: rows in the order of their tables' columns
        self._events: list[tuple[Any, ...]] = []
        self._members: list[tuple[Any, ...]] = []

    def lines(self) -> list[tuple[str, Line]]:
        """Each with the name of its table. To be asked for once all is added."""
        lines = [(TASKS.name, self._tasks(*each)) for each in self._sorts.values()]
        for table, rows in ((EVENTS, self._events), (MEMBERS, self._members)):
            if rows:
                columns = zip(table.columns, zip(*rows, strict=True), strict=True)
                lines.append((table.name, {c.name: list(values) for c, values in columns}))
        return lines

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            fact = event.fact
            match fact:
                case Finished(outcomes):
                    self._finished(event, outcomes)
                case Accepted(groups=groups):
                    names = sorted({group.demand.capability for group in groups})
                    count = sum(len(group.calls) for group in groups)
                    detail = {"capabilities": names}
                    self._note(event, "accepted", event.batch, count, "", detail)
                case Assigned(node, fences):
                    no = fences[0].no if fences else 0
                    self._note(event, "assigned", no, len(fences), node, {})
                case Retried(outcome, _, charged):
                    self._retried(event, outcome, charged)
                case Grown(parent, _, phase, calls):
                    detail = {"phase": _PHASE_WORDS[phase]}
                    self._note(event, "grown", parent, len(calls), "", detail)
                case PeerChanged():
                    self._peer_changed(event, fact)
                case Output():
                    pass  # what tasks wrote stays in the journal: nova logs

    def tallies(self) -> dict[str, Tally]:
        """By capability."""
        tallies: dict[str, Tally] = {}
        for sort, ended in self._sorts.values():
            tally = tallies.setdefault(sort.demand.capability, Tally())
            accepted_us = micros(sort.batch.accepted_at)
            elapsed_us = [e.outcome.elapsed_us for e in ended]
            tally.count += len(ended)
            tally.done += sum([e.outcome.status is Status.DONE for e in ended])
            tally.elapsed_us += sum(elapsed_us)
            tally.elapsed_max_us = max(tally.elapsed_max_us, max(elapsed_us))
            tally.total_us += sum([max(0, e.time_us - accepted_us) for e in ended])
        return tallies

    def note_anomaly(self, at: float, detail: Detail) -> None:
        row = (micros(at), 0, "anomaly", 0, 0, 0, "", json.dumps(detail))
        self._events.append(row)

    # ------------------------------------------------------------ one fact each

    def _finished(self, event: Event, outcomes: Sequence[Outcome]) -> None:
        find, seq, time_us = self._by_no.get, event.seq, micros(event.time)
        sort: _Sort | None = None
        ended: list[_Ended] = []
        for outcome in outcomes:
            task = find(outcome.no)
            if task is None:
                continue
            if sort is None or task.demand is not sort.demand or task.phase is not sort.phase:
                sort = _Sort(task.batch, task.demand, task.phase, event.journaled)
                key = (sort.batch.first, id(sort.demand), sort.phase, sort.journaled)
                _, ended = self._sorts.setdefault(key, (sort, []))
            ended.append(_Ended(outcome, task, seq, time_us))
        detail: dict[str, int] = {}
        for status in {outcome.status for outcome in outcomes}:
            count = sum([outcome.status is status for outcome in outcomes])
            self.ended[status] += count
            detail[_STATUS_WORDS[status]] = count
        self._note(event, "finished", outcomes[0].no, len(outcomes), "", detail)

    def _tasks(self, sort: _Sort, ended: list[_Ended]) -> Line:
        demand, batch = sort.demand, sort.batch
        outcomes = [e.outcome for e in ended]
        durability = demand.durability if sort.journaled else Durability.VOLATILE
        return {
            "batch": batch.first,
            "capability": demand.capability,
            "phase": _PHASE_WORDS[sort.phase],
            "submitter": batch.submitter,
            "priority": demand.priority,
            "durability": _DURABILITY_WORDS[durability],
            "accepted_at": micros(batch.accepted_at),
            "seq": [e.seq for e in ended],
            "ended_at": [e.time_us for e in ended],
            "no": [o.no for o in outcomes],
            "parent_no": [e.task.parent.no if e.task.parent else 0 for e in ended],
            "status": [_STATUS_WORDS[o.status] for o in outcomes],
            "worker": [o.node for o in outcomes],
            "attempts": [o.attempt for o in outcomes],
            "started_at": [int(o.started_at * 1e6) or None for o in outcomes],
            "elapsed_s": [o.elapsed_us / 1e6 for o in outcomes],
            "code": [o.failure.code if o.failure else "" for o in outcomes],
            "failed_at": [_failed_at(e.task) if e.task.history else None for e in ended],
        }

    def _retried(self, event: Event, outcome: Outcome, charged: bool) -> None:
        if outcome.status is Status.WAITING:
            return  # given back before it began
        self.retried += 1
        detail: dict[str, Any] = {"attempt": outcome.attempt, "charged": charged}
        if outcome.failure is not None:
            detail["code"] = outcome.failure.code
        self._note(event, "retried", outcome.no, 1, outcome.node, detail)

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
