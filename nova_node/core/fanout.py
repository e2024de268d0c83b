"""How the shards of a task become one value again: a tree of merges, planned as results come in.

Shards stand in their order at level 0. At each level, runs of FAN_IN neighbours are joined as soon as
all of them are done; the merge stands for the run one level up. A run of one is promoted as it is, so
merge([x]) must equal x. The child alone at the top level holds the whole value.
"""

from __future__ import annotations

from nova_node.core.model import Phase, Status
from nova_node.core.tasks import Task

FAN_IN = 16
SHARDS_MAX = 10_000
DEPTH_MAX = 8
SHARDS_PER_SLOT = 4

Place = tuple[int, int]


def shards_wanted(asked: int, slots: int) -> int:
    return min(SHARDS_MAX, asked or SHARDS_PER_SLOT * max(1, slots))


class Fanout:
    """The merge tree of one parent whose shards exist. Rebuilt from the parent's children at will."""

    def __init__(self, parent: Task, fan_in: int = FAN_IN) -> None:
        self._fan_in = fan_in
        children = parent.children or []
        shards = [c for c in children if c.phase is Phase.RUN]
        self._sizes = [len(shards)]
        while self._sizes[-1] > 1:
            self._sizes.append(-(-self._sizes[-1] // fan_in))
        self._at: dict[Place, Task] = {}
        self._place: dict[int, Place] = {}
        for index, shard in enumerate(shards):
            self._put(shard, (0, index))
        for merge in children:
            if merge.phase is Phase.MERGE and merge.status is not Status.CANCELLED:
                self.grew(merge)

    def grew(self, merge: Task) -> None:
        """A merge of a run now exists."""
        level, index = self._place[merge.parts[0]]
        self._put(merge, (level + 1, index // self._fan_in))

    def withdrew(self, merge: Task) -> None:
        """A merge was given up, because a part of it was lost."""
        self._at.pop(self._place.pop(merge.no), None)

    def due(self, done: Task) -> tuple[int, ...] | None:
        """After a child is done: the parts to merge now, if its run is complete and not yet merged."""
        level, index = self._place[done.no]
        if level == self.top:
            return None
        start = index // self._fan_in * self._fan_in
        run = [
            self._at.get((level, i))
            for i in range(start, min(start + self._fan_in, self._sizes[level]))
        ]
        parts = tuple(p.no for p in run if p is not None and p.status is Status.DONE)
        complete = len(parts) == len(run)
        merged = (level + 1, index // self._fan_in) in self._at
        return parts if complete and not merged else None

    @property
    def top(self) -> int:
        return len(self._sizes) - 1

    def is_final(self, parts: tuple[int, ...]) -> bool:
        """Whether a merge of these parts yields the whole value."""
        return self._place[parts[0]][0] == self.top - 1

    def whole(self) -> Task | None:
        """The child that holds the whole value, once it is done."""
        top = self._at.get((self.top, 0))
        return top if top is not None and top.status is Status.DONE else None

    def _put(self, child: Task, place: Place) -> None:
        level, index = place
        alone = index == self._sizes[level] - 1 and index % self._fan_in == 0
        while alone and level < self.top:
            level, index = level + 1, index // self._fan_in
            alone = index == self._sizes[level] - 1 and index % self._fan_in == 0
        self._at[(level, index)] = child
        self._place[child.no] = (level, index)
