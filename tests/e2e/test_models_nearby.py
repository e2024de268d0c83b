"""A model server that starts after its node, and goes before it: the cards of the mesh follow."""

from __future__ import annotations

import socket

from nova_client import Client
from support.fake_provider import FakeProvider, Say
from support.mesh import Mesh, eventually, run


def test_a_server_goes_and_comes_and_prompts_find_it(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    node = mesh.start(
        "only",
        *("--slots", "1", "--model", f"late,url=http://127.0.0.1:{port}/v1"),
        *("--set", "models.discover=no", "--set", "models.look_s=0.1"),
    )

    async def has(client: Client, there: bool) -> bool:
        (me,) = (await client.nodes()).nodes
        assert "core.noop" in me.capabilities
        told = {"model.late" in me.labels, "llm.chat" in me.capabilities, bool(me.models)}
        return told == {there}

    async def scene() -> None:
        async with node.client() as client:
            await eventually(
                lambda: has(client, False), "a model that nobody serves to leave the card"
            )
            with FakeProvider(["late"], port=port) as provider:
                await eventually(lambda: has(client, True), "the server to be found")
                provider.script(Say("here I am"))
                task = await client.submit("llm.chat", {"prompt": "hi", "model": "late"})
                assert (await task.result(60))["text"] == "here I am"
            await eventually(lambda: has(client, False), "the server to be gone")
            task = await client.submit("core.noop")
            await task.result(60)

    run(scene())
    assert "models on this machine: late" in node.said()
    assert "models on this machine: none" in node.said()
