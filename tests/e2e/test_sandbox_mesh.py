"""Foreign code on a mesh of real nodes that share a real container engine.

Where no engine can be started, these tests fail in CI and are skipped elsewhere.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nova_client import Client, Limits, Status, Task, TaskCancelled, TaskFailed
from nova_sandbox.image import DEFAULT, reference
from support.dockerd import Dockerd
from support.mesh import Mesh, Node, eventually, met, run, wait_for
from support.sandbox_mesh import MODULE, api, engine_with_images, left, options, running

FOREVER = "import time\nprint('begun')\nwhile True: time.sleep(1)"
KILLED_WITHIN_S = 2.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    with engine_with_images() as dockerd:
        yield dockerd


@pytest.fixture(scope="module")
def nodes(engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two that know each other; only the second has the second image."""
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        pair = [
            mesh.start("one", *options(engine, "one")),
            mesh.start("two", *options(engine, "two", images=f"{DEFAULT},second")),
        ]

        async def ready() -> None:
            for node in pair:
                async with node.client() as client:
                    await met(client, 2)

        run(ready())
        yield pair


async def failure_of(task: Task) -> TaskFailed:
    with pytest.raises(TaskFailed) as raised:
        await task.result(60.0)
    return raised.value


async def begun(task: Task) -> None:
    """Its first line is here, while it runs."""
    async for line in task.logs(follow=True):
        assert line.text == "begun\n"
        return


# ---------------------------------------------------------------- what comes of a program


def test_a_program_on_another_node_returns_a_statement_and_files(
    nodes: list[Node], tmp_path: Path
) -> None:
    """The files are saved here, and are the input of another task as they are."""
    code = "open('/out/words.txt', 'w').write('a b a'); result = [1, None]; print('heard')"

    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("python.run", {"code": code}, labels={"place": "two"})
            statement = await task.result(60.0)
            assert (statement["status"], statement["result"]) == ("ok", [1, None])
            assert statement["files"] == [{"name": "words.txt", "size_bytes": 5}]
            assert [line.text async for line in task.logs()] == ["heard\n"]
            outcome = task.outcome
            assert outcome is not None
            assert outcome.node == nodes[1].id
            await client.get_files(outcome.files, tmp_path / "new")
            assert (tmp_path / "new/words.txt").read_text() == "a b a"
            assert (await task.show()).files == outcome.files
            counted = await client.submit("text.wordcount", inputs={"files": outcome.files})
            assert await counted.result(30.0) == {"a": 2, "b": 1}

    run(scene())


def test_files_and_results_outlive_the_node_that_made_them(mesh: Mesh, engine: Dockerd) -> None:
    """The owner has both, and still does after it was killed and started again."""
    owner = mesh.start("owner", "--slots", "0")
    maker = mesh.start("maker", *options(engine, "maker"))

    async def make() -> str:
        async with owner.client() as client:
            await met(client, 2)
            code = "open('/out/f', 'w').write('kept')"
            task = await client.submit("python.run", {"code": code})
            await task.result(60.0)
            return task.id

    id = run(make())
    maker.kill()
    owner.kill()
    owner.restart()

    async def fetch() -> None:
        async with owner.client() as client:
            files = (await client.get(id)).files
            assert await client.get_blob(files.blobs[0]) == b"kept"

    run(fetch())


def test_the_command_prints_the_statement_and_saves_files(
    nodes: list[Node], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; print(sys.argv[1:]); open('/out/f.txt', 'w').write('x')")
    mesh = nodes[0]._mesh  # pyright: ignore[reportPrivateUsage]
    out = tmp_path / "out"
    words = ["run", "python.run", "--input", str(script), "--arg", 'args=["a b", 1]']
    ran = mesh.nova(*words, "--out", str(out), node=nodes[0])
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["status"] == "ok"
    assert "['a b', '1']" in ran.stderr
    assert "files: f.txt (1 B); saved in" in ran.stderr
    assert (out / "f.txt").read_text() == "x"
    again = mesh.nova(*words, "--out", str(out), node=nodes[0])
    assert again.returncode == 2
    assert "fix: give an empty folder" in again.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"code": "x = b'x' * 2**29", "memory_mib": 64}, "sandbox_memory"),
        ({"code": FOREVER, "timeout_s": 1}, "sandbox_timeout"),
        ({"code": "import os; os.symlink('/etc/shadow', '/out/f')"}, "sandbox_refused"),
        ({"code": "open('/f', 'w')"}, "program_failed"),
    ],
)
def test_a_program_that_does_not_end_well_fails_once_with_a_code(
    nodes: list[Node], args: dict[str, object], code: str
) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("python.run", args)
            assert (await failure_of(task)).code == code
            assert len((await task.show()).attempts) == 1

    run(scene())


