"""Service Join, on a listener that offers nothing else: how strangers become members.

Callers have no certificate. What they may learn is public; what they may get needs a token, or the
key of a node whose certificate ran out while it was away.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from nova_proto.identity.certificates import read_leaf
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import NODE_ROLE
from nova_proto.v1 import identity_pb2, identity_pb2_grpc

from nova_node.adapters.grpc_settings import SERVER_OPTIONS, abort
from nova_node.address import Address
from nova_node.core.errors import InUse, Invalid, NovaError, Overloaded
from nova_node.core.policy import METHODS, Right
from nova_node.identity.authority import Authority
from nova_node.identity.live import Identity, refused
from nova_node.server.audited import UNAUDITED, Audited, AuditedGate
from nova_node.server.gate import Shown
from nova_node.server.guard import Guarded
from nova_node.server.identity import entry
from nova_node.server.rates import Rates

GRACE_S = 0.2
MESSAGE_MAX_BYTES = 64 << 10
CONNECTION_MAX_S = 30.0
CALLS_A_SECOND = 20.0
BURST = 100.0
"""Of all strangers together: a mesh grows by tokens that people make."""

OPTIONS: list[tuple[str, Any]] = [
    *(pair for pair in SERVER_OPTIONS if not pair[0].startswith("grpc.max_")),
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.max_connection_age_ms", int(CONNECTION_MAX_S * 1e3)),
    ("grpc.max_connection_age_grace_ms", int(CONNECTION_MAX_S * 1e3)),
]

log = logging.getLogger("nova.identity")


class _Door:
    """Anybody may knock, all together not too often."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._rates = Rates(clock, CALLS_A_SECOND, BURST)

    def enter(self, method: str, context: Any) -> Shown:
        if METHODS.get(method) is not Right.JOIN:
            raise Invalid(f"{method} is not for strangers", "join the mesh first")
        if not self._rates.take("strangers"):
            raise Overloaded("too many ask to join at once", "try again in a few seconds")
        return Shown(method)

    def check(self, shown: Shown) -> None:
        pass


class JoinService(identity_pb2_grpc.JoinServicer):
    def __init__(self, authority: Authority, audited: Audited = UNAUDITED) -> None:
        self._authority = authority
        self._audited = audited

    async def Roots(
        self, request: identity_pb2.RootsRequest, context: Any
    ) -> identity_pb2.SignedTrust:
        try:
            return await asyncio.to_thread(self._authority.signed_trust)
        except NovaError as error:
            await abort(context, error)

    async def Enroll(
        self, request: identity_pb2.EnrollRequest, context: Any
    ) -> identity_pb2.EnrollReply:
        try:
            reply = await asyncio.to_thread(self._enroll, request)
        except IdentityError as error:
            log.warning("%s was not let in: %s", context.peer(), error.message)
            self._audited.refused(context, "/nova.v1.Join/Enroll", refused(error))
            await abort(context, refused(error))
        except NovaError as error:
            await abort(context, error)
        self._audited.joined(context, read_leaf(reply.chain[0]).name.short)
        log.info("%s joined, from %s", request.node or "a person", context.peer())
        return reply

    def _enroll(self, request: identity_pb2.EnrollRequest) -> identity_pb2.EnrollReply:
        chain = self._authority.enroll(request.token, request.request, request.node)
        return entry(self._authority, chain, NODE_ROLE if request.node else "")


class JoinServer:
    """`port` is known after `start`."""

    def __init__(
        self,
        listen: Address,
        identity: Identity,
        authority: Authority,
        audited: Audited = UNAUDITED,
    ) -> None:
        self.port = 0
        self._listen = listen
        self._credentials = identity.join_credentials()
        self._server = grpc.aio.server(options=OPTIONS)
        guarded = Guarded(self._server, AuditedGate(_Door(time.monotonic), audited))
        identity_pb2_grpc.add_JoinServicer_to_server(JoinService(authority, audited), guarded)

    async def start(self) -> None:
        """Raises InUse."""
        try:
            self.port = self._server.add_secure_port(str(self._listen), self._credentials)
        except RuntimeError:
            raise InUse(
                f"cannot listen on {self._listen} for those who join: another program does",
                "name another port: nova-node start --set join_listen=0.0.0.0:7602",
            ) from None
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(GRACE_S)
