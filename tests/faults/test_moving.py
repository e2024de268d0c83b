"""A laptop goes from one network to another, or has none for a while: its node goes along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from nova_client import Client
from support import netns
from support.mesh import NOVA, Mesh, Node, eventually, met, run, wait_for

if (why := netns.missing()) and not (os.environ.get("CI") == "true" and os.geteuid() == 0):
    pytest.skip(why, allow_module_level=True)

pytestmark = pytest.mark.netns

FOUND_S = 10.0
"""Twice a look at the interfaces, and then gossip."""


@pytest.fixture
def network() -> Iterator[netns.Network]:
    with netns.Network(3) as network:
        yield network


def start(mesh: Mesh, network: netns.Network, monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """One on each host, on all its interfaces."""
    mesh.environment["NOVA_TEST_ALLOW_INSECURE_BIND"] = "yes-only-in-tests"
    monkeypatch.setenv("NOVA_TEST_ALLOW_INSECURE_BIND", "yes-only-in-tests")
    return [
        mesh.start(
            f"n{host}",
            *("--listen", "0.0.0.0:7600", "--slots", "2", "--label", f"host=n{host}"),
            command=network.command(host),
        )
        for host in network.hosts
    ]


async def found_at(client: Client, name: str, ip: str) -> float:
    """Seconds until a node is alive at an address in the eyes of another."""
    began = time.monotonic()

    async def seen() -> bool:
        nodes = (await client.nodes()).nodes
        return any((n.name, n.state, n.address) == (name, "alive", f"{ip}:7600") for n in nodes)

    await eventually(seen, f"{name} to be found at {ip}", 4 * FOUND_S)
    return time.monotonic() - began


async def works(client: Client, name: str) -> None:
    task = await client.submit("core.echo", {"data": name}, labels={"host": name})
    assert await task.result(FOUND_S) == name


def told_here(mesh: Mesh, network: netns.Network, host: int) -> list[str]:
    """The nodes that `nova` shows on a host; none when it finds none."""
    done = subprocess.run(
        [*network.command(host), NOVA, "nodes", "--json", "--node", "127.0.0.1:7600"],
        env=mesh.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return [node["name"] for node in json.loads(done.stdout)["nodes"]] if done.stdout else []


def test_a_node_goes_along_when_its_host_gets_another_address(
    mesh: Mesh, network: netns.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, and under load: nothing is lost, and it gets work again."""
    nodes = start(mesh, network, monkeypatch)

    async def scene() -> None:
        async with nodes[0].client() as owner:
            await met(owner, 3)
            for _ in range(2):
                tasks = await owner.submit_many([("core.sleep", {"seconds": 0.05})] * 120)
                network.move(2)
                took_s = await found_at(owner, "n2", network.ip(2))
                sys.stdout.write(f"found again after {took_s:.1f} s\n")
                assert took_s <= FOUND_S
                await works(owner, "n2")
                for task in tasks:
                    await task.result(60.0)
            async with Client(f"{network.ip(2)}:7600") as mover:
                await met(mover, 3)
                await works(mover, "n1")

    run(scene())


def test_a_node_without_a_network_serves_its_own_host_and_is_found_later(
    mesh: Mesh, network: netns.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.unplug(2)
    nodes = start(mesh, network, monkeypatch)

    async def scene() -> None:
        async with nodes[0].client() as owner:
            await met(owner, 2)
            assert nodes[2].address == "127.0.0.1:7600"
            for _ in range(2):
                wait_for(lambda: told_here(mesh, network, 2), "n2 to serve its own host")
                network.plug_in(2)
                took_s = await found_at(owner, "n2", network.ip(2))
                sys.stdout.write(f"found after {took_s:.1f} s\n")
                assert took_s <= FOUND_S
                await works(owner, "n2")
                network.unplug(2)

    run(scene())
