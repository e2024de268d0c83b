"""Nova: one node or several, each a process of its own, as `SLOTS` tells for each test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from bench.mesh import Mesh
from bench.peer import Peer
from nova_client import Call, Client, Status, Task

Tasks = list[Task]
T = TypeVar("T")

#: slots of each node; the client talks to the first. One node with a slot a core is Nova's ordinary
#: set-up on one machine; tests that name a second node, or kill one, have it.
SLOTS = {"a": (0, 1), "b": (1, 1), "c": (2,), "d": (2,), "e": (0, 1, 1), "f": (2,)}


class Loop:
    """An event loop in a thread of its own that never rests, as a program that uses Nova has one.
    (A loop that is stopped between calls costs tens of milliseconds for each large message.)"""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class JournaledPeer(Peer):
    durability: ClassVar[Literal["journaled", "volatile"]] = "journaled"

    def start(self) -> None:
        self._mesh = Mesh(self.scratch)
        self._loop = Loop()
        try:
            self._start()
        except BaseException:
            self._mesh.stop()
            raise

    def _start(self) -> None:
        first, *others = SLOTS[self.case]
        self._mesh.spawn("first", "--no-mdns", "--slots", str(first))
        address = self._mesh.address("first")
        for number, slots in enumerate(others):
            self._mesh.spawn(
                f"other-{number}", "--no-mdns", "--slots", str(slots), "--peer", address
            )
        self._client = Client(address)
        self._loop.run(self._client.connect())
        if self.case != "f":
            self._loop.run(self._meet(sum(SLOTS[self.case])))

    async def _meet(self, workers: int) -> None:
        """Wait until a task has run on each worker process."""
        met: set[int] = set()
        while len(met) < workers:
            tasks = await self._client.submit_many(_calls("worker_pid", range(4)))
            met |= {await task.result(30.0) for task in tasks}

    def stop(self) -> None:
        try:
            self._loop.run(self._client.close())
        finally:
            self._loop.close()
            self._mesh.stop()

    def begin(self, work: str, arguments: Sequence[Any]) -> Tasks:
        return self._loop.run(self._submit(work, arguments))

    async def _submit(self, work: str, arguments: Sequence[Any]) -> Tasks:
        return await self._client.submit_many(_calls(work, arguments), durability=self.durability)

    def finish(self, begun: Tasks) -> list[Any]:
        return self._loop.run(_results(begun))

    def count(self, begun: Tasks, timeout_s: float) -> int:
        self._loop.run(_settle(begun, timeout_s))
        outcomes = (task.outcome for task in begun)
        return sum(outcome is not None and outcome.status is Status.DONE for outcome in outcomes)

    def map(self, work: str, arguments: Sequence[Any]) -> list[Any]:
        async def submit_and_gather() -> list[Any]:
            return await _results(await self._submit(work, arguments))

        return self._loop.run(submit_and_gather())

    def round_trips_s(self, count: int) -> list[float]:
        async def measure() -> list[float]:
            took: list[float] = []
            for number in range(count):
                begin = time.perf_counter()
                task = await self._client.submit(
                    "bench.noop", {"number": number}, durability=self.durability
                )
                await task.result()
                took.append(time.perf_counter() - begin)
            return took

        return self._loop.run(measure())

    def count_words(self, path: Path) -> Counter[str]:
        """One task, which the mesh splits and merges: what a user of Nova would write."""

        async def measure() -> Counter[str]:
            task = await self._client.submit(
                "text.wordcount", inputs={"files": path}, shards=64, durability=self.durability
            )
            return Counter(await task.result())

        return self._loop.run(measure())

    def node_pids(self, worker_pid: int) -> list[int]:
        return self._mesh.pids(self._mesh.node_of(worker_pid))


class VolatilePeer(JournaledPeer):
    durability = "volatile"


def _calls(work: str, arguments: Sequence[Any]) -> list[Any]:
    name = f"bench.{work}"
    match work:
        case "echo":
            return [Call(name, inputs={"data": data}) for data in arguments]
        case "sleep_mark":
            keys = ("path", "number", "duration_s")
            return [(name, dict(zip(keys, mark, strict=True))) for mark in arguments]
        case _:
            return [(name, {"number": number}) for number in arguments]


async def _results(tasks: Tasks) -> list[Any]:
    return [await task.result() for task in tasks]


async def _settle(tasks: Tasks, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            for task in tasks:
                await task.wait()
    except TimeoutError:
        return
