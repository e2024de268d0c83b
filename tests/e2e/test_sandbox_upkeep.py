"""What a node with a sandbox tells of it, and how it comes to one while it runs. With a real engine, see
support.sandbox_mesh."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest
from nova_client import Client
from nova_sandbox.image import DEFAULT, reference
from support.dockerd import Dockerd
from support.mesh import Mesh, eventually, met, run
from support.sandbox_images import make_image
from support.sandbox_mesh import api, engine_with_images, options

FOREVER = "print('begun')\nimport time\nwhile True: time.sleep(1)"
ASKED_AGAIN_S = 60.0
SOON_S = 8.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    with engine_with_images() as dockerd:
        yield dockerd


async def offers(client: Client) -> bool:
    return "python.run" in {each.name for each in await client.capabilities()}


def test_the_state_of_the_pool_is_a_metric_of_the_mesh(mesh: Mesh, engine: Dockerd) -> None:
    node = mesh.start("boxed", *options(engine, "boxed"), "--metrics", "127.0.0.1:0")
    mesh.start("plain", "--set", "sandbox.runtime=off")

    async def pools(client: Client) -> dict[str, list[dict[str, object]] | None]:
        top = json.loads(mesh.nova("top", "--json", node=node).stdout)
        return {each["name"]: each["pools"] for each in top["nodes"]}

    async def scene() -> None:
        async with node.client() as client:
            await met(client, 2)

            async def unused() -> bool:
                found = await pools(client)
                mine = found.get("boxed") or [{}]
                return mine[0].get("image") == "host" and mine[0]["warm"] == 0

            await eventually(unused, "a pool that nothing ran in")
            tasks = [
                await client.submit("python.run", {"code": FOREVER}, durability="volatile")
                for _ in range(2)
            ]

            async def at_work() -> bool:
                pool = ((await pools(client))["boxed"] or [{}])[0]
                return (pool["busy"], pool["warm"], pool["refilling"]) == (1, 1, 0)

            await eventually(at_work, "one container that works and a warm one", 60.0)
            assert "boxed: sandbox host  warm 1  busy 1" in mesh.nova("top", node=node).stdout
            for task in tasks:
                await task.cancel()
            assert (await pools(client))["plain"] is None

            async def recorded() -> bool:
                sql = "SELECT max(busy), sum(claims), sum(exhausted) > 0 FROM pools"
                rows = (await client.metrics.sql(sql)).rows
                return set(rows) == {("boxed", 1, 1, True), ("plain", None, None, None)}

            await eventually(recorded, "its history, and none of the other's")

    run(scene())
    url = node.said().partition("Prometheus may read ")[2].partition("\n")[0]
    with urllib.request.urlopen(url, timeout=10) as answer:
        page = answer.read().decode()
    assert 'name="boxed",image="host",state="warm"} ' in page
    assert 'name="boxed",image="host"} 1\n' in page.partition("nova_sandbox_claims_total{")[2]


def test_an_image_that_is_asked_for_finds_its_node(mesh: Mesh, engine: Dockerd) -> None:
    one = mesh.start("one", *options(engine, "one"))
    two = mesh.start("two", *options(engine, "two", images="host,second"))

    async def ready() -> None:
        for node in (one, two):
            async with node.client() as client:
                await met(client, 2)

    run(ready())
    code = "code=open('/out/deep.txt', 'w').write('x' * 2048)"
    for _ in range(3):
        ran = mesh.nova("run", "python.run", "--arg", "image=second", "--arg", code, node=one)
        assert ran.returncode == 0, ran.stderr

    async def ids() -> list[str]:
        async with one.client() as client:
            listed = await client.list_tasks(capability="python.run")
            assert {each.node for each in listed.tasks} == {two.id}
            return [each.id for each in listed.tasks]

    assert "file:        deep.txt, 2.0 KiB\n" in mesh.nova("show", run(ids())[0], node=one).stdout


def test_a_node_carries_the_labels_of_its_images(mesh: Mesh, engine: Dockerd) -> None:
    asyncio.run(make_image(engine.url, "marked", {"speed": "high", "long": "x" * 200}))
    node = mesh.start("marked", *options(engine, "marked", images="marked"))

    async def scene() -> None:
        async with node.client() as client:
            (seen,) = (await client.nodes()).nodes
            assert seen.labels["sandbox.image.marked"] == "yes"
            assert seen.labels["sandbox.label.marked.speed"] == "high"
            assert "sandbox.label.marked.long" not in seen.labels

    run(scene())


def test_an_image_that_is_made_later_is_told_without_a_restart(mesh: Mesh, engine: Dockerd) -> None:
    node = mesh.start("eager", *options(engine, "eager", images=f"{DEFAULT},later"))
    assert "python.map: no image later (fix: " in mesh.nova("nodes", node=node).stdout
    with closing(api(engine)) as client:
        client.tag(reference(DEFAULT), "nova-sandbox", "later")

    async def scene() -> None:
        async with node.client() as client:

            async def told() -> bool:
                (seen,) = (await client.nodes()).nodes
                return "sandbox.image.later" in seen.labels

            await eventually(told, "the label", ASKED_AGAIN_S)

    run(scene())
    assert "no image" not in mesh.nova("nodes", node=node).stdout


@pytest.mark.parametrize("trouble", ["down", "hung"])
def test_an_engine_that_comes_later_is_offered_without_a_restart(
    mesh: Mesh, engine: Dockerd, trouble: str
) -> None:
    if trouble == "down":
        engine.kill()
    else:
        engine.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        node = mesh.start("patient", *options(engine, "patient"))
        other = mesh.start("other", "--set", "sandbox.runtime=off")
        assert node.address
        assert time.monotonic() - began < SOON_S
        listed = mesh.nova("nodes", node=node).stdout
        assert "python.run, shell.run, python.map: not offered" in listed
    finally:
        engine.ensure()

    async def scene() -> None:
        async with other.client() as client:
            await met(client, 2)
            await eventually(lambda: offers(client), "the capability", ASKED_AGAIN_S)
            task = await client.submit("python.run", {"code": "result = 1"})
            assert (await task.result(60.0))["result"] == 1

    run(scene())
    assert "not offered" not in mesh.nova("nodes", node=node).stdout
