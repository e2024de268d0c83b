"""Capabilities on two real nodes: what they return, how they fail, and how they are stopped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from nova_client import Client, Limits, Status, TaskCancelled, TaskFailed
from support.mesh import Mesh, Node, eventually, met, run, wait_for

MIB = 1 << 20


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two nodes of two slots that know each other."""
    modules = ["--capability", "support.sample_capabilities"]
    modules += ["--capability", "support.mesh_capabilities"]
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        pair = [mesh.start(name, "--slots", "2", *modules) for name in ("one", "two")]

        async def ready() -> None:
            async with pair[0].client() as client:
                await met(client, 2)

        run(ready())
        yield pair


async def failure_of(client: Client, capability: str, **options: object) -> TaskFailed:
    args = options.pop("args", None)
    task = await client.submit(capability, args, **options)  # type: ignore[arg-type]
    with pytest.raises(TaskFailed) as raised:
        await task.result(20.0)
    return raised.value


# ---------------------------------------------------------------- results


def test_words_are_counted_right_wherever_the_text_is_cut(
    nodes: list[Node], tmp_path: Path
) -> None:
    """Words longer than a shard, signs of several bytes, spaces that are not ASCII, broken UTF-8."""
    texts = {
        "long": b"x" * 300_000 + b" after " + b"y" * 300_000,
        "wide": "ü€𝄞 ".encode() * 20_000,
        "spaces": "a\u00a0b\u2003c\u3000d\u0085e f\u2028g\x1ch ".encode() * 5_000,
        "broken": b"\xff\xfe ok \xe2\x82 \xf0\x9d\x84" * 9_000,
        "empty": b"",
        "blank": b" \n\t\r\n " * 3_000,
        "one": b"lonely",
    }
    folder = tmp_path / "texts"
    (folder / "below").mkdir(parents=True)
    for number, (name, text) in enumerate(texts.items()):
        (folder / ("below" if number % 2 else "") / name).write_bytes(text)

    async def count(shards: int) -> dict[str, int]:
        async with nodes[0].client() as client:
            task = await client.submit(
                "text.wordcount", inputs={"files": [folder]}, shards=shards, max_attempts=1
            )
            return await task.result(30.0)

    plain = Counter(
        word for text in texts.values() for word in text.decode(errors="replace").split()
    )
    for shards in (1, 7, 60):
        assert run(count(shards)) == plain, shards


def test_shards_that_split_again_are_one_value(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("mesh.tree", {"depth": 3, "wide": 4})
            assert await task.result(30.0) == 4**3

    run(scene())


def test_large_results_come_back_whole(nodes: list[Node]) -> None:
    async def scene() -> None:
        data = os.urandom(2 * MIB - 99)
        async with nodes[0].client() as client:
            tasks = [await client.submit("core.echo", inputs={"data": data}) for _ in range(4)]
            assert all([await task.result(30.0) == data for task in tasks])

    run(scene())


# ---------------------------------------------------------------- failures


def test_an_exception_is_told_with_its_traceback_after_all_attempts(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("sample.fail", max_attempts=2)
            with pytest.raises(TaskFailed, match="not today") as raised:
                await task.result(20.0)
            assert "sample_capabilities" in raised.value.traceback
            view = await task.show()
            assert [attempt.attempt for attempt in view.attempts] == [1, 2]
            dead = await client.list_tasks(statuses=[Status.FAILED])
            assert task.id in [each.id for each in dead.tasks]

    run(scene())


def test_a_fatal_error_is_not_tried_again(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("sample.fail", {"fatal": True}, max_attempts=5)
            with pytest.raises(TaskFailed, match="never again") as raised:
                await task.result(20.0)
            assert raised.value.fix == "ask for something else"
            assert len((await task.show()).attempts) == 1

    run(scene())


@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_a_crash_costs_an_attempt_and_no_node(nodes: list[Node], how: str) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            error = await failure_of(client, "sample.die", args={"how": how}, max_attempts=2)
            assert error.code == "worker_died"
            await met(client, 2)
            task = await client.submit("core.echo", {"data": how})
            assert await task.result(20.0) == how

    run(scene())


def test_limits_of_time_and_memory_end_an_attempt(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            slow = await failure_of(
                client, "sample.hang", limits=Limits(wall_s=0.3), max_attempts=1
            )
            assert slow.code == "wall_limit"
            fat = await failure_of(
                client,
                "sample.hoard",
                args={"mib": 600},
                limits=Limits(memory_bytes=200 * MIB),
                max_attempts=1,
            )
            assert fat.code == "memory_limit"

    run(scene())


def test_arguments_that_do_not_fit_are_refused_by_name(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            unknown = await failure_of(client, "core.echo", args={"data": 1, "dada": 2})
            assert unknown.code == "invalid_argument"
            assert "dada" in str(unknown)
            wrong = await failure_of(client, "core.sleep", args={"seconds": "soon"})
            assert "'seconds' must be a number" in str(wrong)

    run(scene())


# ---------------------------------------------------------------- while it runs


def test_lines_are_told_while_the_task_runs(nodes: list[Node], tmp_path: Path) -> None:
    """The second line cannot be written before the first one was read here."""
    go = tmp_path / "go"

    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("mesh.talk", {"path": str(go)})
            lines: list[tuple[str, bool]] = []
            async for line in task.logs(follow=True):
                lines.append((line.text.strip(), line.stderr))
                go.touch()
            assert lines == [("before", False), ("after", True)]
            assert await task.result(20.0) == "said"

    run(scene())


def test_cancel_kills_all_that_runs(nodes: list[Node], tmp_path: Path) -> None:
    """The process that runs it, and the one that this started."""
    note = tmp_path / "pid"

    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("mesh.child", {"path": str(note)})

            async def started() -> bool:
                return note.exists()

            await eventually(started, "the child of the attempt")
            child = psutil.Process(int(note.read_text()))
            assert await client.cancel(task.id) is Status.CANCELLED
            with pytest.raises(TaskCancelled):
                await task.result(20.0)
            wait_for(lambda: not is_running(child), "the child to be gone")
            again = await client.submit("core.echo", {"data": "alive"})
            assert await again.result(20.0) == "alive"

    run(scene())


def is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_cancel_reaches_the_shards(nodes: list[Node], tmp_path: Path) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            tasks = await client.submit_many([("core.sleep", {"seconds": 60})] * 8)
            for task in tasks:
                assert await client.cancel(task.id) is Status.CANCELLED

            async def idle() -> bool:
                status = await client.status()
                return status.running == status.waiting == 0

            await eventually(idle, "nothing to run any more")
            again = await client.submit("core.echo", {"data": "alive"})
            assert await again.result(5.0) == "alive"

    run(scene())


# ---------------------------------------------------------------- why it waits


def test_explain_tells_what_nobody_offers(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("area.nothing")
            why = await task.explain()
            assert why.status is Status.WAITING
            assert why.waits_for == "a node that offers area.nothing; none does"
            assert any("nova capabilities" in step for step in why.unblock)
            assert [rank.fits for rank in why.ranking] == [False, False]
            await task.cancel()

    run(scene())


def test_explain_tells_which_label_is_missing(nodes: list[Node]) -> None:
    async def scene() -> None:
        async with nodes[0].client() as client:
            task = await client.submit("core.echo", {"data": 1}, labels={"gpu": "yes"})
            why = await task.explain()
            assert "a node that fits among 2" in why.waits_for
            assert all("lacks the label gpu=yes" in rank.reasons[0] for rank in why.ranking)
            await task.cancel()

    run(scene())
