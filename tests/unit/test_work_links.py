"""One stream of work takes over from another, and no attempt is lost on the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import grpc.aio
import pytest
from nova_proto.v1 import mesh_pb2, mesh_pb2_grpc

from nova_node.adapters import work_links
from nova_node.adapters.channels import Channels
from nova_node.adapters.wire_work import credit_to_pb
from nova_node.adapters.work_grpc import OwnerStream
from nova_node.adapters.work_links import WorkLinks
from nova_node.core.effects import Assign, Connect, Revoke
from nova_node.core.errors import Refused
from nova_node.core.members import StreamBroken
from nova_node.core.model import Attempt, Call, Credit, Demand, Fence, Phase
from nova_node.core.signals import Granted, LinkDown, LinkUp, Resulted

PEER, ADDRESS = "b" * 16, "127.0.0.1:7601"
ONE, TWO = Fence(1, 1), Fence(2, 1)
CREDIT = Credit(1, 2, 3, 4)


class Line:
    """The owner's end of a stream, as gRPC gives it."""

    def __init__(self) -> None:
        self.sent: list[mesh_pb2.WorkRequest] = []
        self.cancelled = False
        self._said: asyncio.Queue[Any] = asyncio.Queue()

    async def write(self, message: mesh_pb2.WorkRequest) -> None:
        self.sent.append(message)

    async def read(self) -> Any:
        said = await self._said.get()
        if isinstance(said, BaseException):
            raise said
        return said

    def cancel(self) -> None:
        if not self.cancelled:
            self.cancelled = True
            self._said.put_nowait(asyncio.CancelledError())

    def say(self, *returned: Fence, credit: bool = False) -> None:
        reply = mesh_pb2.WorkReply()
        for fence in returned:
            reply.returned.add(no=fence.no, attempt=fence.attempt)
        if credit:
            credit_to_pb(CREDIT, reply.credit)
        self._said.put_nowait(reply)

    def breaks(self) -> None:
        self._said.put_nowait(asyncio.InvalidStateError())

    @property
    def assigned(self) -> list[int]:
        return [call.no for m in self.sent for group in m.assignments for call in group.calls]

    @property
    def revoked(self) -> list[int]:
        return [fence.no for message in self.sent for fence in message.cancels]


