"""How fast the history answers: an aggregate over a million rows on three nodes.

python tests/bench/sql.py [ROUNDS] [ROWS]

First: the process that holds the history has to be started on each node. Again: it runs already.
`nova sql` is the whole command, Python's start included, when it runs already.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
from nova_client import Client

TESTS = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, TESTS)

from bench.mesh import Mesh  # noqa: E402

from nova_node.adapters.metrics_duckdb import Store  # noqa: E402
from nova_node.metrics.keeping import Rules  # noqa: E402
from nova_node.metrics.tables import TASKS  # noqa: E402

NODES = ("one", "two", "three")
SQL = "SELECT capability, count(*) AS n, avg(elapsed_s) FROM tasks GROUP BY ALL ORDER BY n DESC"
VALUES = {
    "TIMESTAMP": "now()::TIMESTAMP - to_milliseconds(i // 20)",
    "BIGINT": "i",
    "INTEGER": "i % 9",
    "VARCHAR": "'bench.c' || (i % 7)",
}


def fill(folder: Path, rows: int, by_name: Mapping[str, str] = MappingProxyType({})) -> None:
    """Before the node starts. `by_name`: SQL of columns that are not filled by their type alone."""
    store = Store(folder, "0" * 16, Rules())
    store.open()
    values = ", ".join(by_name.get(c.name, VALUES[c.type]) for c in TASKS.columns)
    store._db.execute(  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
        f"INSERT INTO live_tasks SELECT {values} FROM range({rows}) t(i)"
    )
    store.close()


def end_helpers(mesh: Mesh) -> None:
    for name in NODES:
        for pid in mesh.pids(name)[1:]:
            process = psutil.Process(pid)
            if "nova_node.adapters.metrics_main" in process.cmdline():
                process.kill()


async def see_all(client: Client) -> None:
    """Returns when the nodes know each other."""
    answered = set[object]()
    while len(answered) < len(NODES):
        answered = {row[0] for row in (await client.metrics.sql(SQL)).rows}
        await asyncio.sleep(0.2)


async def measure(mesh: Mesh, address: str, rounds: int, rows: int) -> None:
    first, again, command = list[float](), list[float](), list[float]()
    async with Client(address) as client:
        await see_all(client)
        for _ in range(rounds):
            end_helpers(mesh)
            await asyncio.sleep(1.0)
            for into in (first, again, again):
                began = time.perf_counter()
                table = await client.metrics.sql(SQL)
                into.append((time.perf_counter() - began) * 1e3)
                assert sum(row[2] for row in table.rows) >= rows
            began = time.perf_counter()
            await asyncio.to_thread(ask, address)
            command.append((time.perf_counter() - began) * 1e3)
    for name, several in (("first", first), ("again", again), ("nova sql", command)):
        print(  # noqa: T201
            f"{name:>8}: {statistics.median(several):.0f} ms, worst {max(several):.0f},"
            f" best {min(several):.0f} of {len(several)}"
        )
    print(f"machine: load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")  # noqa: T201


def ask(address: str) -> None:
    command = [str(Path(sys.executable).with_name("nova")), "--node", address, "sql", SQL]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    os.environ["PYTHONPATH"] = TESTS
    rounds, rows = (*[int(text) for text in sys.argv[1:3]], *(7, 1_000_000)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory(prefix="nova-sql-") as folder:
        mesh = Mesh(Path(folder))
        for name in NODES:
            (Path(folder) / name).mkdir(mode=0o700)
            fill(Path(folder) / name / "metrics", -(-rows // len(NODES)))
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
