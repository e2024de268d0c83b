"""All tasks there ever were: `nova tasks --history`, `client.metrics.ended` and its twin, on real nodes.

The owner forgets its volatile tasks by being killed; its history does not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nova_client import Client, Invalid, NotFound, Status, SyncClient
from support.mesh import Mesh, Node, eventually, met, run

MODULE = ["--capability", "support.mesh_capabilities", "--no-mdns", "--slots", "1"]


def told(mesh: Mesh, node: Node, *args: str) -> dict[str, Any]:
    ran = mesh.nova("tasks", *args, "--json", node=node)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["schema"] == 1
    return document


def ids(document: dict[str, Any]) -> list[str]:
    return [task["id"] for task in document["tasks"]]


def show_what_was_recorded(mesh: Mesh, node: Node, gone: str, kept: str) -> None:
    shown = mesh.nova("show", gone, node=node)
    assert shown.returncode == 0, shown.stderr
    facts = dict(line.split(":", 1) for line in shown.stdout.splitlines()[:8])
    assert facts["task"].strip() == gone
    assert facts["status"].strip() == "failed"
    assert facts["error"].strip() == "capability_failed"
    assert not {"args", "value"} & facts.keys()
    assert "keeps it no longer" in shown.stderr
    as_json = [json.loads(mesh.nova("show", id, "--json", node=node).stdout) for id in (gone, kept)]
    assert [(task["id"], task["kept"]) for task in as_json] == [(gone, False), (kept, True)]
    unknown = mesh.nova("show", f"{gone}999", node=node)
    assert unknown.returncode != 0
    assert "no task" in unknown.stderr


async def recorded(client: Client, count: int) -> None:
    async def enough() -> bool:
        page = await client.metrics.ended()
        return page.total == count and not page.missing

    await eventually(enough, f"{count} tasks in the history")


def test_what_owners_forgot_is_listed_with_what_they_keep(mesh: Mesh, tmp_path: Path) -> None:
    one = mesh.start("birch", *MODULE)
    two = mesh.start("ash", *MODULE, "--peer", one.address)
    nowhere = {"path": str(tmp_path / "none" / "marks"), "number": 7, "seconds": 0.0}
    gone: list[str] = []
    kept: list[str] = []

    async def work() -> None:
        async with one.client() as client, two.client() as other:
            await met(client, 2)
            await met(other, 2)
            slept = [("core.sleep", {"seconds": 0})] * 20
            batch = await client.submit_many(slept, durability="volatile")
            lost = await client.submit_many(
                [("mesh.mark", nowhere)] * 3, durability="volatile", max_attempts=1
            )
            stays = [*await client.submit_many(slept[:4]), *await other.submit_many(slept[:5])]
            for task in (*batch, *stays):
                await task.result(30.0)
            gone.extend(task.id for task in (*batch, *lost))
            kept.extend(task.id for task in stays)
            await recorded(client, 32)

    run(work())
    one.kill()
    one.restart()

    async def joined() -> None:
        async with two.client() as client:
            await met(client, 2)
            await recorded(client, 32)
            waits = await client.submit("core.sleep", {"seconds": 0}, labels={"none": "has"})
            kept.append(waits.id)

    run(joined())

    assert sorted(ids(told(mesh, two))) == sorted(kept)
    everything = told(mesh, two, "--history")
    assert sorted(ids(everything)) == sorted([*gone, *kept])
    assert everything["total"] == 33
    assert everything["missing"] == []
    assert {task["id"] for task in everything["tasks"] if not task["kept"]} == {*gone}

    pages: list[str] = []
    before: list[str] = []
    while True:
        page = told(mesh, two, "--history", "--limit", "10", *before)
        assert page["total"] == 33
        pages += ids(page)
        if not page["next"]:
            break
        before = ["--before", page["next"]]
    assert pages == ids(everything)

    failed = told(mesh, two, "--history", "status:failed", "cap:mesh.mark", "!birch", "!ash")
    by_node = told(mesh, two, "--history", "--dead", "node:birch")
    other = told(mesh, two, "--history", "--dead", "node:ash")
    assert ids(failed) == []
    assert sorted([*ids(by_node), *ids(other)]) == sorted(gone[20:])
    codes = {task["failure"]["code"] for task in (*by_node["tasks"], *other["tasks"])}
    assert codes == {"capability_failed"}
    assert ids(told(mesh, two, "--history", "status:waiting")) == [kept[-1]]
    assert sorted(ids(told(mesh, two, "done"))) == sorted(kept[:-1])

    text = mesh.nova("tasks", "--history", "cap:core.sleep", "--limit", "5", node=two)
    assert text.returncode == 0, text.stderr
    assert len(text.stdout.splitlines()) == 6
    assert "5 of 30; the next page: --before " in text.stderr
    nothing = mesh.nova("tasks", "zebra", "--history", node=two)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no task matches" in nothing.stderr
    wrong = mesh.nova("tasks", "--before", "x", node=two)
    assert wrong.returncode == 2
    assert "--history" in wrong.stderr
    assert mesh.nova("tasks", "--history", "--before", "x", node=two).returncode == 2
    show_what_was_recorded(mesh, two, gone[-1], kept[0])

    async def one_of_them() -> None:
        async with two.client() as client:
            with pytest.raises(NotFound):
                await client.get(gone[-1])
            page = await client.metrics.ends(gone[-1])
            assert [(t.id, t.status, t.capability, t.attempts) for t in page.tasks] == [
                (gone[-1], Status.FAILED, "mesh.mark", 1)
            ]
            assert not (await client.metrics.ends(f"{gone[-1]}9")).tasks
            with pytest.raises(Invalid):
                await client.metrics.ended(limit=1_001)

    run(one_of_them())
    with SyncClient(two.address) as client:
        first = client.metrics.ended("status:done !zebra", limit=3)
        assert (len(first.tasks), first.total) == (3, 29)
        more = client.metrics.ended("status:done !zebra", limit=1_000, before=first.next)
        assert len({task.id for task in (*first.tasks, *more.tasks)}) == 29
        assert client.metrics.ends(gone[0]).tasks[0].status is Status.DONE


def test_a_node_that_does_not_answer_is_named(mesh: Mesh) -> None:
    one = mesh.start("birch", *MODULE)
    mesh.start("mute", *MODULE, "--peer", one.address, "--set", "storage.metrics_cap_bytes=0")

    async def work() -> None:
        async with one.client() as client:
            await met(client, 2)
            await (await client.submit("core.sleep", {"seconds": 0})).result(30.0)

            async def enough() -> bool:
                page = await client.metrics.ended()
                return page.total == 1 and [m.name for m in page.missing] == ["mute"]

            await eventually(enough, "the history to tell of it")

    run(work())
    document = told(mesh, one, "--history")
    assert (len(document["tasks"]), document["missing"]) == (1, ["mute"])
    assert "did not answer: mute" in mesh.nova("tasks", "--history", node=one).stderr