class Peer:
    """In the place of Channels, and of the engine."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.refuses = False
        self.owed: set[Fence] = set()
        self.told: list[Any] = []
        self.forgotten = 0
        self._tasks: set[asyncio.Task[None]] = set()
        hello = mesh_pb2.Hello(owner="a" * 16)
        self.links = WorkLinks(hello, cast("Channels", self), self._spawn)
        self.links.attach(self.told.append, self.told.append, lambda _: frozenset(self.owed))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def to(self, node: str, address: str) -> Any:
        if self.refuses:
            raise Refused("not now")
        return SimpleNamespace(mesh=SimpleNamespace(Work=self._open))

    def _open(self) -> Line:
        self.lines.append(Line())
        return self.lines[-1]

    def forget(self, node: str, address: str) -> None:
        self.forgotten += 1

    def assign(self, fence: Fence) -> None:
        self.owed.add(fence)
        attempt = Attempt(fence.no, fence.attempt, Demand("a.run"), Phase.RUN, Call(b"{}"))
        self.links.assign(Assign(PEER, [attempt]))

    async def until(self, true: Callable[[], Any]) -> None:
        while not true():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)

    async def up(self) -> Line:
        """Connected, with one attempt on its way."""
        self.links.connect(Connect(PEER, ADDRESS))
        await self.until(lambda: self.lines)
        self.lines[0].say(credit=True)
        await self.until(lambda: LinkUp(PEER) in self.told)
        self.assign(ONE)
        await self.until(lambda: self.lines[0].assigned == [1])
        self.told.clear()
        return self.lines[0]

    async def renewed(self) -> Line:
        """The second stream is up."""
        self.links.renew()
        await self.until(lambda: len(self.lines) == 2)
        self.lines[1].say(credit=True)
        await self.until(lambda: Granted(PEER, CREDIT) in self.told)
        return self.lines[1]

    async def end(self) -> None:
        self.links.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Story = Callable[[Peer], Awaitable[None]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    monkeypatch.setattr(work_links, "LOOK_AGAIN_S", 0.001)
    monkeypatch.setattr(work_links, "TAKEOVER_RETRY_S", 0.001)

    async def run(story: Story) -> None:
        peer = Peer()
        try:
            async with asyncio.timeout(10.0):
                await story(peer)
        finally:
            await peer.end()

    return lambda story: asyncio.run(run(story))


def test_new_work_goes_to_the_new_stream_and_the_old_one_ends_when_it_owes_nothing(
    tell: Callable[[Story], None],
) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        new = await peer.renewed()
        assert not old.cancelled
        peer.assign(TWO)
        await peer.until(lambda: new.assigned == [2])
        assert old.assigned == [1]
        old.say(ONE)
        await peer.until(lambda: Resulted(PEER, (), (ONE,)) in peer.told)
        assert not old.cancelled
        peer.owed.discard(ONE)
        await peer.until(lambda: old.cancelled)
        assert not new.cancelled
        assert not [told for told in peer.told if isinstance(told, LinkDown | StreamBroken)]

    tell(story)


def test_the_room_is_told_by_the_new_stream_only(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        await peer.renewed()
        peer.told.clear()
        old.say(ONE, credit=True)
        await peer.until(lambda: peer.told)
        assert peer.told == [Resulted(PEER, (), (ONE,))]

    tell(story)


def test_a_new_stream_that_does_not_open_changes_nothing(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        peer.refuses = True
        peer.links.renew()
        await asyncio.sleep(0.01)
        peer.refuses = False
        await peer.until(lambda: len(peer.lines) == 2)
        peer.lines[1].breaks()
        await peer.until(lambda: len(peer.lines) == 3)
        assert (peer.told, old.cancelled) == ([], False)
        peer.lines[2].say(credit=True)
        await peer.until(lambda: Granted(PEER, CREDIT) in peer.told)
        peer.assign(TWO)
        await peer.until(lambda: peer.lines[2].assigned == [2])

    tell(story)


def test_an_attempt_is_revoked_wherever_it_may_be(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        new = await peer.renewed()
        peer.links.revoke(Revoke(PEER, [ONE]))
        await peer.until(lambda: old.revoked == [1] and new.revoked == [1])

    tell(story)


def test_an_old_stream_that_breaks_with_work_on_it_takes_the_link_down(
    tell: Callable[[Story], None],
) -> None:
    """What was on it is given out again; late results are fenced."""

    async def story(peer: Peer) -> None:
        old = await peer.up()
        new = await peer.renewed()
        old.breaks()
        await peer.until(lambda: StreamBroken(PEER) in peer.told)
        assert new.cancelled
        assert [t.node for t in peer.told if isinstance(t, LinkDown)] == [PEER]

    tell(story)


def test_an_old_stream_that_owes_nothing_may_break(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        peer.owed.clear()
        new = await peer.renewed()
        old.breaks()
        await peer.until(lambda: old.cancelled)
        peer.assign(TWO)
        await peer.until(lambda: new.assigned == [2])
        assert not [told for told in peer.told if isinstance(told, LinkDown)]

    tell(story)


def test_the_link_goes_down_with_both_streams(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        old = await peer.up()
        new = await peer.renewed()
        new.breaks()
        await peer.until(lambda: StreamBroken(PEER) in peer.told)
        assert old.cancelled
        assert [t.node for t in peer.told if isinstance(t, LinkDown)] == [PEER]
        assert peer.forgotten == 1

    tell(story)


def test_renewed_twice_at_once_one_stream_stays(tell: Callable[[Story], None]) -> None:
    async def story(peer: Peer) -> None:
        await peer.up()
        peer.links.renew()
        peer.links.renew()
        await peer.until(lambda: len(peer.lines) == 3)
        peer.lines[1].say(credit=True)
        peer.lines[2].say(credit=True)
        await peer.until(lambda: peer.lines[1].cancelled or peer.lines[2].cancelled)
        peer.assign(TWO)
        await peer.until(lambda: [2] in (peer.lines[1].assigned, peer.lines[2].assigned))
        assert [line.cancelled for line in peer.lines].count(True) == 1

    tell(story)


def test_a_stream_to_who_never_speaks_can_be_given_up():
    async def run() -> None:
        told: list[Any] = []
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            async with grpc.aio.insecure_channel(address) as channel:
                stream = OwnerStream(PEER, mesh_pb2.Hello(owner="a" * 16), told.append)
                running = asyncio.create_task(stream.run(mesh_pb2_grpc.MeshStub(channel)))
                accepted, _ = await asyncio.to_thread(silent.accept)
                stream.close()
                with accepted:
                    ended, _ = await asyncio.wait([running], timeout=5)
                assert ended
        assert told == [LinkDown(PEER, "closed")]

    asyncio.run(run())