# ---------------------------------------------------------------- where


def test_a_map_is_split_over_both_nodes(nodes: list[Node], tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text("".join(f'{{"n": {n}}}\n' for n in range(60)))
    code = "import time\ndef each(item):\n    time.sleep(0.05)\n    return item['n'] * 2"

    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit(
                "python.map", {"code": code}, inputs={"items": items}, shards=6
            )
            assert await task.result(90.0) == [n * 2 for n in range(60)]
            shards = await client.list_tasks(capability="python.map", children=True)
            ran = {each.node for each in shards.tasks if each.parent and each.phase == "run"}
            assert ran == {node.id for node in nodes}

    run(scene())


def test_a_task_finds_the_node_with_its_image(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            seen = {each.node: each.labels for each in (await client.nodes()).nodes}
            assert seen[nodes[0].id]["sandbox.tier"] == "trusted"
            assert "sandbox.image.second" not in seen[nodes[0].id]
            args = {"code": "result = 1", "image": "second"}
            task = await client.submit("python.run", args, labels={"sandbox.image.second": "yes"})
            assert (await task.result(60.0))["result"] == 1
            assert task.outcome is not None
            assert task.outcome.node == nodes[1].id
            args["image"] = "nowhere"
            lost = await client.submit("python.run", args, max_attempts=2)
            error = await failure_of(lost)
            assert error.code == "sandbox_image"
            assert "--label sandbox.image.nowhere=yes" in error.fix

    run(scene())


def test_code_without_a_boundary_is_for_the_node_that_was_asked(mesh: Mesh) -> None:
    here = mesh.start("here", "--capability", MODULE, "--set", "sandbox.runtime=process")
    there = mesh.start("there", "--set", "sandbox.runtime=off")

    async def scene() -> None:
        async with here.client() as client, there.client() as other:
            await met(client, 2)
            await met(other, 2)
            task = await client.submit("python.run", {"code": "result = 1"})
            assert (await task.result(30.0))["result"] == 1
            assert "python.run" not in {each.name for each in await other.capabilities()}
            waits = await other.submit("python.run", {"code": "result = 1"})
            assert "none does" in (await waits.explain()).waits_for
            await waits.cancel()

    run(scene())


# ---------------------------------------------------------------- its end, when others want it


@pytest.mark.parametrize("by", ["cancel", "wall limit"])
def test_what_it_writes_is_live_and_whoever_ends_it_ends_the_container(
    nodes: list[Node], engine: Dockerd, by: str
) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            limits = Limits(wall_s=6.0) if by == "wall limit" else Limits()
            task = await client.submit(
                "python.run",
                {"code": FOREVER},
                labels={"place": "one"},
                limits=limits,
                max_attempts=1,
            )
            await begun(task)
            boxes = running(engine, "one")
            assert boxes
            if by == "cancel":
                assert await client.cancel(task.id) is Status.CANCELLED
                with pytest.raises(TaskCancelled):
                    await task.result(20.0)
            else:
                assert (await failure_of(task)).code == "wall_limit"
            ended_at = time.monotonic()

            async def gone() -> bool:
                return not boxes & running(engine, "one")

            await eventually(gone, "its containers to end")
            assert time.monotonic() - ended_at < KILLED_WITHIN_S
            again = await client.submit("python.run", {"code": "1"}, labels={"place": "one"})
            assert (await again.result(60.0))["status"] == "ok"

    run(scene())


def test_a_node_that_stops_takes_its_containers_along(mesh: Mesh, engine: Dockerd) -> None:
    """Those too of programs that were cancelled."""
    node = mesh.start("brief", *options(engine, "brief"))

    async def scene() -> None:
        async with node.client() as client:
            task = await client.submit("python.run", {"code": "1"})
            await task.result(60.0)

            for _ in range(2):
                task = await client.submit("python.run", {"code": FOREVER})
                await begun(task)
                await task.cancel()

    run(scene())
    wait_for(lambda: left(engine, "brief") == ["running"], "only a warm container", 30.0)
    node.process.terminate()
    assert node.exit_code() == 0
    assert left(engine, "brief") == []


def test_a_killed_node_leaves_nothing_once_it_is_back(mesh: Mesh, engine: Dockerd) -> None:
    """Ten containers: in each of five slots one that runs a program, and a warm one."""
    node = mesh.start("doomed", *options(engine, "doomed", slots=5))

    async def fill() -> None:
        async with node.client() as client:
            calls = [("python.run", {"code": FOREVER})] * 5
            for task in await client.submit_many(calls, durability="volatile"):
                await begun(task)

    run(fill())
    wait_for(lambda: len(running(engine, "doomed")) == 10, "ten containers", 60.0)
    node.kill()
    wait_for(lambda: not running(engine, "doomed"), "all of them to end", 10.0)
    node.restart()
    assert left(engine, "doomed") == []

    async def again() -> None:
        async with node.client() as client:
            task = await client.submit("python.run", {"code": "result = 1"})
            assert (await task.result(60.0))["result"] == 1

    run(again())


# ---------------------------------------------------------------- without an engine


def test_a_node_without_an_engine_offers_the_rest_and_says_why(mesh: Mesh, tmp_path: Path) -> None:
    absent = f"unix://{tmp_path}/absent"
    node = mesh.start("plain", "--capability", MODULE, "--set", f"sandbox.engine={absent}")
    listed = mesh.nova("nodes", node=node).stdout
    assert "python.run, shell.run, python.map: not offered, no container engine" in listed
    refused = mesh.nova("run", "python.run", "--arg", "code=1", node=node)
    assert refused.returncode == 1
    assert "no node of the mesh offers python.run" in refused.stderr
    assert mesh.nova("run", "core.echo", "--arg", "data=1", node=node).stdout == "1\n"


def test_an_engine_that_hangs_does_not_keep_a_node_from_starting(
    mesh: Mesh, engine: Dockerd
) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        node = mesh.start("patient", *options(engine, "patient"))
        listed = mesh.nova("nodes", node=node).stdout
        assert "python.run, shell.run, python.map: not offered" in listed
    finally:
        engine.ensure()


def test_an_image_that_was_made_meanwhile_is_found(mesh: Mesh, engine: Dockerd) -> None:
    node = mesh.start("loyal", *options(engine, "loyal", images=f"{DEFAULT},passing"))

    async def status(client: Client) -> str:
        args = {"code": "result = 1", "image": "passing"}
        task = await client.submit("python.run", args, max_attempts=1)
        try:
            return (await task.result(60.0))["status"]
        except TaskFailed as error:
            return error.code

    async def scene() -> None:
        async with node.client() as client:
            assert await status(client) == "sandbox_image"
            with closing(api(engine)) as docker_client:
                docker_client.tag(reference(DEFAULT), "nova-sandbox", "passing")
            assert await status(client) == "ok"

    run(scene())


def test_an_engine_that_dies_costs_attempts_and_no_node(mesh: Mesh, engine: Dockerd) -> None:
    node = mesh.start("brave", *options(engine, "brave"))

    async def program(client: Client, **how: Any) -> Task:
        return await client.submit("python.run", {"code": "result = 1"}, **how)

    async def scene() -> None:
        async with node.client() as client:
            await (await program(client)).result(60.0)
            engine.kill()
            down = await program(client, max_attempts=2)
            error = await failure_of(down)
            assert error.code == "sandbox_unavailable"
            assert len((await down.show()).attempts) == 2
            echo = await client.submit("core.echo", {"data": "well"})
            assert await echo.result(20.0) == "well"
            engine.ensure()

            async def works() -> bool:
                again = await program(client, max_attempts=1)
                try:
                    return (await again.result(60.0))["result"] == 1
                except TaskFailed:
                    return False

            await eventually(works, "the sandbox to work again", 60.0)

    try:
        run(scene())
    finally:
        engine.ensure()
