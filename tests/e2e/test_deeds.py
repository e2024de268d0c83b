"""What a person does on a real mesh: requeues dead letters, drains and resumes, looks at a flow."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from nova_client import Client, Invalid, NotFound, Refused, Status, event
from support.mesh import Mesh, Node, eventually, met, run, wait_for

MODULE = ["--capability", "support.mesh_capabilities", "--slots", "1"]


async def ended(client: Client, id: str) -> Status:
    async def status() -> Status | None:
        found = (await client.get(id)).status
        return found if found in (Status.DONE, Status.FAILED, Status.CANCELLED) else None

    return await eventually(status, f"{id} to end")


async def drained(client: Client, wanted: bool) -> None:
    async def told() -> bool:
        return any(view.draining for view in (await client.nodes()).nodes) is wanted

    await eventually(told, "gossip to say so")


def audited(node: Node) -> list[str]:
    text = (node.data_dir / "audit.jsonl").read_text()
    return [json.loads(line)["what"] for line in text.splitlines()]


def test_a_dead_letter_is_requeued_from_any_node_and_survives_a_crash(
    mesh: Mesh, tmp_path: Path
) -> None:
    owner, other = mesh.start("owner", *MODULE), mesh.start("other", *MODULE)
    folder = tmp_path / "folder"
    args = {"path": str(folder / "marks"), "number": 7, "seconds": 0.0}

    async def scene() -> None:
        async with owner.client() as client, other.client() as elsewhere:
            await met(client, 2)
            tasks = await client.submit_many([("mesh.mark", args)] * 3, max_attempts=1)
            for task in tasks:
                assert await ended(client, task.id) is Status.FAILED
            ids = [task.id for task in tasks]
            first, gone = await elsewhere.requeue_many([ids[0], f"{client.node[:8]}-999"])
            assert first.status in (Status.WAITING, Status.RUNNING)
            assert gone.failure is not None
            assert gone.failure.code == "not_found"
            assert await ended(client, ids[0]) is Status.FAILED, "nothing has changed"
            folder.mkdir()
            await elsewhere.requeue(ids[0])
            assert await ended(client, ids[0]) is Status.DONE
            assert len((await client.get(ids[0])).attempts) == 3
            with pytest.raises(Refused) as caught:
                await elsewhere.requeue(ids[0])
            assert caught.value.code == "not_dead"
            other.kill()
            other.process.wait()
            slow = {**args, "seconds": 0.5}
            (blocker,) = await client.submit_many([("mesh.mark", slow)])
            await client.requeue(ids[1])
        # the log gathers for a moment before it writes
        wait_for(lambda: "requeue" in audited(owner), "the requeue in the audit log")
        owner.kill()
        owner.restart()
        async with owner.client() as client:
            assert await ended(client, blocker.id) is Status.DONE
            assert await ended(client, ids[1]) is Status.DONE
            assert await ended(client, ids[2]) is Status.FAILED
            kinds: list[str] = []
            async for happened in client.watch(1):
                kinds.append(happened.kind)
                if isinstance(happened.fact, event.Requeued) and happened.fact.tasks == (ids[1],):
                    break
            assert kinds.count("requeued") == 3

    run(scene())
    again = mesh.nova("requeue", "--all", "--json", node=owner)
    assert again.returncode == 0, again.stderr
    assert len(json.loads(again.stdout)["tasks"]) == 1


def test_a_dead_letter_with_other_arguments_is_a_new_task(mesh: Mesh, tmp_path: Path) -> None:
    node = mesh.start("only", *MODULE)
    args = {"path": str(tmp_path / "no" / "marks"), "number": 7, "seconds": 0.0}

    async def dead() -> str:
        async with node.client() as client:
            task = await client.submit("mesh.mark", args, max_attempts=1, priority=7)
            assert await ended(client, task.id) is Status.FAILED
            return task.id

    id = run(dead())
    asked = mesh.nova("requeue", id, "--arg", f"path={tmp_path / 'marks'}", "--json", node=node)
    assert asked.returncode == 0, asked.stderr
    made = json.loads(asked.stdout)["id"]

    async def scene() -> None:
        async with node.client() as client:
            assert await ended(client, made) is Status.DONE
            view = await client.get(made)
            assert (view.options.again_of, view.options.priority) == (id, 7)
            assert (await client.get(id)).status is Status.FAILED
            task = await client.submit("core.echo", inputs={"data": b"x"})
            await task.result(20.0)
            with pytest.raises(Invalid, match="had inputs"):
                await client.submit_again(task.id)

    run(scene())
    assert f"again of:    {id}" in mesh.nova("show", made, node=node).stdout


def test_a_drained_node_takes_work_again_when_it_is_resumed(mesh: Mesh) -> None:
    owner, peer = mesh.start("owner", *MODULE), mesh.start("peer", *MODULE)

    async def scene() -> None:
        async with owner.client() as client:
            await met(client, 2)
            assert mesh.nova("drain", "peer", "--stay", node=owner).stdout == "drained\n"
            await drained(client, True)
            assert mesh.nova("resume", "peer", node=owner).stdout == "takes work again\n"
            await drained(client, False)
            assert mesh.nova("resume", "peer", node=owner).stdout == "it was not draining\n"

            async def shared() -> bool:
                tasks = await client.submit_many([("core.sleep", {"seconds": 0.02})] * 20)
                for task in tasks:
                    await task.result(20.0)
                return len({task.outcome.node for task in tasks if task.outcome}) == 2

            await eventually(shared, "both to work")

    run(scene())
    assert audited(peer).count("resume") == 2


def test_a_drain_that_is_ended_in_the_middle_stops_nothing(mesh: Mesh, tmp_path: Path) -> None:
    node = mesh.start("only", *MODULE)
    go = tmp_path / "go"

    async def scene() -> None:
        async with node.client() as client:
            task = await client.submit("mesh.talk", {"path": str(go)})
            async for _ in task.logs(follow=True):
                break
            draining = asyncio.create_task(client.drain(timeout_s=60.0))
            await drained(client, True)
            assert await client.resume()
            with pytest.raises(Refused, match="resumed"):
                await draining
            go.touch()
            assert await task.result(20.0) == "said"
            assert await (await client.submit("core.echo", {"data": 1})).result(20.0) == 1
            node.signal(signal.SIGTERM)

    run(scene())
    assert node.exit_code() == 0


def test_a_node_that_was_told_to_stop_is_not_resumed(mesh: Mesh, tmp_path: Path) -> None:
    node = mesh.start("only", *MODULE)
    go = tmp_path / "go"

    async def scene() -> None:
        async with node.client(give_up_s=2.0) as client:
            task = await client.submit("mesh.talk", {"path": str(go)})
            async for _ in task.logs(follow=True):
                break
            node.signal(signal.SIGTERM)
            await drained(client, True)
            with pytest.raises(Refused, match="told to stop"):
                await client.resume()
            go.touch()

    run(scene())
    assert node.exit_code() == 0


def test_a_flow_is_drawn_of_what_the_nodes_tell(mesh: Mesh, tmp_path: Path) -> None:
    owner, peer = mesh.start("owner", *MODULE), mesh.start("peer", *MODULE)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("alpha beta " * 2_000)

    async def work() -> str:
        async with owner.client() as client:
            await met(client, 2)
            task = await client.submit("text.wordcount", inputs={"files": tmp_path}, shards=6)
            await task.result(30.0)
            children = await client.children(task.id)
            assert [child.phase for child in children[:2]] == ["split", "run"]
            assert all(part in {c.id for c in children} for c in children for part in c.parts)
            assert any(child.parts for child in children)
            with pytest.raises(NotFound):
                await client.children(f"{client.node[:8]}-999")
            return task.id

    id = run(work())
    wait_for(lambda: mesh.nova("nodes", node=peer).returncode == 0, "the peer")
    plain = mesh.nova("flow", id, node=peer)
    assert plain.returncode == 0, plain.stderr
    for part in (
        "steps  0 running",
        "critical split → shard",
        "→ merge",
        "took ",
        "at a time",
        "◀ split",
    ):
        assert part in plain.stdout, plain.stdout
    told = json.loads(mesh.nova("flow", id, "--json", node=peer).stdout)
    assert told["status"] == "done"
    assert told["forecast"] is None
    assert told["critical"][0] == told["steps"][0]["id"]
    assert {step["node"] for step in told["steps"]} <= {"owner", "peer"}
    assert [step["state"] for step in told["steps"]] == ["done"] * len(told["steps"])
