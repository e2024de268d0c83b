"""What identity costs: two meshes of two nodes each, one with it and one without, by turns.

python tests/bench/identity.py [ROUNDS]

The first node of each owns the tasks and the second runs them, all on loopback. Each round: no-ops one
at a time, journaled and volatile, many no-ops at once, and the start of one more node.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nova_client import Client
from nova_client.model import Durability

TESTS = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, TESTS)

from bench.mesh import Mesh  # noqa: E402

NODE = str(Path(sys.executable).with_name("nova-node"))
DOOR = "127.0.0.1:47699"
TRIPS = 100
TASKS = 20_000


class Side:
    """One mesh: an owner without slots, and a worker."""

    def __init__(self, folder: Path, name: str) -> None:
        self.mesh, self._folder, self._name = Mesh(folder, name), folder, name

    def start(self) -> None:
        owner = self.spawn("owner", "--slots", "0")
        self.spawn("worker", "--slots", "1", "--peer", owner)
        self.owner = owner

    def spawn(self, node: str, *options: str) -> str:
        """Its address."""
        self.mesh.spawn(f"{node}-{self._name}", "--no-mdns", *options)
        return self.mesh.address(f"{node}-{self._name}")

    def start_s(self, number: int) -> float:
        """From the command to the address of one more node, which is ended again."""
        began = time.perf_counter()
        self.spawn(f"more{number}")
        took = time.perf_counter() - began
        process = self.mesh.nodes[f"more{number}-{self._name}"]
        process.terminate()
        process.wait()
        return took


class SecureSide(Side):
    def start(self) -> None:
        self._tool("init", "--mesh", self._name, "--data-dir", self._data("owner"))
        owner = self.spawn("owner", "--slots", "0", "--join-listen", DOOR)
        self._admit("worker")
        self.spawn("worker", "--slots", "1", "--peer", owner)
        self.owner = owner

    def start_s(self, number: int) -> float:
        self._admit(f"more{number}")
        return super().start_s(number)

    def _admit(self, node: str) -> None:
        made = self._tool("token", "create", "--role", "worker", "--data-dir", self._data("owner"))
        self._tool("join", "--data-dir", self._data(node), "--peer", DOOR, given=made.split()[0])

    def _data(self, node: str) -> str:
        return str(self._folder / f"{node}-{self._name}")

    def _tool(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [NODE, *words], input=given, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout


async def trips_ms(client: Client, durability: Durability) -> float:
    took: list[float] = []
    for _ in range(TRIPS):
        began = time.perf_counter()
        await (await client.submit("core.noop", durability=durability)).result()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def rate(client: Client) -> float:
    began = time.perf_counter()
    calls: list[tuple[str, dict[str, object]]] = [("core.noop", {})] * TASKS
    for task in await client.submit_many(calls):
        await task.result(60.0)
    return TASKS / (time.perf_counter() - began)


async def measure(sides: dict[str, Side], rounds: int) -> None:
    clients = {name: Client(side.owner) for name, side in sides.items()}
    for client in clients.values():
        await client.connect()
        await rate(client)
    got: dict[str, dict[str, list[float]]] = {}

    def keep(what: str, name: str, value: float) -> None:
        got.setdefault(what, {each: [] for each in sides})[name].append(value)

    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 0):
            client = clients[name]
            keep("round trip, journaled, ms", name, await trips_ms(client, "journaled"))
            keep("round trip, volatile, ms", name, await trips_ms(client, "volatile"))
            keep("no-ops a second", name, await rate(client))
            took = await asyncio.to_thread(sides[name].start_s, number)
            keep("start of a node, ms", name, took * 1e3)
    for client in clients.values():
        await client.close()
    for what, values in got.items():
        a, b = statistics.median(values["without"]), statistics.median(values["with"])
        print(f"{what:>26}: without {a:,.2f}, with {b:,.2f}, ratio {b / a:.3f}")  # noqa: T201


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    os.environ["PYTHONPATH"] = TESTS  # of the nodes, for their capabilities
    with tempfile.TemporaryDirectory(prefix="nova-identity-") as name:
        folder = Path(name)
        os.environ["NOVA_IDENTITY_DIR"] = str(folder / "person")
        sides = {"without": Side(folder, "plain"), "with": SecureSide(folder, "secure")}
        try:
            for side in sides.values():
                side.start()
            asyncio.run(measure(sides, rounds))
        finally:
            for side in sides.values():
                side.mesh.stop()


if __name__ == "__main__":
    main()
