"""What a node has that belongs to a mesh with identity: who it is, the authority if it made the mesh,
and what follows from both. Loaded by such nodes only.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
from nova_proto.identity.certificates import key_from_pem
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import NODE_ROLE
from nova_proto.v1 import identity_pb2

from nova_node.adapters.grpc_settings import from_rpc
from nova_node.audit.heads import Head, Heads, member_of, sign
from nova_node.audit.log import AuditLog
from nova_node.audit.telling import Telling
from nova_node.config import IdentityConfig
from nova_node.core.errors import Refused
from nova_node.core.model import Member
from nova_node.core.policy import CapabilityRule, Labels, Uses
from nova_node.identity.authority import Authority
from nova_node.identity.live import Identity, refused
from nova_node.identity.mandates import Mandates
from nova_node.identity.upkeep import Upkeep, renew_here
from nova_node.server.audited import Audited
from nova_node.server.entrance import Entrance, entrance_of
from nova_node.server.identity import IdentityService
from nova_node.server.join import JoinServer
from nova_node.server.start import Server

log = logging.getLogger("nova.identity")

PUT_HEAD_TIMEOUT_S = 3.0


class Belonging:
    """Raises Refused when the identity in the folder is not that of this node, or cannot be used."""

    def __init__(self, config: IdentityConfig, node: str, data_dir: Path) -> None:
        self._config = config
        self.authority: Authority | None = None
        try:
            self.identity = Identity(config.folder)
            if config.authority.is_dir():
                self.authority = Authority.open(config.authority, node_s=config.node_certificate_s)
            # also one that lasts longer than certificates are to last by now
            old = self.identity.expired or self.identity.life_s > config.node_certificate_s
            if self.authority is not None and old:
                self.identity.enrolled(renew_here(self.identity.credentials, self.authority))
        except IdentityError as error:
            raise refused(error) from None
        name = self.identity.name
        if (name.role, name.id) != (NODE_ROLE, node):
            raise Refused(
                f"the identity in {config.folder} is of {name.short}, and this is node {node}",
                f"delete {config.folder}, then `nova-node join` with a new token",
            )
        self._heads = Heads(
            data_dir, member_of(self.identity.mesh, lambda: self.identity.trust.roots)
        )
        if self.identity.expired:
            log.warning(
                "the certificate of this node has expired; the node that made the mesh is asked for"
                " a new one, and until it answers nobody is reached"
            )

    def mandates(self, rules: Sequence[CapabilityRule], labels: Labels, uses: Uses) -> Mandates:
        """What judges signed submits by what this node runs for whom, and what that may ask for."""
        me, trust = self.identity.name.id, self.identity.trust
        made = Mandates(me, trust, rules, labels, time.time, uses)
        self.identity.on_change(lambda: made.trust(self.identity.trust))
        return made

    def entrance(self) -> Entrance:
        return entrance_of(self.identity)

    def service(self, audited: Audited) -> IdentityService:
        return IdentityService(self.identity, self.authority, self._heads, audited)

    def tell_heads(
        self,
        server: Server,
        audit: AuditLog,
        members: Callable[[], Sequence[Member]],
        spawn: Callable[[Any], None],
        rng: random.Random,
    ) -> None:
        """Peers learn how far the audit log of this node has come."""

        def sign_own(head: Head) -> Head:
            own = self.identity.credentials
            return sign(head, key_from_pem(own.key_pem), own.chain)

        async def put(member: Member, head: identity_pb2.AuditHead) -> None:
            try:
                stubs = server.peers.stubs(member.address, member.node)
                await stubs.identity.PutHead(head, timeout=PUT_HEAD_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                raise from_rpc(error, f"node {member.node}") from None

        node = self.identity.name.id
        spawn(Telling(node, audit, self._heads, sign_own, members, put, rng).run())

    async def let_others_join(self, stack: AsyncExitStack, audited: Audited) -> int:
        """The port where they do; 0 when another node holds the authority. Raises InUse."""
        if self.authority is None:
            return 0
        server = JoinServer(self._config.join_listen, self.identity, self.authority, audited)
        stack.push_async_callback(server.stop)
        await server.start()
        return server.port

    def keep_up(
        self,
        server: Server,
        members: Callable[[], Sequence[Member]],
        doors: Callable[[], Sequence[str]],
        spawn: Callable[[Any], None],
        rng: random.Random,
    ) -> None:
        Upkeep(self.identity, self.authority, server.peers, members, doors, spawn, rng).start()
        self.identity.on_change(server.sweep)
