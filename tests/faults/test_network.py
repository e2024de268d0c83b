"""Three nodes on three hosts of a network that is cut, deaf one way, lossy, or resets connections."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nova_client import Client
from support import netns
from support.mesh import NOVA, Mesh, Node, eventually, met, run, wait_for
from support.queue_check import Ledger
from support.terminal import Terminal

if (why := netns.missing()) and not (os.environ.get("CI") == "true" and os.geteuid() == 0):
    pytest.skip(why, allow_module_level=True)

pytestmark = pytest.mark.netns

MODULE = ("--capability", "support.mesh_capabilities")
DEAD_S = 6.0
HEALED_S = 10.0
SLACK_S = 3.0
HUNG_UP_S = 20.0
QUICK_S = 2.0
LOST = [0.1, pytest.param(0.01, marks=pytest.mark.long), pytest.param(0.3, marks=pytest.mark.long)]


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
            *("--label", f"place={'far' if host == 2 else 'near'}"),
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
                await met(client, len(self.nodes))
            took_s = time.monotonic() - began
            sys.stdout.write(f"healed after {took_s:.1f} s\n")
            assert took_s <= HEALED_S + SLACK_S
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

            async def says_so() -> bool:
                return any("cut off" in said for said in (await owner.status()).node.warnings)

            await eventually(says_so, "the owner to say that it is cut off")
            network.heal()
            await met(owner, 3)
            assert not await says_so()

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


def test_two_workers_do_not_hear_each_other(
    nodes: list[Node], network: netns.Network, tmp_path: Path
) -> None:
    """The owner reaches both: nobody is called dead, and both go on working."""

    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as clients:
            network.cut(1, 2)
            await asyncio.sleep(DEAD_S + SLACK_S)
            for client in clients:
                assert {n.state for n in (await client.nodes()).nodes} <= {"alive", "suspect"}
            tasks = await clients[0].submit_many([("core.sleep", {"seconds": 0.1})] * 12)
            for task in tasks:
                await task.result(20.0)
            assert {n.id for n in nodes} == {task.outcome.node for task in tasks if task.outcome}
            network.heal()

    run(scene())


@pytest.mark.parametrize("kbit", [256, pytest.param(64, marks=pytest.mark.long)])
def test_a_slow_link_holds_up_what_goes_over_it_and_no_more(
    nodes: list[Node], network: netns.Network, tmp_path: Path, kbit: int
) -> None:
    """What one worker sends, results and its card too, comes late; others do not wait for it."""

    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            network.slow(2, kbit)
            slow = [("mesh.draw", {"size_bytes": 20_000})] * 4
            values = await owner.submit_many(slow, labels={"place": "far"}, max_attempts=20)
            await asyncio.sleep(2.0)
            began = time.monotonic()
            near = await owner.submit("core.echo", {"data": "near"}, labels={"place": "near"})
            assert await near.result(20.0) == "near"
            assert time.monotonic() - began < QUICK_S
            for value in values:
                assert len(await value.result(60.0)) == 20_000
            network.heal()

    run(scene())


def test_a_host_that_goes_silent_is_hung_up_on(
    mesh: Mesh, nodes: list[Node], network: netns.Network
) -> None:
    """A watcher there: keepalive finds out at both ends, though neither has anything to say."""
    here, there = nodes[0], network.ip(2)
    before = wait_for(lambda: network.connections(0, there), "the nodes to meet")
    command = [*network.command(2), NOVA, "watch", "--node", here.address]
    watcher = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=mesh.environment
    )

    def both_hung_up() -> bool:
        return not network.connections(0, there) and not network.connections(2, network.ip(0))

    try:
        wait_for(lambda: network.connections(0, there) > before, "the watcher to connect")
        network.isolate(2)
        began = time.monotonic()
        wait_for(both_hung_up, "both ends to hang up", HUNG_UP_S + SLACK_S)
        sys.stdout.write(f"hung up after {time.monotonic() - began:.1f} s\n")
    finally:
        watcher.kill()
        watcher.wait()


@pytest.mark.parametrize("share", LOST)
def test_a_share_of_the_packets_is_lost(
    nodes: list[Node], network: netns.Network, tmp_path: Path, share: float
) -> None:
    async def scene() -> None:
        async with Scene(nodes, tmp_path / "marks") as (owner, _, _):
            network.lose(share)
            for _ in range(60):
                states = {node.name: node.state for node in (await owner.nodes()).nodes}
                assert share > 0.1 or "dead" not in states.values(), states
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
