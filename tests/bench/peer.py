"""What a peer must offer to be measured: two workers of one slot each, and a way to kill one."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

WORKERS = 2


class Peer(ABC):
    """`scratch` is a folder of this run, `case` the letter of the test to come."""

    def __init__(self, scratch: Path, case: str) -> None:
        self.scratch = scratch
        self.case = case

    @property
    def nodes(self) -> bool:
        """A node of its own for each worker is wanted; else the ordinary set-up for one machine."""
        return self.case == "e"

    @abstractmethod
    def start(self) -> None:
        """Leaves nothing running when it fails."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def begin(self, work: str, arguments: Sequence[Any]) -> Any:
        """Submit all at once; what finish and count take."""

    @abstractmethod
    def finish(self, begun: Any) -> list[Any]:
        """All results, in order."""

    @abstractmethod
    def count(self, begun: Any, timeout_s: float) -> int:
        """How many results came within the time."""

    def node_pids(self, worker_pid: int) -> list[int]:
        """Every process to kill so that the node of this worker is gone."""
        return [worker_pid]

    def map(self, work: str, arguments: Sequence[Any]) -> list[Any]:
        return self.finish(self.begin(work, arguments))

    def round_trips_s(self, count: int) -> list[float]:
        """How long each of so many no-ops took, one at a time."""
        took: list[float] = []
        for number in range(count):
            begin = time.perf_counter()
            self.map("noop", [number])
            took.append(time.perf_counter() - begin)
        return took

    def count_words(self, path: Path) -> Counter[str]:
        """The text leaves from this process and the merged counts return to it."""
        from bench.corpus import shards

        total: Counter[str] = Counter()
        for counts in self.map("count_words", shards(path.read_bytes())):
            total.update(counts)
        return total

    def kill_node(self, worker_pid: int) -> None:
        for pid in self.node_pids(worker_pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
