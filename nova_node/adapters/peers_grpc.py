"""Port Peers over grpc.aio: Work streams between owners and workers, unary calls for membership.

Messages leave in adaptive batches: whatever has piled up while the last write was under way goes into
the next one, with no timer in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
from nova_proto.v1 import blobs_pb2, mesh_pb2

from nova_node.adapters.access import Access
from nova_node.adapters.channels import Channels, Stubs
from nova_node.adapters.grpc_settings import from_rpc
from nova_node.adapters.wire_members import card_from_pb, members_from_pb, members_to_pb
from nova_node.adapters.work_grpc import WorkerStream
from nova_node.adapters.work_links import Owed, WorkLinks
from nova_node.core.effects import (
    Assign,
    Connect,
    Disconnect,
    Effect,
    FetchCard,
    Grant,
    Recall,
    Relay,
    Release,
    Report,
    Revoke,
)
from nova_node.core.errors import NotFound, NovaError, Unavailable
from nova_node.core.members import (
    AnswerProbe,
    AnswerSync,
    Fault,
    MemberEffect,
    MemberSignal,
    ProbeAnswered,
    ProbeFailed,
    Refuse,
    SendProbe,
    SendProbeVia,
    SendSync,
    StreamBroken,
    SyncAnswered,
    SyncFailed,
)
from nova_node.core.model import Member
from nova_node.core.signals import (
    CardFetched,
)
from nova_node.ports import Fetched, Post

log = logging.getLogger("nova.peers")

CARD_TIMEOUT_S = 15.0
FETCH_TIMEOUT_S = 60.0
NODES_AT_MAX = 1_024

_NOBODY_OR_ANOTHER = ("refused", "Hostname Verification Check failed")
"""In gRPC's words: nothing listens there, or the certificate is of another node."""


