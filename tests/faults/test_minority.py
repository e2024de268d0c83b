"""A node that loses most of its mesh says that it may be the one that is cut off, and goes on."""

from __future__ import annotations

from support.mesh import Mesh, eventually, met, run


def test_who_loses_most_of_its_mesh_says_so_and_goes_on(mesh: Mesh) -> None:
    left, *others = (mesh.start(name, "--slots", "1") for name in ("left", "one", "two"))

    async def scene() -> None:
        async with left.client() as client:
            await met(client, 3)

            async def says_so() -> bool:
                return any("cut off" in said for said in (await client.status()).node.warnings)

            async def is_quiet() -> bool:
                return not await says_so()

            assert await is_quiet()
            for other in others:
                other.kill()
            await eventually(says_so, "it to say that it may be cut off")
            assert "cut off" in mesh.nova("nodes", node=left).stdout
            task = await client.submit("core.echo", {"data": "alone"})
            assert await task.result(10.0) == "alone"
            others[0].restart()
            await eventually(is_quiet, "it to see most of its mesh again")

    run(scene())
    assert "cut off" in left.said()
    assert "there again" in left.said()
