"""What every Discovery does. mDNS runs for real, on loopback."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from nova_node.adapters import discovery_mdns
from nova_node.adapters.discovery_mdns import MdnsDiscovery
from nova_node.adapters.memory_discovery import MemoryDiscovery, MemorySegment
from nova_node.ports import Discovery, Found

DEADLINE_S = 15


class Neighbourhood:
    """Starts nodes of one kind of discovery, and stops them at its end."""

    def __init__(self, kind: str, stack: AsyncExitStack) -> None:
        self.segment = MemorySegment()
        self.kind = kind
        self.stack = stack
        self.mesh = f"test-{uuid.uuid4().hex[:12]}"

    def found(self, port: int, mesh: str | None = None, node: str | None = None) -> Found:
        address = f"127.0.0.1:{port}"
        return Found(node or uuid.uuid4().hex[:20], address, mesh or self.mesh, "0.1.0")

    async def start(self, me: Found) -> tuple[Discovery, asyncio.Queue[Found]]:
        discovery = MdnsDiscovery() if self.kind == "mdns" else MemoryDiscovery(self.segment)
        seen: asyncio.Queue[Found] = asyncio.Queue()
        self.stack.push_async_callback(discovery.stop)
        async with asyncio.timeout(1):
            await discovery.start(me, seen.put_nowait)
        return discovery, seen


Story = Callable[[Neighbourhood], Awaitable[None]]
Tell = Callable[[Story], None]


@pytest.fixture(params=["memory", "mdns"])
def tell(request: pytest.FixtureRequest) -> Tell:
    async def run(story: Story) -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            await story(Neighbourhood(str(request.param), stack))

    def tell(story: Story) -> None:
        asyncio.run(run(story))

    return tell


async def until(seen: asyncio.Queue[Found], wanted: Found) -> list[Found]:
    """All that was seen up to `wanted`."""
    before: list[Found] = []
    while (found := await seen.get()) != wanted:
        before.append(found)
    return before


def test_two_nodes_see_each_other_and_not_themselves(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        a, b = here.found(7600), here.found(7601)
        _, seen_by_a = await here.start(a)
        _, seen_by_b = await here.start(b)
        assert a not in await until(seen_by_a, b)
        assert b not in await until(seen_by_b, a)

    tell(story)


def test_a_node_that_comes_later_is_told_of_those_before(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        a, b, late = here.found(7600), here.found(7601), here.found(7602)
        _, seen_by_a = await here.start(a)
        await here.start(b)
        await until(seen_by_a, b)
        _, seen_by_late = await here.start(late)
        assert {await seen_by_late.get(), await seen_by_late.get()} == {a, b}

    tell(story)


def test_another_mesh_is_not_told(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        stranger, a, b = here.found(7600, mesh="other"), here.found(7601), here.found(7602)
        _, seen_by_stranger = await here.start(stranger)
        _, seen_by_a = await here.start(a)
        await here.start(b)
        assert await until(seen_by_a, b) == []
        assert seen_by_stranger.empty()

    tell(story)


def test_a_node_that_moved_is_told_again(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        a, b = here.found(7600), here.found(7601)
        _, seen_by_a = await here.start(a)
        before, _ = await here.start(b)
        await until(seen_by_a, b)
        await before.stop()
        moved = here.found(7602, node=b.node)
        await here.start(moved)
        await until(seen_by_a, moved)

    tell(story)


def test_nothing_is_told_after_stop_and_stop_may_be_called_again(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        a, b, c = here.found(7600), here.found(7601), here.found(7602)
        gone, seen_by_a = await here.start(a)
        await gone.stop()
        await gone.stop()
        _, seen_by_b = await here.start(b)
        await here.start(c)
        await until(seen_by_b, c)
        assert seen_by_a.empty()

    tell(story)


def test_stop_before_anything_was_told(tell: Tell) -> None:
    async def story(here: Neighbourhood) -> None:
        discovery, _ = await here.start(here.found(7600))
        await discovery.stop()

    tell(story)


def test_mdns_remembers_a_stranger_for_the_doctor() -> None:
    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            here = Neighbourhood("mdns", stack)
            stranger = here.found(7600, mesh="other")
            await here.start(stranger)
            witness, seen = await here.start(here.found(7601))
            assert isinstance(witness, MdnsDiscovery)
            while stranger.node not in witness.strangers:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            assert witness.strangers[stranger.node] == stranger
            assert witness.ignored["another mesh"] >= 1
            assert seen.empty()

    asyncio.run(story())


def test_mdns_passes_over_a_malformed_record_and_counts_it() -> None:
    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            here = Neighbourhood("mdns", stack)
            witness, seen = await here.start(here.found(7600))
            assert isinstance(witness, MdnsDiscovery)
            await here.start(here.found(7601)._replace(version="not a version"))
            while not witness.ignored["malformed TXT record"]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            assert seen.empty()

    asyncio.run(story())


def test_mdns_keeps_no_more_records_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_mdns, "RECORDS_MAX", 1)

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            here = Neighbourhood("mdns", stack)
            witness, seen = await here.start(here.found(7600))
            assert isinstance(witness, MdnsDiscovery)
            await here.start(here.found(7601))
            await here.start(here.found(7602))
            while not witness.ignored["too many records"]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            told = {await seen.get()} | {seen.get_nowait() for _ in range(seen.qsize())}
            assert len(told) == 1

    asyncio.run(story())


def test_mdns_two_nodes_with_one_id_are_reported() -> None:
    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
            here = Neighbourhood("mdns", stack)
            original = here.found(7600)
            first, _ = await here.start(original)
            assert isinstance(first, MdnsDiscovery)
            await first.announced.wait()
            copy, _ = await here.start(here.found(7601, node=original.node))
            assert isinstance(copy, MdnsDiscovery)
            await copy.failed.wait()
            assert "copied data directory" in copy.problem

    asyncio.run(story())
