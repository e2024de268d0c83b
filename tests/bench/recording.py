"""What recording costs: no-ops a second on a node that records and on one that does not, by turns.

python tests/bench/recording.py [ROUNDS] [TASKS]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from nova_client import Client

TESTS = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, TESTS)

from bench.mesh import Mesh  # noqa: E402

OPTIONS = {"on": (), "off": ("--set", "storage.metrics_cap_bytes=0")}
REST_S = 0.5


async def rate(client: Client, tasks: int) -> float:
    began = time.perf_counter()
    submitted = await client.submit_many([("bench.noop", {"number": n}) for n in range(tasks)])
    for task in submitted:
        await task.result(60.0)
    return tasks / (time.perf_counter() - began)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(mesh: Mesh, rounds: int, tasks: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in OPTIONS}
    used_us: dict[str, list[float]] = {name: [] for name in OPTIONS}
    on, off = (Client(mesh.address(name)) for name in OPTIONS)
    async with on, off:
        clients = {"on": on, "off": off}
        for client in clients.values():
            await rate(client, tasks)
        for number in range(rounds):
            for name in sorted(OPTIONS, reverse=number % 2 == 0):
                process = psutil.Process(mesh.nodes[name].pid)
                before_s = cpu_s(process)
                rates[name].append(await rate(clients[name], tasks))
                await asyncio.sleep(REST_S)  # what is written behind counts, too
                used_us[name].append((cpu_s(process) - before_s) / tasks * 1e6)
    for name in OPTIONS:
        print(  # noqa: T201
            f"{name:>3}: {statistics.median(rates[name]):>7,.0f} tasks/s (best"
            f" {max(rates[name]):,.0f}), {statistics.median(used_us[name]):.0f} us of processor a task"
        )
    pairs = [a / b for a, b in zip(rates["on"], rates["off"], strict=True)]
    print(f"on / off: {statistics.median(pairs):.3f}, median of {rounds} pairs")  # noqa: T201


def main() -> None:
    os.environ["PYTHONPATH"] = TESTS  # of the nodes, for their capabilities
    rounds, tasks = (*[int(text) for text in sys.argv[1:3]], *(11, 10_000)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory(prefix="nova-recording-") as folder:
        mesh = Mesh(Path(folder))
        try:
            for name, options in OPTIONS.items():
                mesh.spawn(name, "--no-mdns", "--slots", "1", "--mesh", name, *options)
            asyncio.run(measure(mesh, rounds, tasks))
        finally:
            mesh.stop()


if __name__ == "__main__":
    main()
