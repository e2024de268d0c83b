"""The recorded history of real nodes: asked of all, lost and made again, and what people see of it."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from nova_client import Client, Invalid, SyncClient, Timeout
from nova_client.metrics import Table
from support.mesh import Mesh, Node, eventually, met, run, wait_for
from support.secure import SecureMesh

from nova_node.metrics.prometheus import METRICS

MODULE = ["--capability", "support.mesh_capabilities", "--no-mdns", "--slots", "1"]
COUNT = "SELECT count(*) AS n FROM tasks WHERE parent_no = 0"


async def did(client: Client, count: int) -> None:
    for task in await client.submit_many([("core.sleep", {"seconds": 0})] * count):
        await task.result(30.0)


def by_node(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


async def counted(client: Client, expected: dict[str, int]) -> None:
    """Until each of these nodes has recorded so many tasks."""

    async def enough() -> bool:
        return by_node(await client.metrics.sql(COUNT)) == expected

    await eventually(enough, f"{expected} tasks in the history")


def pair(mesh: Mesh, *options: str) -> tuple[Node, Node]:
    one = mesh.start("one", *MODULE, *options)
    return one, mesh.start("two", *MODULE, "--peer", one.address)


def test_every_node_answers_for_itself(mesh: Mesh) -> None:
    one, two = pair(mesh)

    async def scene() -> None:
        async with one.client() as client, two.client() as other:
            await met(client, 2)
            await met(other, 2)
            await did(client, 30)
            await did(other, 20)
            await counted(client, {"one": 30, "two": 20})
            await counted(other, {"one": 30, "two": 20})

            found = await client.metrics.sql(
                "SELECT id, status, capability, away, worker FROM tasks ORDER BY no"
            )
            assert found.columns == ("node", "id", "status", "capability", "away", "worker")
            assert not found.missing
            ids = {"one": client.node, "two": other.node}
            for node, id_, status, capability, away, worker in found.rows:
                assert id_.startswith(ids[node][:8])
                assert (status, capability) == ("done", "core.sleep")
                assert away is (worker != ids[node])

            here = await client.metrics.sql(COUNT, local_only=True)
            assert by_node(here) == {"one": 30}
            members = await client.metrics.sql("SELECT peer, state FROM members")
            assert {("one", other.node, "alive"), ("two", client.node, "alive")} <= set(
                members.rows
            )

            cut = await client.metrics.sql("SELECT no FROM tasks", rows_max=7)
            assert len(cut.rows) == 14
            assert cut.truncated == ("one", "two")

    run(scene())


def test_who_does_not_answer_is_named(mesh: Mesh) -> None:
    one, two = pair(mesh)
    mute = mesh.start(
        "mute", *MODULE, "--peer", one.address, "--set", "storage.metrics_cap_bytes=0"
    )

    async def scene() -> None:
        async with one.client() as client:
            await met(client, 3)
            await did(client, 5)
            await counted(client, {"one": 5, "two": 0})
            found = await client.metrics.sql(COUNT)
            assert [(m.name, m.code) for m in found.missing] == [("mute", "not_recording")]

            two.signal(signal.SIGSTOP)
            found = await client.metrics.sql(COUNT, timeout_s=0.2)
            assert by_node(found) == {"one": 5}
            assert {m.name for m in found.missing} == {"mute", "two"}
            two.signal(signal.SIGCONT)

            for each in (await client.metrics.top(), await client.metrics.stats()):
                assert "mute" in {m.name for m in each.missing}
        async with mute.client() as client:
            with pytest.raises(Exception, match="records no metrics"):
                await client.metrics.sql(COUNT, local_only=True)

    run(scene())


def test_what_is_no_question_is_refused_and_what_is_too_much_stops(mesh: Mesh) -> None:
    one, _ = pair(mesh)

    async def scene() -> None:
        async with one.client() as client:
            await met(client, 2)
            await did(client, 3_000)
            await counted(client, {"one": 3_000, "two": 0})
            for sql in ("ATTACH 'x'", "SELECT * FROM read_csv('/etc/passwd')", "SELECT", "SET x=1"):
                with pytest.raises(Invalid):
                    await client.metrics.sql(sql)
            with pytest.raises(Timeout):
                await client.metrics.sql(
                    "SELECT count(*) FROM tasks a, tasks b, tasks c WHERE a.no * b.no % 7 < c.no % 3",
                    timeout_s=0.3,
                    local_only=True,
                )
            await counted(client, {"one": 3_000, "two": 0})

    run(scene())


@pytest.mark.parametrize("how", ["zeroed", "deleted"])
def test_a_lost_history_is_made_again_from_the_journal(mesh: Mesh, how: str) -> None:
    node = mesh.start("only", *MODULE)
    database = node.data_dir / "metrics" / "history.duckdb"

    async def fill() -> None:
        async with node.client() as client:
            await did(client, 40)
            await counted(client, {"only": 40})

    async def look() -> None:
        async with node.client() as client:
            await counted(client, {"only": 40})
            await did(client, 2)
            await counted(client, {"only": 42})

    run(fill())
    node.kill()
    wait_for(lambda: _is_free(database), "the helper to end with its node")
    if how == "zeroed":
        database.write_bytes(bytes(database.stat().st_size))
    else:
        database.unlink()
    node.restart()
    run(look())


def _is_free(database: Path) -> bool:
    """No process has it open."""
    target = str(database.resolve())
    for process in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(fd.readlink()) == target for fd in process.iterdir()):
                return False
        except OSError:
            continue
    return True


def test_what_was_recorded_survives_a_killed_node(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE)

    async def fill(count: int) -> None:
        async with node.client() as client:
            await did(client, count)

    async def look() -> None:
        async with node.client() as client:
            await counted(client, {"only": 75})

    run(fill(50))
    node.kill()  # at once: part of it may not have been written yet
    node.restart()
    run(fill(25))
    node.signal(signal.SIGTERM)
    assert node.exit_code() == 0
    node.restart()
    run(look())


def test_the_commands(mesh: Mesh) -> None:
    one, two = pair(mesh)

    async def fill() -> None:
        async with one.client() as client:
            await met(client, 2)
            await did(client, 20)
            await counted(client, {"one": 20, "two": 0})

            async def sampled() -> bool:
                top = await client.metrics.top()
                return len(top.nodes) == 2 and all(node.at for node in top.nodes)

            await eventually(sampled, "both nodes to be sampled")

    run(fill())

    table = mesh.nova("sql", "SELECT count(*) AS n FROM tasks", node=one)
    assert table.returncode == 0, table.stderr
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["node", "n"],
        ["one", "20"],
        ["two", "0"],
    ]
    document = json.loads(mesh.nova("sql", COUNT, "--json", node=one).stdout)
    assert document["rows"] == [["one", 20], ["two", 0]]
    assert document["missing"] == []
    refused = mesh.nova("sql", "DROP VIEW tasks", node=one)
    assert refused.returncode == 2
    assert "one SELECT" in refused.stderr

    top = mesh.nova("top", "--once", node=one)
    assert top.returncode == 0, top.stderr
    assert {line.split()[0] for line in top.stdout.splitlines()} >= {"NODE", "one", "two"}
    seen = json.loads(mesh.nova("top", "--json", node=one).stdout)
    assert {node["name"]: node["slots"] for node in seen["nodes"]} == {"one": 1, "two": 1}
    assert {node["peers"] for node in seen["nodes"]} == {1}

    told = json.loads(mesh.nova("stats", "--hours", "1", "--json", node=one).stdout)
    assert told["all"]["tasks"] == 20
    assert told["all"]["tasks_an_hour"] == pytest.approx(20.0)  # pyright: ignore[reportUnknownMemberType]
    assert told["all"]["error_rate"] == 0.0
    assert 0.0 <= told["all"]["collaboration"] <= 1.0
    assert "PER HOUR" in mesh.nova("stats", node=two).stdout

    two.kill()
    partial = mesh.nova("sql", COUNT, node=one)
    assert partial.returncode == 0
    assert "did not answer: two" in partial.stderr


def test_series_and_forecast(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE)

    async def scene() -> None:
        async with node.client() as client:
            await did(client, 10)

            async def enough() -> bool:
                found = await client.metrics.series("rate", step_s=1.0, capability="core.sleep")
                return sum(value for _, value in found.nodes[0].points) == 10

            await eventually(enough, "10 tasks in the series")
            found = await client.metrics.series("busy", step_s=1.0, ahead=5)
            assert (found.unit, found.step_s) == ("slots", 1.0)
            assert found.nodes[0].method == "", "too few values for a forecast"
            with pytest.raises(Invalid):
                await client.metrics.series("nothing")

    run(scene())
    with SyncClient(node.address) as client:
        assert client.metrics.sql(COUNT).rows == (("only", 10),)
        assert client.metrics.top().nodes[0].slots == 1
        assert client.metrics.stats().all.tasks == 10
        assert client.metrics.series("rate").nodes[0].name == "only"


def test_prometheus_reads_a_page(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE, "--metrics", "127.0.0.1:0", "--set", "sandbox.runtime=off")

    def page() -> str:
        return node.said().partition("Prometheus may read ")[2].partition("\n")[0]

    url = wait_for(page, "the address of the page")

    async def scene() -> None:
        async with node.client() as client:
            await did(client, 10)

    run(scene())

    def read() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return str(answer.read(), "utf-8")

    done = 'capability="core.sleep",outcome="done"} 10\n'
    wait_for(lambda: done in read(), "10 tasks on the page")
    families = {line.split()[2] for line in read().splitlines() if line.startswith("# TYPE")}
    assert families == {name for name in METRICS if not name.startswith("nova_sandbox_")}
    with pytest.raises(urllib.error.HTTPError, match="404") as other:
        urllib.request.urlopen(url + "/secrets", timeout=10)
    other.value.close()


def test_the_page_is_for_this_machine_only(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE, "--metrics", "0.0.0.0:0")
    assert node.exit_code() == 5
    assert "will not show metrics on 0.0.0.0:0" in node.said()


def test_an_idle_node_runs_no_helper(mesh: Mesh) -> None:
    node = mesh.start("only", *MODULE)

    async def scene() -> None:
        async with node.client() as client:

            async def sampled() -> bool:
                return bool((await client.metrics.top()).nodes[0].at)

            await eventually(sampled, "a sample")
            assert not _helpers(node)
            await client.metrics.sql("SELECT 1")
            assert len(_helpers(node)) == 1

    run(scene())
    node.kill()
    wait_for(lambda: _is_free(node.data_dir / "metrics/history.duckdb"), "the helper to end")


def _helpers(node: Node) -> list[int]:
    return [w.pid for w in node.workers() if "nova_node.adapters.metrics_main" in w.cmdline()]


def test_two_who_ask_at_once_get_each_their_own(mesh: Mesh) -> None:
    one, _ = pair(mesh)

    async def scene() -> None:
        async with one.client() as client:
            await met(client, 2)
            asked = [client.metrics.sql(f"SELECT {n} AS n") for n in range(4)]
            for n, table in enumerate(await asyncio.gather(*asked)):
                assert by_node(table) == {"one": n, "two": n}

    run(scene())


def test_members_of_a_mesh_with_identity_ask_each_other(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        first = mesh.start("first", "--no-mdns", "--slots", "1")
        second = mesh.start("second", "--no-mdns", "--slots", "1", "--peer", first.address)
        watcher = mesh.credentials("observer", "olga")

        async def scene() -> None:
            async with Client(first.address, identity=watcher) as client:
                await met(client, 2)
                assert by_node(await client.metrics.sql(COUNT)) == {"first": 0, "second": 0}
                assert len((await client.metrics.top()).nodes) == 2
                assert not (await client.metrics.stats()).missing

        assert second.address
        run(scene())