class PeersGrpc:
    def __init__(self, me: str, mesh: str, incarnation: int, access: Access) -> None:
        self.owners: dict[int, WorkerStream] = {}
        self._me = me
        self._mesh = mesh
        self._access = access
        self._channels = Channels(access, self._spawn)
        hello = mesh_pb2.Hello(owner=me, incarnation=incarnation, protocol=1, mesh=mesh)
        self._links = WorkLinks(hello, self._channels, self._spawn)
        self._addresses: dict[str, str] = {}
        #: who was last seen at an address
        self._nodes_at: dict[str, str] = {}
        #: whose card is on its way
        self._fetching_cards: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._table = self._make_table()

    def _make_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            Assign: self._links.assign,
            Recall: lambda e: self._links.to(e.node, lambda s: s.recall(e.at_most)),
            Revoke: self._links.revoke,
            Release: lambda e: self._links.to(e.node, lambda s: s.release(e.blob_ids)),
            Report: self._report,
            Relay: lambda e: self._to_owner(e.link, lambda s: s.relay(e.said)),
            Grant: lambda e: self._to_owner(e.link, lambda s: s.grant(e.credit)),
            Connect: self._links.connect,
            Disconnect: lambda e: self._links.disconnect(e.node),
            FetchCard: lambda e: self._spawn(self._fetch_card(e)),
            SendProbe: lambda e: self._spawn(self._probe(e)),
            SendProbeVia: lambda e: self._spawn(self._probe_via(e)),
            SendSync: lambda e: self._spawn(self._sync(e)),
            AnswerProbe: lambda e: e.token(e.gossip),
            AnswerSync: lambda e: e.token(e.members),
            Refuse: lambda e: e.token(e.failure),
        }

    def attach(self, post: Post, post_member: Callable[[MemberSignal], None], owed: Owed) -> None:
        """Where signals go, and what workers owe. To be called before anything else."""
        self._post = post
        self._post_member = post_member
        self._links.attach(post, post_member, owed)

    def perform(self, effect: Effect | MemberEffect) -> None:
        self._table[type(effect)](effect)

    def stubs(self, address: str, node: str = "") -> Stubs:
        """Stubs on the one channel to this node. Raises Refused and Unavailable."""
        return self._channels.to(node or self._nodes_at.get(address, ""), address)

    def know(self, member: Member) -> None:
        """Where to find a peer by its id."""
        self._addresses[member.node] = member.address
        self._note(member.address, member.node)

    def renew(self) -> None:
        """This node has new credentials, or trusts others."""
        self._channels.renew()
        self._links.renew()

    def cut(self, node: str) -> None:
        """A peer is no member any more: nothing more goes there, and membership looks at once."""
        self._links.disconnect(node)
        self._channels.cut(node)
        self._post_member(StreamBroken(node))

    async def stop(self) -> None:
        self._links.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channels.stop()

    def _note(self, address: str, node: str) -> None:
        if len(self._nodes_at) >= NODES_AT_MAX and address not in self._nodes_at:
            self._nodes_at.clear()
        self._nodes_at[address] = node

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------ work

    def _report(self, effect: Report) -> None:
        stream = self.owners.get(effect.link)
        if stream is not None:
            stream.report(effect.outcomes, effect.returned, effect.cuts)

    def _to_owner(self, link: int, say: Callable[[WorkerStream], None]) -> None:
        stream = self.owners.get(link)
        if stream is not None:
            say(stream)

    async def _fetch_card(self, effect: FetchCard) -> None:
        """One at a time of each peer, else a slow link would carry nothing but cards."""
        if effect.node in self._fetching_cards:
            return
        self._fetching_cards.add(effect.node)
        try:
            stubs = self.stubs(effect.address, effect.node)
            card = await stubs.mesh.GetCard(mesh_pb2.CardRequest(), timeout=CARD_TIMEOUT_S)
            self._post(CardFetched(card_from_pb(card)))
        except (grpc.aio.AioRpcError, NovaError) as error:
            log.debug("no card from %s: %s", effect.node, error)
        finally:
            self._fetching_cards.discard(effect.node)

    # ------------------------------------------------------------ membership

    async def _probe(self, effect: SendProbe) -> None:
        request = mesh_pb2.ProbeRequest(mesh=self._mesh, sender=self._me, target=effect.node)
        members_to_pb(effect.gossip, request.gossip)
        where = (effect.node, effect.address)
        try:
            began = time.monotonic()
            reply = await self._channels.to(*where).mesh.Probe(request, timeout=effect.timeout_s)
            self._probed(effect.key, reply, began)
        except (grpc.aio.AioRpcError, NovaError) as error:
            self._failed(error, where)
            self._post_member(ProbeFailed(effect.key, _fault(error, relayed=False)))

    async def _probe_via(self, effect: SendProbeVia) -> None:
        request = mesh_pb2.ProbeViaRequest(
            address=effect.target_address, timeout_ms=int(effect.timeout_s * 1000)
        )
        request.probe.mesh, request.probe.sender = self._mesh, self._me
        request.probe.target = effect.target
        members_to_pb(effect.gossip, request.probe.gossip)
        where = (effect.via_node, effect.via_address)
        try:
            began = time.monotonic()
            reply = await self._channels.to(*where).mesh.ProbeVia(request, timeout=effect.timeout_s)
            self._probed(effect.key, reply, began)
        except (grpc.aio.AioRpcError, NovaError) as error:
            self._failed(error, where)
            self._post_member(ProbeFailed(effect.key, _fault(error, relayed=True)))

    def _probed(self, key: int, reply: mesh_pb2.ProbeReply, began: float) -> None:
        """Raises Invalid."""
        gossip = tuple(members_from_pb(reply.gossip))
        self._post_member(ProbeAnswered(key, gossip, time.monotonic() - began))

    async def _sync(self, effect: SendSync) -> None:
        request = mesh_pb2.SyncRequest(mesh=self._mesh)
        members_to_pb(effect.members, request.members)
        request.sender.CopyFrom(request.members[0])
        where = (effect.node, effect.address)
        try:
            if not effect.node:
                where = (await self._access.node_at(effect.address), effect.address)
            reply = await self._channels.to(*where).mesh.Sync(request, timeout=effect.timeout_s)
            self._post_member(SyncAnswered(effect.key, tuple(members_from_pb(reply.members))))
        except (grpc.aio.AioRpcError, NovaError) as raised:
            self._failed(raised, where)
            error = _said(raised, effect.address)
            self._post_member(SyncFailed(effect.key, error.code, error.message))

    def _failed(self, error: Exception, where: tuple[str, str]) -> None:
        """Another process may listen there next time."""
        if isinstance(error, grpc.aio.AioRpcError) and _is_unavailable(error):
            self._channels.forget(*where)

    # ------------------------------------------------------------ blobs

    async def fetch(
        self, holder: str, blob_id: str, offset: int, size_bytes: int
    ) -> AsyncIterator[Fetched]:
        """Port BlobSource."""
        address = self._addresses.get(holder)
        if address is None:
            raise NotFound(f"node {holder}, which holds blob {blob_id[:12]}, is not known here")
        request = blobs_pb2.GetBlobRequest(id=blob_id, offset=offset, size_bytes=size_bytes)
        call = self.stubs(address, holder).blobs.Get(request, timeout=FETCH_TIMEOUT_S)
        first = blobs_pb2.GetBlobReply()
        try:
            async for reply in call:
                if reply.digests:
                    first = reply
                if reply.data:
                    whole, digests = first.size_bytes, first.digests
                    yield Fetched(whole, digests, reply.chunk, reply.data, first.sensitive)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, f"blob {blob_id[:12]} from {holder}") from None
        finally:
            call.cancel()


def _said(error: grpc.aio.AioRpcError | NovaError, what: str) -> NovaError:
    return error if isinstance(error, NovaError) else from_rpc(error, what)


def _fault(error: grpc.aio.AioRpcError | NovaError, relayed: bool) -> Fault:
    said = _said(error, "probe")
    if said.code in (Fault.GONE, Fault.UNREACHED):
        return Fault(said.code)
    if isinstance(error, grpc.aio.AioRpcError):
        details = error.details() or ""
        gone = any(sign in details for sign in _NOBODY_OR_ANOTHER)
    else:  # seen here, without asking
        gone = isinstance(error, Unavailable) or error.code == "identity_revoked"
    return Fault.GONE if gone and not relayed else Fault.SILENT


def _is_unavailable(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.UNAVAILABLE
