"""Calls to members of the mesh: mutual TLS, each channel pinned to the one node it is for."""

from __future__ import annotations

import asyncio

import grpc.aio
from nova_proto.identity import tls
from nova_proto.identity.errors import IdentityError

from nova_node.adapters.access import Opened
from nova_node.adapters.grpc_settings import CLIENT_OPTIONS
from nova_node.address import parse_address
from nova_node.core.errors import Refused, Unavailable
from nova_node.identity.live import Identity, refused

NODE_AT_TIMEOUT_S = 3.0


class MemberAccess:
    pins = True

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def open(self, address: str, node: str) -> Opened:
        identity = self._identity
        if not node:
            raise Refused(f"no node is known at {address}", "it is asked who it is first")
        if identity.is_revoked(node):
            raise Refused(f"node {node} was revoked", "see `nova-node members`", "identity_revoked")
        options = [*CLIENT_OPTIONS, *tls.pin(identity.mesh, node)]
        channel = grpc.aio.secure_channel(address, identity.channel_credentials, options=options)
        return Opened(channel, channel)

    async def node_at(self, address: str) -> str:
        host, port = parse_address(address)
        credentials = self._identity.credentials
        try:
            return await asyncio.to_thread(tls.node_at, host, port, credentials, NODE_AT_TIMEOUT_S)
        except IdentityError as error:
            if error.code == "unavailable":
                raise Unavailable(error.message, error.fix) from None
            raise refused(error) from None
