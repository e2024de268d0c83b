"""Service Identity: what members ask of each other about who they are and whom they trust."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import NODE_ROLE
from nova_proto.v1 import identity_pb2
from nova_proto.v1.identity_pb2_grpc import IdentityServicer

from nova_node.adapters.grpc_settings import abort
from nova_node.core.errors import NovaError, Refused
from nova_node.identity.authority import Authority
from nova_node.identity.live import Identity, refused
from nova_node.server.audited import UNAUDITED, Audited
from nova_node.server.caller import caller

log = logging.getLogger("nova.identity")


class Heads(Protocol):
    """Where it is kept how far the audit logs of peers have come."""

    def put_head(self, pb: identity_pb2.AuditHead) -> None:
        """Raises NovaError."""
        ...


class IdentityService(IdentityServicer):
    """`authority` None: another node holds it; `audit` None: heads are not kept here."""

    def __init__(
        self,
        identity: Identity,
        authority: Authority | None,
        audit: Heads | None,
        audited: Audited = UNAUDITED,
    ) -> None:
        self._identity = identity
        self._authority = authority
        self._audit = audit
        self._audited = audited

    async def Renew(
        self, request: identity_pb2.RenewRequest, context: Any
    ) -> identity_pb2.EnrollReply:
        name = caller(context)
        assert name is not None
        try:
            if self._authority is None:
                raise Refused(
                    "this node does not hold the mesh's authority",
                    f"ask node {self._identity.trust.authority}",
                )
            chain = await asyncio.to_thread(self._authority.renew, request.request, name)
            self._audited.note(context, "renew", name.short)
            return await asyncio.to_thread(entry, self._authority, chain, name.role)
        except IdentityError as error:
            await abort(context, refused(error))
        except NovaError as error:
            await abort(context, error)

    async def GetTrust(
        self, request: identity_pb2.GetTrustRequest, context: Any
    ) -> identity_pb2.SignedTrust:
        return self._identity.signed_trust

    async def PutTrust(
        self, request: identity_pb2.SignedTrust, context: Any
    ) -> identity_pb2.PutTrustReply:
        try:
            self._identity.take_trust(request)
        except IdentityError as error:
            log.warning("%s sent a trust document: %s", caller(context), error.message)
            await abort(context, refused(error))
        return identity_pb2.PutTrustReply(version=self._identity.trust.version)

    async def PutHead(
        self, request: identity_pb2.AuditHead, context: Any
    ) -> identity_pb2.PutHeadReply:
        try:
            if self._audit is not None:
                await asyncio.to_thread(self._audit.put_head, request)
        except NovaError as error:
            await abort(context, error)
        return identity_pb2.PutHeadReply()


def entry(authority: Authority, chain: tuple[bytes, ...], role: str) -> identity_pb2.EnrollReply:
    """What a member gets: its certificate, what it is to trust, and for nodes the data keys. Blocks.

    Raises NovaError."""
    reply = identity_pb2.EnrollReply(chain=chain, trust=authority.signed_trust())
    if role == NODE_ROLE:
        reply.keys.extend(authority.data_keys())
    return reply
