"""The Work streams that this node keeps as an owner: one to each worker, two while one takes over.

When credentials are renewed, a second stream is opened beside each. Once it is up, new work goes there;
the old one ends when nothing is owed on it any more, so that no attempt is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from nova_proto.v1 import mesh_pb2

from nova_node.adapters.channels import Channels
from nova_node.adapters.work_grpc import OwnerStream
from nova_node.core.effects import Assign, Connect, Revoke
from nova_node.core.errors import NovaError
from nova_node.core.members import MemberSignal, StreamBroken
from nova_node.core.model import Fence
from nova_node.core.signals import Heard, LinkDown, LinkUp, Resulted, Signal
from nova_node.ports import Post

log = logging.getLogger("nova.work")

LOOK_AGAIN_S = 0.25
TAKEOVER_RETRY_S = 1.0

_NONE: frozenset[Fence] = frozenset()

Owed = Callable[[str], frozenset[Fence]]
"""The attempts that a worker has and has not answered."""


class WorkLinks:
    def __init__(
        self,
        hello: mesh_pb2.Hello,
        channels: Channels,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._hello = hello
        self._channels = channels
        self._spawn = spawn
        self._streams: dict[str, OwnerStream] = {}
        self._addresses: dict[str, str] = {}
        #: those that were replaced, and what was owed on them then
        self._old: dict[OwnerStream, tuple[str, frozenset[Fence]]] = {}

    def attach(self, post: Post, post_member: Callable[[MemberSignal], None], owed: Owed) -> None:
        self._post = post
        self._post_member = post_member
        self._owed = owed

    # ------------------------------------------------------------ effects

    def connect(self, effect: Connect) -> None:
        node = effect.node
        before = self._streams.pop(node, None)
        if before is not None:
            before.close()
        self._end_old(node)
        stream = self._streams[node] = self._open(node)
        self._addresses[node] = effect.address
        self._spawn(self._keep(stream, node, effect.address))

    def disconnect(self, node: str) -> None:
        self.to(node, OwnerStream.close)

    def assign(self, effect: Assign) -> None:
        self.to(effect.node, lambda stream: stream.assign(effect.attempts))

    def revoke(self, effect: Revoke) -> None:
        """An old stream may hold the attempt; who does not know it passes it over."""
        for stream, (node, _) in self._old.items():
            if node == effect.node:
                stream.revoke(effect.fences)
        self.to(effect.node, lambda stream: stream.revoke(effect.fences))

    def to(self, node: str, say: Callable[[OwnerStream], None]) -> None:
        stream = self._streams.get(node)
        if stream is not None:
            say(stream)

    def renew(self) -> None:
        """To be called when channels have new credentials."""
        for node, stream in self._streams.items():
            self._spawn(self._take_over(node, stream))

    def stop(self) -> None:
        for stream in [*self._streams.values(), *self._old]:
            stream.close()

    # ------------------------------------------------------------ one stream

    def _open(self, node: str, before: OwnerStream | None = None) -> OwnerStream:
        """A stream; with `before`, one that takes over from that as soon as it is up."""

        def post(signal: Signal) -> None:
            current = self._streams.get(node)
            if current is stream or isinstance(signal, Resulted | Heard):
                self._post(signal)
            elif isinstance(signal, LinkUp) and before is not None and current is before:
                self._streams[node] = stream
                self._old[before] = (node, self._owed(node))
                self._spawn(self._drain(before))
            elif isinstance(signal, LinkUp):
                stream.close()

        stream = OwnerStream(node, self._hello, post)
        return stream

    async def _keep(self, stream: OwnerStream, node: str, address: str) -> None:
        try:
            mesh = self._channels.to(node, address).mesh
        except NovaError as error:
            if self._streams.get(node) is stream:
                self._post(LinkDown(node, error.message))
        else:
            await stream.run(mesh)
        if self._streams.get(node) is stream:
            del self._streams[node]
            self._end_old(node)
            self._channels.forget(node, address)
            self._post_member(StreamBroken(node))
        elif self._owed(node) & self._old.pop(stream, (node, _NONE))[1]:
            log.warning("the old stream to %s broke with work on it: it is given out again", node)
            self.disconnect(node)

    # ------------------------------------------------------------ one takes over

    async def _take_over(self, node: str, before: OwnerStream) -> None:
        """Until another stream stands for the peer, or this one has ended by itself."""
        while self._streams.get(node) is before:
            await self._keep(self._open(node, before), node, self._addresses[node])
            await asyncio.sleep(TAKEOVER_RETRY_S)

    async def _drain(self, stream: OwnerStream) -> None:
        """End a replaced stream when nothing of what was owed on it is owed any more."""
        while stream in self._old:
            node, owed = self._old[stream]
            if not owed & self._owed(node):
                del self._old[stream]
                stream.close()
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    def _end_old(self, node: str) -> None:
        for stream in [old for old, (of, _) in self._old.items() if of == node]:
            del self._old[stream]
            stream.close()
