"""The total-queue check: what was acknowledged, what really ran, what was answered and announced.

CAPABILITY writes a line when it starts and one when it ends, so the file tells what ran whatever the
mesh says. `Ledger` submits such tasks, one number each, and reads the owner's events beside them.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

from nova_client import Client, NovaError, Status, Task
from nova_client.event import Accepted, Assigned, Finished, Retried
from support.mesh import eventually

RESULT_S = 60.0
OPEN_MAX = 40
PAUSE_S = 0.04
CAPABILITY = "mesh.mark"


def seed() -> int:
    """Told by a failing run; NOVA_TEST_SEED repeats it."""
    chosen = int(os.environ.get("NOVA_TEST_SEED", time.time_ns() % 1_000_000))
    sys.stdout.write(f"NOVA_TEST_SEED={chosen}\n")
    return chosen


class Verdict(NamedTuple):
    """Numbers of tasks; all but the last two must be 0."""

    #: acknowledged, and no result
    lost: int
    #: results or runs of what nobody submitted, and results of what never ran to its end
    unexpected: int
    #: more tasks in the owner's books than were submitted
    accepted_twice: int
    #: a second end was told to watchers
    announced_twice: int
    submitted: int
    #: started more than once: allowed, and a sign that the fault bit
    started_again: int

    @property
    def clean(self) -> bool:
        return not any(self[:4])


class Ledger:
    """`seed` makes the pace; the same for the same seed."""

    def __init__(self, client: Client, marks: Path, seed: int = 1) -> None:
        self.client = client
        self.tasks: dict[int, Task] = {}
        self.random = random.Random(seed)
        #: task id -> times of its assignments
        self.assigned: dict[str, list[float]] = {}
        #: (time, node, task id) of attempts that failed; those given back unstarted did not
        self.retried: list[tuple[float, str, str]] = []
        self._marks = marks
        self._ends: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ while the faults happen

    async def submit(self, task_s: float = 0.08) -> None:
        """The next number; returns when it is acknowledged."""
        number = len(self.tasks)
        args = {"path": str(self._marks), "number": number, "seconds": task_s}
        self.tasks[number] = await self.client.submit(CAPABILITY, args, max_attempts=20)

    async def keep_submitting(self, until: asyncio.Event, open_max: int = OPEN_MAX) -> None:
        """At random moments, as long as fewer than `open_max` tasks are open."""
        while not until.is_set():
            if sum(not task.done for task in self.tasks.values()) < open_max:
                for _ in range(self.random.randint(1, 4)):
                    await self.submit()
            await asyncio.sleep(self.random.uniform(0.0, PAUSE_S))

    def watch(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """From the beginning, and over the owner's restarts."""
        async with aclosing(self.client.watch(1)) as events:
            async for event in events:
                match event.fact:
                    case Assigned(tasks=tasks):
                        for task in tasks:
                            self.assigned.setdefault(task, []).append(event.time)
                    case Retried(outcome=outcome) if outcome.failure is not None:
                        self.retried.append((event.time, outcome.node, outcome.id))
                    case Finished(outcomes=outcomes):
                        self._ends.update(outcome.id for outcome in outcomes)
                    case _:
                        pass

    # ------------------------------------------------------------ when they are over

    async def settle(self, timeout_s: float = RESULT_S) -> Verdict:
        """Wait for every result, then compare."""
        failures: list[NovaError] = []
        for task in self.tasks.values():
            try:
                await task.wait(timeout_s)
            except NovaError as error:
                failures.append(error)
                break

        async def told() -> bool:
            return all(self._ends[task.id] for task in self.tasks.values() if task.done)

        if self._watching is not None:
            if self._watching.done():
                self._watching.result()  # what ended it
            await eventually(told, "the watcher to hear of every end")
            self._watching.cancel()
        return self._compare(await self._accepted())

    async def _accepted(self) -> int:
        """Tasks in the owner's books: told from the beginning again, until the end of the last one."""
        count, last = 0, max(self.tasks.values(), key=lambda task: task.no).id
        async with aclosing(self.client.watch(1)) as events:
            async for event in events:
                match event.fact:
                    case Accepted(count=more, capabilities=(name,)) if name == CAPABILITY:
                        count += more
                    case Finished(outcomes=outcomes) if last in [each.id for each in outcomes]:
                        break
                    case _:
                        pass
        return count

    def _compare(self, accepted: int) -> Verdict:
        starts, ends = runs(self._marks, "S"), runs(self._marks, "E")
        lost = unexpected = 0
        for number, task in self.tasks.items():
            outcome = task.outcome
            if outcome is None or outcome.status is not Status.DONE:
                lost += 1
            elif outcome.value != number or not ends[number]:
                unexpected += 1
        unexpected += len(starts.keys() - self.tasks.keys())
        return Verdict(
            lost,
            unexpected,
            accepted - len(self.tasks),
            sum(1 for count in self._ends.values() if count > 1),
            len(self.tasks),
            sum(1 for count in starts.values() if count > 1),
        )

    def reassigned_after_s(self, kills: Sequence[tuple[str, float]]) -> list[float]:
        """`kills` are (node id, time). For each attempt that one cost: until its task was given out
        again."""
        took: list[float] = []
        for at, where, task in self.retried:
            before = [killed_at for node, killed_at in kills if node == where and killed_at <= at]
            later = [given_at for given_at in self.assigned.get(task, []) if given_at >= at]
            if before and later:
                took.append(min(later) - max(before))
        return took


def runs(marks: Path, kind: str) -> Counter[int]:
    lines = marks.read_text().splitlines() if marks.exists() else []
    return Counter(int(line.split()[1]) for line in lines if line.startswith(kind))


def quantiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99, in the unit of the values."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
