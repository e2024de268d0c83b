"""How this node's calls show who makes them, and see who answers.

Without identity: by the key of this machine's user, shown only to nodes that this user runs, since
anybody may listen on loopback. With identity see `nova_node.identity.access`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import grpc.aio
from nova_proto import local_key

from nova_node.adapters.grpc_settings import CLIENT_OPTIONS
from nova_node.adapters.local_nodes import key_for
from nova_node.core.errors import Unavailable


class Opened(NamedTuple):
    """A channel, and what takes its place where stubs are made."""

    channel: grpc.aio.Channel
    calls: Any


class Access(Protocol):
    @property
    def pins(self) -> bool:
        """Whether a channel is for one node, or for whoever is at its address."""
        ...

    def open(self, address: str, node: str) -> Opened:
        """A channel to a node at HOST:PORT. Raises Refused, or Unavailable when it is seen at once
        that none runs there."""
        ...

    async def node_at(self, address: str) -> str:
        """Whose address it is; "" where it does not matter. Raises Unavailable or Refused."""
        ...


class OpenAccess:
    """Plaintext. For tests on other than loopback addresses."""

    pins = False

    def open(self, address: str, node: str) -> Opened:
        channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS)
        return Opened(channel, channel)

    async def node_at(self, address: str) -> str:
        return ""


class LocalAccess:
    """`folder` is where this user's nodes say that they run."""

    pins = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, address: str, node: str) -> Opened:
        key = key_for(address, self._folder, node)
        if not key:
            raise Unavailable(
                f"no node of this user runs at {address}",
                "without identity only nodes of one user on one machine form a mesh;"
                " make one for more: nova-node init",
            )
        channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS)
        return Opened(channel, local_key.Keyed(channel, key))

    async def node_at(self, address: str) -> str:
        return ""
