"""Nova: an owner without slots and worker nodes of one slot each, all processes of their own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.mesh import Mesh
from bench.peer import WORKERS, Peer
from nova_client import Call, Client, Status, Task

Tasks = list[Task]


class JournaledPeer(Peer):
    durability: ClassVar[Literal["journaled", "volatile"]] = "journaled"

    def start(self) -> None:
        self._mesh = Mesh(self.scratch)
        self._runner = asyncio.Runner()
        try:
            self._start()
        except BaseException:
            self._mesh.stop()
            raise

    def _start(self) -> None:
        if self.case == "f":
            self._mesh.spawn("only", "--no-mdns", "--slots", str(WORKERS))
            self._client = Client(self._mesh.address("only"))
            self._runner.run(self._client.connect())
            return
        self._mesh.spawn("owner", "--no-mdns", "--slots", "0")
        address = self._mesh.address("owner")
        for number in range(WORKERS):
            self._mesh.spawn(f"worker-{number}", "--no-mdns", "--slots", "1", "--peer", address)
        self._client = Client(address)
        self._runner.run(self._meet())

    async def _meet(self) -> None:
        """Connect, and wait until a task has run on each worker."""
        await self._client.connect()
        met: set[int] = set()
        while len(met) < WORKERS:
            tasks = await self._client.submit_many(_calls("worker_pid", range(4)))
            met |= {await task.result(30.0) for task in tasks}

    def stop(self) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._runner.close()
            self._mesh.stop()

    def begin(self, work: str, arguments: Sequence[Any]) -> Tasks:
        return self._runner.run(self._submit(work, arguments))

    async def _submit(self, work: str, arguments: Sequence[Any]) -> Tasks:
        return await self._client.submit_many(_calls(work, arguments), durability=self.durability)

    def finish(self, begun: Tasks) -> list[Any]:
        return self._runner.run(_results(begun))

    def count(self, begun: Tasks, timeout_s: float) -> int:
        self._runner.run(_settle(begun, timeout_s))
        outcomes = (task.outcome for task in begun)
        return sum(outcome is not None and outcome.status is Status.DONE for outcome in outcomes)

    def map(self, work: str, arguments: Sequence[Any]) -> list[Any]:
        async def submit_and_gather() -> list[Any]:
            return await _results(await self._submit(work, arguments))

        return self._runner.run(submit_and_gather())

    def round_trips_s(self, count: int) -> list[float]:
        async def measure() -> list[float]:
            took: list[float] = []
            for number in range(count):
                begin = time.perf_counter()
                await _results(await self._submit("noop", [number]))
                took.append(time.perf_counter() - begin)
            return took

        return self._runner.run(measure())

    def count_words(self, path: Path) -> Counter[str]:
        """One task, which the mesh splits and merges: what a user of Nova would write."""

        async def measure() -> Counter[str]:
            task = await self._client.submit(
                "text.wordcount", inputs={"files": path}, shards=64, durability=self.durability
            )
            return Counter(await task.result())

        return self._runner.run(measure())

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
