"""Capabilities that wait on real nodes: what they ask the mesh for, and what kills do to that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nova_client import Client, Status
from support.mesh import Mesh, Node, eventually, met, run
from support.secure import SecureMesh

USES = (
    "waiting.ask core.echo core.sleep file.digest waiting.ask waiting.tidy waiting.pieces,"
    "waiting.first core.sleep core.echo"
)
WAITING = ["--capability", "support.waiting_capabilities", "--set", f"uses={USES}"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """What waits is on the first node alone, and so few places that they all fill."""
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        one = mesh.start("one", "--slots", "2", "--set", "places=8", *WAITING)
        two = mesh.start("two", "--slots", "2")
        run(both(one))
        yield [one, two]


async def both(node: Node) -> None:
    async with node.client() as client:
        await met(client, 2)


async def result(client: Client, name: str, **args: Any) -> Any:
    return await (await client.submit(f"waiting.{name}", args)).result(30.0)


def echo(times: int = 1, data: str = "x") -> dict[str, Any]:
    return {"capability": "core.echo", "args": {"data": data}, "times": times}


def test_it_asks_the_mesh_and_gets_answers_from_all_of_it(pair: list[Node]) -> None:
    async def scene() -> None:
        async with pair[1].client() as client:
            answers = await result(client, "ask", **echo(600))
            assert [answer["value"] for answer in answers] == ["x"] * 600
            assert {answer["node"] for answer in answers} == {pair[0].id, pair[1].id}

    run(scene())


def test_it_may_not_ask_for_what_is_not_listed(pair: list[Node]) -> None:
    async def scene() -> None:
        async with pair[0].client() as client:
            (refused,) = await result(client, "ask", capability="core.noop", args={})
            assert refused["code"] == "not_permitted"
            (failed,) = await result(client, "ask", capability="core.echo", args={"x": 1})
            assert failed["code"] == "invalid_argument"

    run(scene())


def test_what_asks_for_what_asks_finds_a_place_when_all_are_wanted(pair: list[Node]) -> None:
    async def scene() -> None:
        async with pair[1].client() as client:
            inner = {"capability": "waiting.ask", "args": echo()}
            outer = {"capability": "waiting.ask", "args": inner}
            tasks = await client.submit_many([("waiting.ask", outer)] * 40)
            for task in tasks:
                found: Any = await task.result(30.0)
                while found != "x":
                    found = found[0]["value"]
                assert found == "x"

    run(scene())


def test_what_is_said_comes_at_once_from_itself_and_from_what_it_asked_for(
    pair: list[Node],
) -> None:
    async def scene() -> None:
        heard: list[str] = []
        async with pair[1].client() as client:
            inner = {"capability": "waiting.pieces", "args": {"texts": ["one", "two"]}}
            task = await client.submit(
                "waiting.ask", inner, hear=lambda line: heard.append(line.text)
            )
            await task.result(30.0)
            assert heard == ["one", "two"]

    run(scene())


def test_asks_that_are_cancelled_are_cancelled_where_they_run(pair: list[Node]) -> None:
    async def scene() -> None:
        async with pair[0].client() as client:
            slow = {"slow": "core.sleep", "args": {"seconds": 3600}}
            assert await result(client, "first", **slow) == "quick"
            await eventually(lambda: ended(client, "core.sleep"), "the slow one to end")

    run(scene())


async def ended(client: Client, capability: str) -> bool:
    tasks = (await client.list_tasks(capability=capability)).tasks
    return bool(tasks) and all(view.status is Status.CANCELLED for view in tasks)


def test_who_is_cancelled_takes_along_what_it_asked_for(pair: list[Node], tmp_path: Path) -> None:
    async def scene() -> None:
        note = tmp_path / "note"
        heard: list[str] = []
        async with pair[1].client() as client:
            asks = {"capability": "waiting.tidy", "args": {"path": str(note)}}
            task = await client.submit(
                "waiting.ask", asks, hear=lambda line: heard.append(line.text)
            )
            await eventually(lambda: _is(heard == ["begun"]), "it to begin")
            await task.cancel()
            await eventually(lambda: _is(note.exists()), "it to close what it has")

    run(scene())


async def _is(true: bool) -> bool:
    return true


def test_a_host_that_is_killed_is_replaced_and_its_attempts_are_made_again(
    tmp_path: Path,
) -> None:
    async def scene(node: Node) -> None:
        async with node.client() as client:
            tasks = await client.submit_many([("waiting.ask", slow())] * 4)
            await eventually(lambda: _count(client, "core.sleep", 4), "all to ask")
            host = host_of(node, await result(client, "who", key="sandbox.tier"))
            host.send_signal(signal.SIGKILL)
            for task in tasks:
                (answer,) = await task.result(30.0)
                assert answer["value"] == 0.5

    with Mesh(tmp_path) as mesh:
        run(scene(mesh.start("one", "--slots", "4", *WAITING)))


def slow() -> dict[str, Any]:
    return {"capability": "core.sleep", "args": {"seconds": 0.5}}


def host_of(node: Node, who: list[Any]) -> psutil.Process:
    (host,) = [each for each in node.workers() if each.pid == who[-1]]
    return host


async def _count(client: Client, capability: str, count: int) -> bool:
    return (await client.list_tasks(capability=capability)).total >= count


def test_a_node_that_is_killed_takes_its_host_along_and_goes_on_afterwards(
    tmp_path: Path,
) -> None:
    async def before(node: Node) -> tuple[str, int]:
        async with node.client() as client:
            who = await result(client, "who", key="sandbox.tier")
            task = await client.submit("waiting.ask", slow())
            await eventually(lambda: _count(client, "core.sleep", 1), "it to ask")
            return task.id, who[-1]

    async def after(node: Node, task: str) -> None:
        async with node.client() as client:
            await eventually(lambda: _done(client, task), "it to be done")

    with Mesh(tmp_path) as mesh:
        node = mesh.start("one", "--slots", "2", *WAITING)
        task, host = run(before(node))
        node.kill()
        psutil.wait_procs([psutil.Process(host)] if psutil.pid_exists(host) else [], timeout=20)
        assert not psutil.pid_exists(host)
        node.restart()
        run(after(node, task))


async def _done(client: Client, task: str) -> bool:
    return (await client.get(task)).status is Status.DONE


def test_a_drain_does_not_wait_for_what_nobody_runs(mesh: Mesh) -> None:
    """The attempt waits for what it asked for, and the drain for the attempt."""
    node = mesh.start("only", "--slots", "0", *WAITING)

    async def scene() -> None:
        async with node.client(give_up_s=2.0) as client:
            task = await client.submit("waiting.ask", echo())

            async def asked() -> bool:
                found = await client.list_tasks(capability="core.echo")
                return bool(found.tasks)

            await eventually(asked, "the task that nobody can run")
            node.signal(signal.SIGTERM)
            (told,) = await task.result(20.0)
            assert told["code"] == "draining"

    run(scene())
    assert node.exit_code(20.0) == 0


def test_without_places_nothing_that_waits_is_offered(tmp_path: Path) -> None:
    async def scene(node: Node) -> None:
        async with node.client() as client:
            names = {each.name for each in await client.capabilities()}
            assert "core.echo" in names
            assert "waiting.ask" not in names

    with Mesh(tmp_path) as mesh:
        run(scene(mesh.start("one", "--slots", "1", "--set", "places=0", *WAITING)))


def test_a_node_with_places_has_no_host_before_it_is_needed(pair: list[Node]) -> None:
    assert not [each for each in pair[1].workers() if "host_main" in each.cmdline()[-1]]


# ---------------------------------------------------------------- in a mesh with identity


def ask_in(mesh: SecureMesh, uses: str, **args: Any) -> dict[str, Any]:
    """What one ask comes to: the first node runs what waits and nothing else, the second, which knows
    of `uses`, lets submitters run core.echo."""
    waits = ["--capability", "support.waiting_capabilities", "--set", f"uses={USES}"]
    one = mesh.start("one", "--slots", "0", "--listen", "127.0.0.1:0", *waits)
    policy = "policy=admin *,submitter waiting.*,submitter core.echo zone=lab"
    two = ["--peer", one.address, "--label", "zone=lab", "--set", policy, "--set", f"uses={uses}"]
    mesh.start("two", "--slots", "1", "--listen", "127.0.0.1:0", *two)
    mine = mesh.credentials("submitter", "ada")

    async def scene() -> dict[str, Any]:
        async with Client(one.address, identity=mine) as client:
            await met(client, 2)
            assert (await result(client, "who", key="sandbox.tier"))[1] == "submitter/ada"
            (told,) = await result(client, "ask", **args)
            return told

    return run(scene())


def test_an_ask_runs_in_the_name_of_the_submitter(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        told = ask_in(mesh, USES, **echo())
        assert (told["value"], told["node"]) == ("x", mesh.nodes["two"].id)


@pytest.mark.parametrize(
    ("uses", "capability", "why"),
    [
        ("waiting.ask core.sleep", "core.echo", "signed other calls"),
        (USES, "core.sleep", "submitter/ada may not run core.sleep"),
        (USES, "core.noop", "waiting.ask may not ask for core.noop"),
    ],
)
def test_an_ask_is_refused_by_whoever_has_to(
    tmp_path: Path, uses: str, capability: str, why: str
) -> None:
    args = {"core.echo": {"data": "x"}, "core.sleep": {"seconds": 0}, "core.noop": {}}
    with SecureMesh(tmp_path) as mesh:
        told = ask_in(mesh, uses, capability=capability, args=args[capability])
        assert told["code"] == "not_permitted"
        assert why in told["message"]
