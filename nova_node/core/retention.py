"""Which finished batches are kept, and which are forgotten: from memory and, by their numbers, from the
journal. A batch is forgotten as a whole, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass

from nova_node.core.tasks import Batch, Tasks


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    #: tasks of finished batches kept for `show`, `tasks` and late watchers
    kept_max: int = 20_000
    #: finished batches stay at least so long, up to twice `kept_max` and `kept_bytes`
    kept_s: float = 60.0
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

    def ended(self, batch: Batch) -> None:
        """Its last root task has ended."""
        if batch.first not in self._ended:
            self._ended[batch.first] = batch
            self._kept += batch.size

    def reopened(self, batch: Batch) -> None:
        """One of its tasks is about to be tried again."""
        if self._ended.pop(batch.first, None) is not None:
            self._kept -= batch.size

    def discard(self, batch: Batch) -> None:
        """Drop a volatile batch that nobody will ask about."""
        self.reopened(batch)
        self._tasks.forget(batch)

    def forget(self, now: float) -> list[int]:
        """Drop what is over the bounds; the batches that the journal must drop too."""
        dropped: list[int] = []
        while self._ended:
            batch = next(iter(self._ended.values()))
            if not self._is_over(now - batch.ended_at):
                break
            self.discard(batch)
            if batch.journaled:
                dropped.append(batch.first)
        return dropped

    def _is_over(self, age_s: float) -> bool:
        spare = age_s < self._config.kept_s
        return self._holds_over(2 if spare else 1) or age_s >= self._config.forgotten_after_s

    def _holds_over(self, times: int) -> bool:
        config = self._config
        over = self._kept > times * config.kept_max
        return over or self._tasks.size_bytes > times * config.kept_bytes
