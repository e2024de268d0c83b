"""How fast a filtered page of tasks comes: of a million that ended, in the history of three nodes, and of
a million that are open.

python tests/bench/tasks_page.py [ROUNDS] [ROWS]

Of the history: a page of 1,000 with the count of all that match, as `nova tasks --history` and the console
ask for it. First: the process that holds the history has to be started on each node. Of open tasks: a page
of 100 and of 1,000, of one owner, while the others hold none.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nova_client import Client, Status

TESTS = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, TESTS)

from bench.mesh import Mesh  # noqa: E402
from bench.sql import NODES, end_helpers, fill, see_all  # noqa: E402

VALUES = {
    "capability": "'bench.c' || (i % 7)",
    "phase": "CASE WHEN i % 10 = 9 THEN 'split' ELSE 'run' END",
    "submitter": "''",
    "durability": "'journaled'",
    "parent_no": "CASE WHEN i % 10 = 9 THEN i - 1 ELSE 0 END",
    "status": "CASE WHEN i % 50 = 0 THEN 'failed' WHEN i % 97 = 0 THEN 'cancelled' ELSE 'done' END",
    "worker": "'w' || (i % 3) || 'abcdefghijklmn'",
    "code": "CASE WHEN i % 50 = 0 THEN 'timed_out' ELSE '' END",
    # a hundred thousand submits
    "accepted_at": "now()::TIMESTAMP - to_milliseconds((2000000 - i) // 10)",
    "ended_at": "now()::TIMESTAMP - to_milliseconds((2000000 - i) // 20)",
}
FILTERS = (
    *("", "status:failed", "cap:bench.c3", "zebra", "12345", "id:-12345", "!done why:timed"),
    "status:done cap:c3 node:w1 !77",
)
#: of open tasks: what each narrows to
NARROWED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nothing", {}),
    ("waiting", {"statuses": [Status.WAITING]}),
    ("waiting, capability", {"statuses": [Status.WAITING], "capability": "core.sleep"}),
    ("failed", {"statuses": [Status.FAILED]}),
    ("a capability of none", {"capability": "core.echo"}),
)
OPEN_AT_ONCE = 100_000


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = await work()
    return (time.perf_counter() - began) * 1e3, found


def tell(name: str, times_ms: list[float], more: str = "") -> None:
    ordered = sorted(times_ms)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    print(  # noqa: T201
        f"{name:>34}: p50 {statistics.median(ordered):.0f} ms, p95 {p95:.0f}, worst {ordered[-1]:.0f}"
        f" of {len(ordered)}{more}",
        flush=True,
    )


async def measure_history(client: Client, mesh: Mesh, rounds: int) -> None:
    first = list[float]()
    for _ in range(max(1, rounds // 3)):
        end_helpers(mesh)
        await asyncio.sleep(1.0)
        took, _ = await timed(lambda: client.metrics.ended("status:failed"))
        first.append(took)
    tell("history, first", first)
    everything = list[float]()
    for words in FILTERS:
        warm, next_ = list[float](), list[float]()
        page = await client.metrics.ended(words)
        for _ in range(rounds):
            took, page = await timed(lambda words=words: client.metrics.ended(words))
            warm.append(took)
            if page.next:
                took, _ = await timed(
                    lambda words=words, page=page: client.metrics.ended(words, before=page.next)
                )
                next_.append(took)
        assert not page.missing
        tell(f"/ {words}", warm, f"; {len(page.tasks):,} of {page.total:,}")
        if next_:
            tell("the next page", next_)
        everything += warm + next_
    tell("history, all of these", everything)


async def measure_open(client: Client, rounds: int, rows: int) -> None:
    for _ in range(0, rows, OPEN_AT_ONCE):
        await client.submit_many([("core.sleep", {"seconds": 3600.0})] * min(rows, OPEN_AT_ONCE))
    everything = list[float]()
    for name, narrowed in NARROWED:
        for limit in (100, 1_000):
            times, total = list[float](), 0
            for _ in range(rounds):
                took, page = await timed(
                    lambda narrowed=narrowed, limit=limit: client.list_tasks(
                        limit=limit, **narrowed
                    )
                )
                times.append(took)
                total = page.total
            tell(f"open: {name}, {limit:,}", times, f"; of {total:,}")
            everything += times
    tell("open, all of these", everything)


async def measure(mesh: Mesh, address: str, rounds: int, rows: int) -> None:
    async with Client(address, timeout_s=60.0) as client:
        await see_all(client)
        await measure_history(client, mesh, rounds)
        await measure_open(client, rounds, rows)
    print(f"machine: load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")  # noqa: T201


def main() -> None:
    os.environ["PYTHONPATH"] = TESTS
    rounds, rows = (
        *[int(text) for text in sys.argv[1:3]],
        *(20, 1_000_000)[len(sys.argv) - 1 :],
    )
    with tempfile.TemporaryDirectory(prefix="nova-tasks-") as folder:
        mesh = Mesh(Path(folder))
        for name in NODES:
            (Path(folder) / name).mkdir(mode=0o700)
            fill(Path(folder) / name / "metrics", -(-rows // len(NODES)), VALUES)
        try:
            mesh.spawn(NODES[0], "--no-mdns", "--slots", "1")
            address = mesh.address(NODES[0])
            for name in NODES[1:]:
                mesh.spawn(name, "--no-mdns", "--slots", "1", "--peer", address)
            asyncio.run(measure(mesh, address, rounds, rows))
        finally:
            mesh.stop()


if __name__ == "__main__":
    main()
