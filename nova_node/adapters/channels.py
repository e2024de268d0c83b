"""The channels of a node, one to each peer at each of its addresses, and the stubs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any

from nova_proto.v1.blobs_pb2_grpc import BlobsStub
from nova_proto.v1.identity_pb2_grpc import IdentityStub
from nova_proto.v1.mesh_pb2_grpc import MeshStub
from nova_proto.v1.metrics_pb2_grpc import MetricsStub
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub

from nova_node.adapters.access import Access, Opened

CHANNELS_MAX = 512
RETIRED_S = 86_400.0
"""How long a replaced channel waits for the calls on it. They end sooner: most have a deadline,
streams of work move to the new channel, and the peer ends whatever outlives the old certificate."""


class Stubs:
    """Made when they are asked for: most channels are for probes alone."""

    def __init__(self, opened: Opened) -> None:
        self.channel = opened.channel
        self._calls = opened.calls

    @cached_property
    def mesh(self) -> Any:
        return MeshStub(self._calls)

    @cached_property
    def tasks(self) -> Any:
        return TasksStub(self._calls)

    @cached_property
    def nodes(self) -> Any:
        return NodesStub(self._calls)

    @cached_property
    def blobs(self) -> Any:
        return BlobsStub(self._calls)

    @cached_property
    def identity(self) -> Any:
        return IdentityStub(self._calls)

    @cached_property
    def metrics(self) -> Any:
        return MetricsStub(self._calls)


class Channels:
    """Bounded: beyond CHANNELS_MAX the oldest is closed. `spawn` runs what ends by itself."""

    def __init__(self, access: Access, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._access = access
        self._spawn = spawn
        self._stubs: dict[tuple[str, str], Stubs] = {}

    def to(self, node: str, address: str) -> Stubs:
        """Raises Refused and Unavailable."""
        key = self._key(node, address)
        stubs = self._stubs.get(key)
        if stubs is None:
            opened = self._access.open(address, node)
            if len(self._stubs) >= CHANNELS_MAX:
                self._close(next(iter(self._stubs)), None)
            stubs = self._stubs[key] = Stubs(opened)
        return stubs

    def forget(self, node: str, address: str) -> None:
        """The next call makes a new channel: whoever listens there is looked at again."""
        key = self._key(node, address)
        if key in self._stubs:
            self._close(key, RETIRED_S)

    def renew(self) -> None:
        """New credentials: whatever comes next goes over new channels."""
        for key in list(self._stubs):
            self._close(key, RETIRED_S)

    def cut(self, node: str) -> None:
        """At once, with all calls on them."""
        for key in [key for key in self._stubs if key[0] == node]:
            self._close(key, None)

    async def stop(self) -> None:
        stubs, self._stubs = self._stubs, {}
        for each in stubs.values():
            await each.channel.close()

    def _key(self, node: str, address: str) -> tuple[str, str]:
        return (node if self._access.pins else "", address)

    def _close(self, key: tuple[str, str], grace_s: float | None) -> None:
        self._spawn(_close(self._stubs.pop(key), grace_s))


async def _close(stubs: Stubs, grace_s: float | None) -> None:
    try:
        await stubs.channel.close(grace_s)
    except asyncio.CancelledError:
        await stubs.channel.close()
        raise
