"""Three nodes on three hosts of a network that is cut, deaf one way, lossy, or resets connections."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nova_client import Client
from support import netns
from support.mesh import NOVA, Mesh, Node, eventually, met, run
from support.queue_check import Ledger
from support.terminal import Terminal

if (why := netns.missing()) and not (os.environ.get("CI") == "true" and os.geteuid() == 0):
    pytest.skip(why, allow_module_level=True)

pytestmark = pytest.mark.netns

MODULE = ("--capability", "support.mesh_capabilities")
DEAD_S = 6.0
HEALED_S = 20.0
SLACK_S = 3.0


@pytest.fixture
def network() -> Iterator[netns.Network]:
    with netns.Network(3) as network:
        yield network


@pytest.fixture
def nodes(mesh: Mesh, network: netns.Network, monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """One on each host. They are told no address: mDNS has to cross the bridge."""
    mesh.environment["NOVA_TEST_ALLOW_INSECURE_BIND"] = "yes-only-in-tests"
    monkeypatch.setenv("NOVA_TEST_ALLOW_INSECURE_BIND", "yes-only-in-tests")
    return [
        mesh.start(
            f"n{host}",
            *("--slots", "2", "--listen", f"{network.ip(host)}:7600", *MODULE),
            command=network.command(host),
        )
        for host in network.hosts
    ]


class Scene:
    """Tasks stream to the first node while a fault is there; afterwards all is as before."""

    def __init__(self, nodes: list[Node], marks: Path) -> None:
        self.nodes = nodes
        self._marks = marks
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> list[Client]:
        self.clients = [await self._stack.enter_async_context(n.client()) for n in self.nodes]
        for client in self.clients:
            await met(client, len(self.nodes))
        self.ledger = Ledger(self.clients[0], self._marks)
        self.ledger.watch()
        self._over = asyncio.Event()
        self._submitting = asyncio.create_task(self.ledger.keep_submitting(self._over))
        return self.clients

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if kind is None:
            began = time.monotonic()
            for client in self.clients:
                await met(client, len(self.nodes), HEALED_S)
            assert time.monotonic() - began < HEALED_S
            await self._submitting
            verdict = await self.ledger.settle()
            assert verdict.clean, verdict
        self._submitting.cancel()
        await self._stack.aclose()
        assert all(node.process.poll() is None for node in self.nodes)


async def until(client: Client, name: str, *states: str, timeout_s: float = 20.0) -> float:
    """Seconds until a node is in one of these states in the eyes of another."""
    began = time.monotonic()

    async def seen() -> bool:
        return any(n.name == name and n.state in states for n in (await client.nodes()).nodes)

    await eventually(seen, f"{name} to be {' or '.join(states)}", timeout_s)
    return time.monotonic() - began


def test_a_node_is_cut_off_and_comes_back(
    nodes: list[Node], network: netns.Network, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            await asyncio.sleep(0.3)
            network.isolate(2)
            took_s = await until(owner, "n2", "dead")
            assert took_s <= DEAD_S + SLACK_S
            network.heal()

    run(scene())


def test_the_owner_is_cut_off_and_comes_back(
    nodes: list[Node], network: netns.Network, tmp_path: Path
) -> None:
    """It has its own slots, and takes and runs tasks alone."""

    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            network.isolate(0)
            await until(owner, "n1", "dead")
            task = await owner.submit("core.echo", {"data": "alone"})
            assert await task.result(10.0) == "alone"
            network.heal()

    run(scene())


@pytest.mark.parametrize(("deaf", "to"), [(0, 2), (2, 0)])
def test_one_direction_is_cut(
    nodes: list[Node], network: netns.Network, tmp_path: Path, deaf: int, to: int
) -> None:
    """Work given over that connection goes elsewhere; the third node vouches for both."""

    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            await asyncio.sleep(0.3)
            network.deafen(deaf, to)
            task = await owner.submit("core.echo", {"data": "still"})
            assert await task.result(60.0) == "still"
            await asyncio.sleep(5.0)
            network.heal()

    run(scene())


def test_a_tenth_of_the_packets_is_lost(
    nodes: list[Node], network: netns.Network, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            network.lose(0.1)
            for _ in range(60):
                states = {node.name: node.state for node in (await owner.nodes()).nodes}
                assert "dead" not in states.values(), states
                await asyncio.sleep(0.1)
            network.heal()

    run(scene())


def test_connections_are_reset(nodes: list[Node], network: netns.Network, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks"):
            for peer in (1, 2, 1, 2):
                await asyncio.sleep(0.3)
                network.reset(0, peer)
                await asyncio.sleep(0.2)
                network.heal()

    run(scene())


def test_the_console_shows_what_the_nodes_see_and_stays(
    mesh: Mesh, nodes: list[Node], network: netns.Network, tmp_path: Path
) -> None:
    """Under load, with a node cut off, one killed, and the node that it asks killed."""
    terminal = Terminal(mesh.folder, mesh.environment, 120, 40)

    async def sees(*wanted: str) -> None:
        await asyncio.to_thread(terminal.shows, *wanted, timeout_s=20.0)

    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            terminal.type(f"{NOVA} console --node {nodes[0].address}", "Enter")
            await sees("LIVE", "3/3 up")
            network.isolate(2)
            await until(owner, "n2", "dead")
            await sees("2/3 up", "PARTITION 2 | 1")
            network.heal()
            await until(owner, "n2", "alive")
            await sees("3/3 up")
            nodes[1].kill()
            await until(owner, "n1", "dead")
            await sees("2/3 up", "✖ n1")
            nodes[1].restart()
            await until(owner, "n1", "alive")
            await sees("3/3 up")
        nodes[0].kill()
        await sees("OFFLINE")
        nodes[0].restart()
        await sees("LIVE", "3/3 up")

    try:
        run(scene())
        assert terminal.console().is_running()
    finally:
        terminal.end()
