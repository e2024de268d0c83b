"""Prompts over real nodes: a node without models asks one that has some."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from nova_client import Client, TaskFailed
from support.fake_provider import Fail, FakeProvider, Hang, Say
from support.mesh import NODE, Mesh, Node, eventually, met, run

KEY = "sk-of-the-lab-0123456789"


class Scene(NamedTuple):
    """`owner` has no model, `near` one of this machine, `far` one that is not local."""

    owner: Node
    near: Node
    local: FakeProvider
    cloud: FakeProvider


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("mesh")
    options = ("--slots", "1", "--set", "models.discover=no", "--set", "models.cache_ttl_s=0")
    with FakeProvider() as local, FakeProvider() as cloud, Mesh(folder) as mesh:
        secret = [NODE, "secret", "set", "lab", "--data-dir", str(folder / "near")]
        subprocess.run(secret, input=KEY, text=True, check=True, capture_output=True, timeout=60)
        owner = mesh.start("owner", *options)
        near = mesh.start("near", "--model", f"near,url={local.url},key=secret:lab", *options)
        mesh.start("far", "--model", f"far,url={cloud.url},local=no", *options)

        async def ready() -> None:
            async with owner.client() as client:
                await met(client, 3)

        run(ready())
        yield Scene(owner, near, local, cloud)


async def failure_of(client: Client, args: Mapping[str, object], **options: object) -> TaskFailed:
    task = await client.submit("llm.chat", args, **options)  # type: ignore[arg-type]
    with pytest.raises(TaskFailed) as raised:
        await task.result(60)
    return raised.value


def test_a_prompt_is_answered_by_the_node_that_has_the_model(scene: Scene) -> None:
    scene.local.script(Say("hello big world", (7, 3)))

    async def main() -> None:
        async with scene.owner.client() as client:
            task = await client.submit(
                "llm.chat", {"prompt": "hi", "model": "near"}, labels={"model.near": "yes"}
            )
            result = await task.result(60)
            said = "".join([line.text async for line in task.logs()])
            assert result["text"] == "hello big world"
            assert "hello big world" in said
            (node,) = [n for n in (await client.nodes()).nodes if n.name == "near"]
            (model,) = node.models
            assert (model.name, model.local, model.input_uusd_per_mtok) == ("near", True, 0)

    run(main())


def test_a_key_reaches_its_provider_and_nobody_else(scene: Scene) -> None:
    async def main() -> None:
        async with scene.owner.client() as client:
            args = {"prompt": "hi", "model": "near"}
            task = await client.submit("llm.chat", args, labels={"model.near": "yes"})
            await task.result(60)
            scene.local.script(*[Fail(401, f"wrong key {KEY}")] * 3)
            failure = await failure_of(client, args, labels={"model.near": "yes"}, max_attempts=1)
            assert failure.code == "model_auth"
            assert KEY not in repr(failure)

    run(main())
    assert scene.local.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    assert KEY.encode() not in scene.cloud.raw
    process = psutil.Process(scene.near.process.pid)
    for each in (process, *process.children(recursive=True)):
        assert KEY not in json.dumps([each.cmdline(), each.environ()])
    assert KEY not in scene.near.log.read_text()


def test_a_local_prompt_reaches_no_other_provider(scene: Scene, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene.owner.client() as client:
            args = {"prompt": "canary-5f1d", "local_only": True, "model": "far"}
            failure = await failure_of(client, args, labels={"model.far": "yes"}, max_attempts=1)
            assert failure.code == "model_refused_local"

    run(main())
    assert b"canary-5f1d" not in scene.cloud.raw


def test_a_cancel_reaches_the_provider(scene: Scene) -> None:
    before = len(scene.cloud.asked)
    scene.cloud.script(Hang("one two"))

    async def main() -> None:
        async with scene.owner.client() as client:
            args = {"prompt": "x", "model": "far"}
            task = await client.submit("llm.chat", args, labels={"model.far": "yes"})
            await eventually(lambda: _is(len(scene.cloud.asked) > before), "the prompt")
            await task.cancel()
            await eventually(lambda: _is(scene.cloud.asked[before].gone.is_set()), "the cancel")

    run(main())


def test_a_wrong_key_is_told_soon(scene: Scene) -> None:
    """It is not waited for: only a person can mend it."""
    scene.cloud.script(Fail(401, "wrong key"))

    async def main() -> None:
        async with scene.owner.client() as client:
            args = {"prompt": "hi", "model": "far"}
            began = time.monotonic()
            failure = await failure_of(client, args, labels={"model.far": "yes"})
            assert failure.code == "model_auth"
            assert "nova-node secret set" in failure.fix
            assert time.monotonic() - began < 15.0

    run(main())


async def _is(true: bool) -> bool:
    return true
