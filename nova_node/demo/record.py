"""What happened in the demo, folded from the events that its nodes tell their watchers.

All times are seconds since the nodes were started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from nova_client import Event, Outcome, Status
from nova_client.event import Assigned, Finished, Grown, PeerChanged, Retried


class Found(NamedTuple):
    at_s: float
    who: str
    whom: str


class Killed(NamedTuple):
    name: str
    at_s: float
    #: shards that were done, on any node, when it died
    done: int


class Record:
    """`names` are the nodes' names by id, `owner` the name of the one that the job is given to."""

    def __init__(self, names: Mapping[str, str], owner: str, began: float) -> None:
        self._names = names
        self._owner = owner
        self._began = began
        self.found: list[Found] = []
        #: when the owner first knew that the killed node is gone
        self.noticed_at_s: float | None = None
        self.killed: Killed | None = None
        self.shards = range(0)
        #: shard -> the node whose result counts
        self.done: dict[int, str] = {}
        #: shards that the killed node was at, or had waiting
        self.cut_off: set[int] = set()
        #: shards that the killed node had done, and whose results were still on its disk alone
        self.lost: set[int] = set()
        self._first = 0
        self._owed: dict[str, set[int]] = {name: set() for name in names.values()}

    @property
    def done_by(self) -> Counter[str]:
        return Counter(self.done.values())

    @property
    def all_met(self) -> bool:
        """Everybody has found everybody else."""
        count = len(self._names)
        return len({(who, whom) for _, who, whom in self.found}) == count * (count - 1)

    def add_peer(self, who: str, event: Event) -> None:
        """An event that node `who` told."""
        match event.fact:
            case PeerChanged(node=node, state="alive") if node in self._names:
                self.found.append(Found(event.time - self._began, who, self._names[node]))
            case PeerChanged(node=node) if who == self._owner and self._is_killed(node):
                self._notice(event)
            case _:
                pass

    def add(self, event: Event) -> str | None:
        """An event of the owner. The name of a busy node, not the owner, that just started a shard."""
        match event.fact:
            case Grown(phase="run", first=first, count=count):
                self._first, self.shards = _number(first), range(1, count + 1)
            case Assigned(node=node, tasks=tasks):
                name = self._names[node]
                self._owed[name].update(self._shards(tasks))
                return name if self._owed[name] and name != self._owner else None
            case Retried(outcome=outcome):
                self._lose(outcome, event)
            case Finished(outcomes=outcomes):
                return self._finish(outcomes)
            case _:
                pass
        return None

    def _shards(self, tasks: tuple[str, ...]) -> list[int]:
        numbers = (_number(task) - self._first + 1 for task in tasks)
        return [number for number in numbers if number in self.shards]

    def _finish(self, outcomes: tuple[Outcome, ...]) -> str | None:
        busy = None
        for outcome in outcomes:
            if outcome.status is not Status.DONE:
                continue
            name = self._names.get(outcome.node, "")
            for shard in self._shards((outcome.id,)):
                self.done[shard] = name
                self._owed[name].discard(shard)
                if self._owed[name] and name != self._owner:
                    busy = name
        return busy

    def _lose(self, outcome: Outcome, event: Event) -> None:
        for shard in self._shards((outcome.id,)):
            self._owed[self._names[outcome.node]].discard(shard)
            if self._is_killed(outcome.node):
                was_done = self.done.pop(shard, None) is not None
                (self.lost if was_done else self.cut_off).add(shard)
                self._notice(event)

    def _is_killed(self, node: str) -> bool:
        return self.killed is not None and self._names.get(node) == self.killed.name

    def _notice(self, event: Event) -> None:
        if self.noticed_at_s is None:
            self.noticed_at_s = event.time - self._began


def _number(task: str) -> int:
    return int(task.rpartition("-")[2])
