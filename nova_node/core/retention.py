"""Which finished batches are kept, and which are forgotten: from memory and, by their numbers, from the
journal. A batch is forgotten as a whole, the oldest first; one whose client is there and has not been told
of its end yet only when memory demands it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nova_node.core.tasks import Batch, Tasks


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    #: tasks of finished batches kept for `show`, `tasks` and late watchers
    kept_max: int = 20_000
    #: finished batches stay at least so long, up to `young_max` tasks and twice `kept_bytes`
    kept_s: float = 60.0
    young_max: int = 200_000
    #: tasks of finished batches whose client has not been told yet
    untold_max: int = 1_000_000
    #: and are forgotten after so long, however few
    forgotten_after_s: float = 7 * 86_400.0
    #: of arguments and results in memory, those of open batches included
    kept_bytes: int = 1 << 30


class Retention:
    def __init__(self, tasks: Tasks, config: RetentionConfig) -> None:
        self._tasks = tasks
        self._config = config
        self._ended: dict[int, Batch] = {}
        self._kept = 0
        #: by batch, clients that are to be told of its end
        self._awaited: Counter[int] = Counter()
        #: those that would have been forgotten but for a client
        self._untold: dict[int, Batch] = {}
        self._untold_tasks = 0

    def ended(self, batch: Batch) -> None:
        """Its last root task has ended."""
        if batch.first not in self._ended:
            self._ended[batch.first] = batch
            self._kept += batch.size

    def reopened(self, batch: Batch) -> None:
        """One of its tasks is about to be tried again."""
        if self._ended.pop(batch.first, None) is not None:
            self._kept -= batch.size
        elif self._untold.pop(batch.first, None) is not None:
            self._untold_tasks -= batch.size

    def awaited(self, first: int) -> None:
        """A client is to be told of the end of this batch."""
        self._awaited[first] += 1

    def told(self, first: int) -> None:
        """It was, or will not come back for it."""
        self._awaited[first] -= 1
        if self._awaited[first] > 0:
            return
        del self._awaited[first]
        batch = self._untold.pop(first, None)
        if batch is not None:
            self._untold_tasks -= batch.size
            self.ended(batch)

    def discard(self, batch: Batch) -> None:
        """Drop a volatile batch that nobody will ask about."""
        self.reopened(batch)
        self._tasks.forget(batch)

    def let_go(self, first: int) -> None:
        """Its client surely has the large results of this batch: of a volatile one nothing stays."""
        batch = self._ended.get(first)
        if batch is not None and not batch.journaled and first not in self._awaited:
            self.discard(batch)

    def forget(self, now: float) -> list[int]:
        """Drop what is over the bounds; the batches that the journal must drop too."""
        dropped: list[int] = []
        while self._ended:
            batch = next(iter(self._ended.values()))
            if not self._is_over(now - batch.ended_at):
                break
            if batch.first in self._awaited:
                self.reopened(batch)
                self._untold[batch.first] = batch
                self._untold_tasks += batch.size
            else:
                self._drop(batch, dropped)
        while self._untold and self._untold_is_over():
            self._drop(next(iter(self._untold.values())), dropped)
        return dropped

    def _drop(self, batch: Batch, dropped: list[int]) -> None:
        self.discard(batch)
        if batch.journaled:
            dropped.append(batch.first)

    def _is_over(self, age_s: float) -> bool:
        config = self._config
        young = age_s < config.kept_s
        over = self._kept > (config.young_max if young else config.kept_max)
        large = self._tasks.size_bytes > config.kept_bytes * (2 if young else 1)
        return over or large or age_s >= config.forgotten_after_s

    def _untold_is_over(self) -> bool:
        config = self._config
        over = self._untold_tasks > config.untold_max
        return over or self._tasks.size_bytes > 2 * config.kept_bytes
