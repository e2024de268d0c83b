"""Answers given before, on real nodes: whose they are, what they cost, and what a kill does to them."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nova_client import Client
from support.fake_provider import FakeProvider, Hang, Say
from support.mesh import Mesh, Node, met, run, wait_for
from support.secure import SecureMesh
from support.waiting import fence

pytestmark = pytest.mark.timeout(180)

SANDBOX = ("--capability", "nova_node.capabilities.sandboxed", "--set", "sandbox.runtime=process")
SQUARE = {"description": "square a whole number", "examples": [{"input": 3, "output": 9}]}
MODULES = (
    "--capability",
    "nova_node.capabilities.solve",
    "--capability",
    "nova_node.capabilities.library",
)
PLAIN = ("--no-mdns", "--slots", "1", "--set", "models.discover=no", *MODULES)
HI = {"prompt": "What is the capital of Fooland?"}
ESCAPED = "\x1b[2J"


def model(provider: FakeProvider) -> tuple[str, str]:
    return "--model", f"fake,url={provider.url},price_in=1,price_out=2"


def host_of(node: Node) -> psutil.Process | None:
    for each in node.workers():
        try:
            if "host_main" in " ".join(each.cmdline()):
                return each
        except psutil.NoSuchProcess:
            continue
    return None


def on_disk(node: Node, text: bytes) -> bool:
    files = node.data_dir.glob("models.duckdb*")
    return any(text in each.read_bytes() for each in files)


async def chat(client: Client, **args: Any) -> tuple[dict[str, Any], Any]:
    task = await client.submit("llm.chat", {**HI, **args})
    result = await task.result(60.0)
    return result, (await task.show()).usage


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def test_a_person_asks_once_and_another_asks_anew(tmp_path: Path, provider: FakeProvider) -> None:
    with SecureMesh(tmp_path) as mesh:
        one = mesh.start("one", "--listen", "127.0.0.1:0", *PLAIN, *model(provider))
        ada, bob = (mesh.credentials("submitter", who) for who in ("ada", "bob"))

        async def scene() -> None:
            async with Client(one.address, identity=ada) as client:
                first, used = await chat(client)
                assert (first["cache"], used.spent_uusd) == ("miss", 20)
                again, used = await chat(client)
                assert (again["text"], again["cache"]) == (first["text"], "exact")
                assert (again["cost_usd"], used.spent_uusd, used.cache) == (0, 0, "exact")
                assert len(provider.asked) == 1
            async with Client(one.address, identity=bob) as client:
                other, _ = await chat(client)
                assert (other["cache"], len(provider.asked)) == ("miss", 2)

        run(scene())


def test_it_outlives_its_host_and_is_begun_anew_when_damaged(
    tmp_path: Path, provider: FakeProvider
) -> None:
    with Mesh(tmp_path) as mesh:
        one = mesh.start("one", *PLAIN, *model(provider))

        def kill_the_host() -> None:
            host = host_of(one)
            assert host
            host.send_signal(signal.SIGKILL)
            wait_for(lambda: not host.is_running() or host.status() == "zombie", "its end")

        async def asked(**args: Any) -> dict[str, Any]:
            async with one.client() as client:
                return (await chat(client, **args))[0]

        run(asked())
        wait_for(lambda: on_disk(one, b"what a model says"), "the answer on disk")
        kill_the_host()
        assert (run(asked())["cache"], len(provider.asked)) == ("exact", 1)
        kept = one.data_dir / "models.duckdb"
        assert {
            stat.S_IMODE(each.stat().st_mode) for each in kept.parent.glob(f"{kept.name}*")
        } == {0o600}
        kill_the_host()
        kept.write_bytes(b"no database")
        assert (run(asked())["cache"], len(provider.asked)) == ("miss", 2)
        assert run(asked())["cache"] == "exact"


def test_hits_and_what_they_saved_are_told(tmp_path: Path, provider: FakeProvider) -> None:
    with Mesh(tmp_path) as mesh:
        one = mesh.start("one", *PLAIN, *model(provider))

        async def scene() -> None:
            async with one.client() as client:
                for _ in range(4):
                    await chat(client)

        run(scene())

        def told() -> dict[str, Any] | None:
            ran = mesh.nova("--json", "stats", node=one)
            found: dict[str, Any] = json.loads(ran.stdout)["models"]
            return found if found and found["calls"] == 4 else None

        found = wait_for(told, "the calls in the history")
        assert (found["cached"], found["saved_uusd"]) == (3, 60)
        shown = mesh.nova("stats", node=one).stdout
        assert "4 calls, 3 of them answered by the cache (75.0%)" in shown
        ran = mesh.nova("run", "llm.chat", "--arg", f"prompt={HI['prompt']}", node=one)
        assert "exact" in ran.stderr
        rows = json.loads(mesh.nova("--json", "costs", node=one).stdout)["rows"]
        assert {row["key"]: row["spent_uusd"] for row in rows}["llm.chat"] == 20


def test_solved_code_comes_from_the_cache_verified_and_is_in_the_library(
    tmp_path: Path, provider: FakeProvider
) -> None:
    code = f'def solve(n):\n    """{ESCAPED}Squares."""\n    return n * n'
    provider.otherwise = lambda request: Say(fence(code))
    with Mesh(tmp_path) as mesh:
        one = mesh.start("one", *PLAIN, *SANDBOX, *model(provider))
        two = mesh.start("two", *PLAIN, "--peer", one.address)

        async def scene() -> tuple[dict[str, Any], dict[str, Any]]:
            async with one.client() as client:
                await met(client, 2)
                found: list[Any] = []
                for _ in range(2):
                    task = await client.submit("code.solve", SQUARE, labels={"library.on": "one"})
                    found.append(await task.result(90.0))
                return found[0], found[1]

        first, again = run(scene())
        assert (first["passed"], first["cache"]) == (True, "")
        assert (again["passed"], again["cache"]) == (True, "exact, verified")
        assert (again["cost_usd"], len(provider.asked)) == (0, 1)
        told = json.loads(mesh.nova("--json", "library", node=two).stdout)
        (row,) = told["functions"]
        assert (row["node"], row["signature"], row["passed"]) == ("one", "solve(n)", 2)
        assert told["missing"] == []
        for words in (("library",), ("library", "square", "--source")):
            shown = mesh.nova(*words, node=two)
            assert shown.returncode == 0, shown.stderr
            assert ESCAPED not in shown.stdout
            assert "solve(n)" in shown.stdout
        assert "no functions" in mesh.nova("library", "calendar", node=two).stderr


def test_work_that_is_tried_again_asks_no_model_twice(
    tmp_path: Path, provider: FakeProvider
) -> None:
    """Its host is killed while the second of two prompts is out; the first is not sent again."""
    wrong, right = "def solve(n):\n    return n + n", "def solve(n):\n    return n * n"
    provider.script(Say(fence(wrong)), Hang(), Say(fence(right)))
    with Mesh(tmp_path) as mesh:
        one = mesh.start("one", *PLAIN, *SANDBOX, *model(provider))

        async def scene() -> dict[str, Any]:
            async with one.client() as client:
                task = await client.submit("code.solve", {**SQUARE, "fresh": True})
                await asyncio.to_thread(provider.wait_for, 2, 60.0)
                kept = await asyncio.to_thread(
                    wait_for, lambda: on_disk(one, b"return n + n"), "the first answer on disk"
                )
                host = host_of(one)
                assert kept
                assert host
                host.send_signal(signal.SIGKILL)
                return await task.result(90.0)

        found = run(scene())
    assert (found["passed"], found["attempts"]) == (True, 2)
    first, lost, again = provider.asked
    assert lost.body["messages"] == again.body["messages"] != first.body["messages"]
