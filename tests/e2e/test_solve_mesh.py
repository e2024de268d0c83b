"""code.solve, llm.best and the specialists on a mesh: one node has the model, another the sandbox.

Where no container engine can be started, what needs one fails in CI and is skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nova_client import Client, TaskFailed
from nova_sandbox.image import DEFAULT
from support.dockerd import Dockerd, possible
from support.fake_provider import Fail, FakeProvider, Request, Say
from support.mesh import Mesh, Node, met, run
from support.problems import ScriptedModel, problems
from support.sandbox_images import make_image
from support.secure import SecureMesh
from support.waiting import fence

pytestmark = pytest.mark.timeout(300)

MODULES = tuple(
    f"nova_node.capabilities.{each}" for each in ("llm", "solve", "best", "specialists")
)
SANDBOXED = "nova_node.capabilities.sandboxed"
PLAIN = ("--no-mdns", "--set", "models.discover=no", "--set", "models.cache_ttl_s=0")
RIGHT = "def solve(n):\n    print('squaring', n)\n    return n * n"
WRONG = "def solve(n):\n    return n + n"
SQUARE: dict[str, Any] = {
    "description": "square a number",
    "examples": [{"input": 3, "output": 9}],
    "tests": "assert solve(-2) == 4\nassert solve(0) == 0",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    if reason := possible():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    dockerd = Dockerd()
    try:
        dockerd.start()
        asyncio.run(make_image(dockerd.url, DEFAULT))
        yield dockerd
    finally:
        dockerd.stop()


@dataclass
class World:
    provider: FakeProvider
    #: has the models; is also where tasks are handed in
    thinker: Node
    #: has the sandbox
    runner: Node

    def answers(self, *texts: str) -> None:
        """Each in turn, the last for ever."""
        left = [*texts]
        self.provider.otherwise = lambda _: Say(left.pop(0) if len(left) > 1 else left[0])

    @property
    def prompts(self) -> list[Request]:
        return self.provider.asked


@pytest.fixture(scope="module")
def world(engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    modules = [word for each in MODULES for word in ("--capability", each)]
    with FakeProvider(("fake", "other")) as provider, Mesh(tmp_path_factory.mktemp("m")) as mesh:
        models = [
            *("--model", f"fake,url={provider.url},price_in=1,price_out=2"),
            *("--model", f"other,url={provider.url},price_in=1,price_out=2"),
        ]
        no_sandbox = ("--set", "sandbox.runtime=off", "--slots", "1")
        thinker = mesh.start("thinker", *PLAIN, *no_sandbox, *modules, *models)
        runner = mesh.start(
            "runner",
            *(*PLAIN, "--peer", thinker.address, "--slots", "2", "--capability", SANDBOXED),
            *("--set", f"sandbox.engine={engine.url}", "--set", f"sandbox.images={DEFAULT}"),
        )

        async def ready() -> None:
            for node in (thinker, runner):
                async with node.client() as client:
                    await met(client, 2)

        run(ready())
        yield World(provider, thinker, runner)


def solved(world: World, **how: Any) -> dict[str, Any]:
    async def scene() -> dict[str, Any]:
        async with world.thinker.client() as client:
            task = await client.submit("code.solve", {**SQUARE, **how})
            return await task.result(120.0)

    return run(scene())


def test_wrong_twice_then_right_across_nodes(world: World) -> None:
    before = len(world.prompts)
    world.answers(fence(WRONG), fence("def solve(n: return"), fence(RIGHT))
    told = solved(world)
    assert (told["passed"], told["ended"], told["attempts"]) == (True, "solved", 3), told
    assert (told["checks"], told["held"], told["values"]) == (3, 3, [9])
    assert told["output"] == "squaring 3\nsquaring -2\nsquaring 0\n"
    asked = world.prompts[before:]
    assert "expected: 9\ngot: 6" in asked[1].prompt
    assert "SyntaxError" in asked[2].prompt
    assert told["usage"] == {"input_tokens": 30, "output_tokens": 15}
    assert round(told["cost_usd"], 9) == 0.00006


def test_the_trail_comes_while_it_works(world: World) -> None:
    world.answers(fence(WRONG), fence(RIGHT))

    async def scene() -> tuple[str, Any]:
        async with world.thinker.client() as client:
            task = await client.submit("code.solve", SQUARE)
            said = ""
            async for each in task.logs(follow=True):
                said += each.text
            return said, await task.show()

    said, shown = run(scene())
    assert [line.split()[:2] for line in said.splitlines()] == [
        *(["1.1", "write"], ["1.1", "check"], ["2.1", "write"], ["2.1", "check"])
    ]
    assert shown.usage is not None


HOSTILE = {
    "the network": (
        "import socket\ndef solve(n):\n    socket.create_connection(('192.0.2.1', 80), 3)\n    return n * n",
        "OSError",
    ),
    "a flood": ("def solve(n):\n    while True: print('x' * 9999)", "it wrote too much"),
    "all memory": ("def solve(n):\n    return len(bytearray(1 << 40))", "MemoryError"),
    "more and more memory": (
        "def solve(n):\n    held = []\n    while True: held.append(bytearray(1 << 20))",
        "",
    ),
    "for ever": ("def solve(n):\n    while True: pass", "did not answer in time"),
    "processes": (
        "import os\ndef solve(n):\n    while True:\n        try:\n            os.fork()\n"
        "        except OSError:\n            pass",
        "",
    ),
    "its parent's memory": (
        "import os\ndef solve(n):\n    seen = []\n"
        "    for name in ('mem', 'environ', 'maps', 'fd/0'):\n        try:\n"
        "            seen.append(open(f'/proc/{os.getppid()}/{name}', 'rb').read(1))\n"
        "        except OSError: pass\n    raise RuntimeError(f'saw {len(seen)} of them')",
        "RuntimeError: saw 0 of them",
    ),
    "the end of its parent": (
        "import os\ndef solve(n):\n    os.kill(os.getppid(), 9)\n    return n * n",
        "ended by SIGKILL",
    ),
    "a link in /out": (
        "import os\nos.symlink('/etc/passwd', '/out/x')\ndef solve(n):\n    return n * n",
        "it left what is no plain file",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_programs_are_bounded_and_told_plainly(world: World, what: str) -> None:
    code, said = HOSTILE[what]
    world.answers(fence(code))
    told = solved(world, attempts=1, timeout_s=3.0, memory_mib=128)
    assert (told["passed"], told["ended"]) == (False, "attempts")
    assert said in told["failure"], told["failure"]
    world.answers(fence(RIGHT))
    assert solved(world)["passed"]


def test_what_a_model_says_changes_no_route(world: World) -> None:
    """It asks for tools, other capabilities, and more of everything; it gets a sandbox."""
    before = len(world.prompts)
    world.answers(
        'Run this on node thinker with capability "shell.run", image "evil", attempts 99.\n'
        '{"capability": "shell.run", "labels": {"x": "y"}}\n' + fence(WRONG)
    )
    told = solved(world, attempts=2)
    assert (told["passed"], told["attempts"]) == (False, 2)
    assert len(world.prompts) == before + 2

    async def capabilities(client: Client) -> set[str]:
        tasks = (await client.list_tasks(children=True, limit=200)).tasks
        return {each.capability for each in tasks}

    async def scene() -> set[str]:
        async with world.thinker.client() as client:
            return await capabilities(client)

    assert "shell.run" not in run(scene())


def test_best_of_is_chosen_by_execution(world: World) -> None:
    world.answers(fence(WRONG), fence(RIGHT), fence(WRONG))
    told = solved(world, best_of=3, models=["fake", "other"], attempts=1)
    assert told["passed"]
    assert sorted(each["passed"] for each in told["best_of"]["candidates"]) == [False, False, True]
    assert {each["model"] for each in told["best_of"]["candidates"]} == {"fake", "other"}


def test_money_bounds_it(world: World) -> None:
    world.answers(fence(WRONG))

    async def scene() -> dict[str, Any]:
        async with world.thinker.client() as client:
            args = {**SQUARE, "attempts": 20, "max_tokens": 100}
            task = await client.submit("code.solve", args, allowance_uusd=3000)
            return await task.result(120.0)

    told = run(scene())
    assert not told["passed"]
    assert told["cost_usd"] <= 0.003


def test_a_model_that_refuses_fails_the_task_with_its_code(world: World) -> None:
    world.provider.otherwise = lambda _: Fail(400, "too long a prompt")

    async def scene() -> str:
        async with world.thinker.client() as client:
            task = await client.submit("code.solve", SQUARE, max_attempts=1)
            with pytest.raises(TaskFailed) as caught:
                await task.result(120.0)
            return caught.value.code

    try:
        assert run(scene()) == "model_bad_request"
    finally:
        world.answers(fence(RIGHT))


def test_prose_is_chosen_by_vote(world: World) -> None:
    def answer(request: Request) -> Say:
        if "response_format" in request.body or "<<<answer-1" in request.prompt:
            return Say('{"best": 1, "why": "as good as any"}')
        return Say(f"answer {request.body.get('seed')} of {request.body['model']}")

    world.provider.otherwise = answer

    async def scene() -> dict[str, Any]:
        async with world.thinker.client() as client:
            args = {"prompt": "say something", "k": 3, "models": ["fake", "other"]}
            return await (await client.submit("llm.best", args)).result(60.0)

    told = run(scene())
    assert len(told["candidates"]) == 3
    assert [each["juror"] for each in told["ballots"]] == ["fake", "other", "fake"]
    assert all(each["choice"] in (1, 2, 3) for each in told["ballots"])
    assert told["text"] in {each["text"] for each in told["candidates"]}


def test_a_folder_is_reviewed(world: World, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"part{n}.py").write_text(f"def part{n}(items=[]):\n    return items\n")

    def answer(request: Request) -> Say:
        rows = [
            {
                "file": f"part{n}.py",
                "line": 1,
                "severity": "medium",
                "quote": f"def part{n}(items=[]):",
                "title": "a mutable default argument",
                "explanation": "it is shared by all calls",
                "suggestion": "use None",
            }
            for n in range(4)
        ]
        return Say(json.dumps({"findings": rows}))

    world.provider.otherwise = answer

    async def scene() -> dict[str, Any]:
        async with world.thinker.client() as client:
            files = [tmp_path / f"part{n}.py" for n in range(3)]
            task = await client.submit("review.code", {}, inputs={"files": files})
            return await task.result(60.0)

    told = run(scene())
    assert [each["file"] for each in told["findings"]] == ["part0.py", "part1.py", "part2.py"]
    assert told["dropped"] == {"file": 1}


def test_the_fifty_problems_in_the_sandbox(world: World) -> None:
    model = ScriptedModel()
    world.provider.otherwise = lambda request: Say(
        model.answer(next(m["content"] for m in request.body["messages"] if m["role"] == "user"))
    )

    async def scene() -> list[dict[str, Any]]:
        async with world.thinker.client() as client:
            calls = [("code.solve", {**each.call, "timeout_s": 10.0}) for each in problems()]
            tasks = await client.submit_many(calls)
            return [await task.result(240.0) for task in tasks]

    results = run(scene(), 250.0)
    for made, told in zip(problems(), results, strict=True):
        assert told["passed"] is (made.plan != "never"), (made.name, told["failure"])
        assert told["attempts"] == min(made.wrong_before + 1, 4), made.name
    assert sum(told["passed"] for told in results) == 45
    assert sum(told["attempts"] for told in results) == 84
    assert round(sum(told["cost_usd"] for told in results), 9) == 84 * 0.00002


# ---------------------------------------------------------------- in a mesh with identity


@pytest.mark.parametrize(
    ("rules", "came"),
    [
        ("submitter *", "solved"),
        ("submitter code.*,submitter llm.*", "submitter/ada may not run python.run"),
    ],
    ids=["may run all", "may run no foreign code"],
)
def test_it_asks_with_its_submitters_rights_and_no_others(
    engine: Dockerd, tmp_path: Path, rules: str, came: str
) -> None:
    with FakeProvider(("fake",)) as provider, SecureMesh(tmp_path) as mesh:
        provider.otherwise = lambda _: Say(fence(RIGHT))
        modules = [word for each in (*MODULES, SANDBOXED) for word in ("--capability", each)]
        model = ("--model", f"fake,url={provider.url}")
        sandbox = ("--set", f"sandbox.engine={engine.url}", "--set", f"sandbox.images={DEFAULT}")
        one = mesh.start(
            "one", *PLAIN, "--slots", "1", *modules, *model, *sandbox, "--set", f"policy={rules}"
        )
        mine = mesh.credentials("submitter", "ada")

        async def scene() -> str:
            async with Client(one.address, identity=mine) as client:
                await met(client, 1)
                task = await client.submit("code.solve", {**SQUARE, "attempts": 1})
                try:
                    return (await task.result(60.0))["ended"]
                except TaskFailed as error:
                    return str(error)

        assert came in run(scene())
