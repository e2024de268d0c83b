"""Port Peers over grpc.aio: one Work stream per pair of owner and worker, unary calls for membership.

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
from nova_proto.v1.blobs_pb2_grpc import BlobsStub
from nova_proto.v1.mesh_pb2_grpc import MeshStub
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub

from nova_node.adapters.grpc_settings import from_rpc, open_channel
from nova_node.adapters.wire_members import card_from_pb, members_from_pb, members_to_pb
from nova_node.adapters.work_grpc import OwnerStream, WorkerStream
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
from nova_node.core.errors import NotFound, NovaError
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
from nova_node.ports import Post

log = logging.getLogger("nova.peers")

CARD_TIMEOUT_S = 5.0
FETCH_TIMEOUT_S = 60.0
CHANNELS_MAX = 512


class Stubs:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.mesh: Any = MeshStub(channel)
        self.tasks: Any = TasksStub(channel)
        self.nodes: Any = NodesStub(channel)
        self.blobs: Any = BlobsStub(channel)


class PeersGrpc:
    def __init__(
        self,
        me: str,
        mesh: str,
        incarnation: int,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.owners: dict[int, WorkerStream] = {}
        self._me = me
        self._mesh = mesh
        self._hello = mesh_pb2.Hello(owner=me, incarnation=incarnation, protocol=1, mesh=mesh)
        self._credentials = credentials
        self._channels: dict[str, Stubs] = {}
        self._workers: dict[str, OwnerStream] = {}
        self._addresses: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._table = self._make_table()

    def _make_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            Assign: self._assign,
            Recall: lambda e: self._to_worker(e.node, lambda s: s.recall(e.at_most)),
            Revoke: lambda e: self._to_worker(e.node, lambda s: s.revoke(e.fences)),
            Release: lambda e: self._to_worker(e.node, lambda s: s.release(e.blob_ids)),
            Report: self._report,
            Relay: lambda e: self._to_owner(e.link, lambda s: s.relay(e.said)),
            Grant: lambda e: self._to_owner(e.link, lambda s: s.grant(e.credit)),
            Connect: self._connect,
            Disconnect: lambda e: self._disconnect(e.node),
            FetchCard: lambda e: self._spawn(self._fetch_card(e)),
            SendProbe: lambda e: self._spawn(self._probe(e)),
            SendProbeVia: lambda e: self._spawn(self._probe_via(e)),
            SendSync: lambda e: self._spawn(self._sync(e)),
            AnswerProbe: lambda e: e.token(e.gossip),
            AnswerSync: lambda e: e.token(e.members),
            Refuse: lambda e: e.token(e.failure),
        }

    def attach(self, post: Post, post_member: Callable[[MemberSignal], None]) -> None:
        """Where signals go. To be called before anything else."""
        self._post = post
        self._post_member = post_member

    def perform(self, effect: Effect | MemberEffect) -> None:
        self._table[type(effect)](effect)

    def stubs(self, address: str) -> Stubs:
        """Stubs on the one channel to this address."""
        stubs = self._channels.get(address)
        if stubs is None:
            if len(self._channels) >= CHANNELS_MAX:
                oldest = next(iter(self._channels))
                self._spawn(_close(self._channels.pop(oldest).channel))
            stubs = self._channels[address] = Stubs(open_channel(address, self._credentials))
        return stubs

    def know(self, member: Member) -> None:
        """Where to find a peer by its id."""
        self._addresses[member.node] = member.address

    async def stop(self) -> None:
        for stream in self._workers.values():
            stream.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_close(s.channel) for s in self._channels.values()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------ work

    def _connect(self, effect: Connect) -> None:
        old = self._workers.pop(effect.node, None)
        if old is not None:
            old.replaced = True
            old.close()
        stream = OwnerStream(effect.node, self._hello, self._post)
        self._workers[effect.node] = stream
        self._spawn(self._keep(stream, effect))

    async def _keep(self, stream: OwnerStream, effect: Connect) -> None:
        await stream.run(self.stubs(effect.address).mesh)
        if self._workers.get(effect.node) is stream:
            del self._workers[effect.node]
            self._post_member(StreamBroken(effect.node))

    def _disconnect(self, node: str) -> None:
        stream = self._workers.get(node)
        if stream is not None:
            stream.close()

    def _assign(self, effect: Assign) -> None:
        stream = self._workers.get(effect.node)
        if stream is not None:
            stream.assign(effect.attempts)

    def _to_worker(self, node: str, say: Callable[[OwnerStream], None]) -> None:
        stream = self._workers.get(node)
        if stream is not None:
            say(stream)

    def _report(self, effect: Report) -> None:
        stream = self.owners.get(effect.link)
        if stream is not None:
            stream.report(effect.outcomes, effect.returned, effect.cuts)

    def _to_owner(self, link: int, say: Callable[[WorkerStream], None]) -> None:
        stream = self.owners.get(link)
        if stream is not None:
            say(stream)

    async def _fetch_card(self, effect: FetchCard) -> None:
        try:
            card = await self.stubs(effect.address).mesh.GetCard(
                mesh_pb2.CardRequest(), timeout=CARD_TIMEOUT_S
            )
            self._post(CardFetched(card_from_pb(card)))
        except (grpc.aio.AioRpcError, NovaError) as error:
            log.debug("no card from %s: %s", effect.node, error)

    # ------------------------------------------------------------ membership

    async def _probe(self, effect: SendProbe) -> None:
        request = mesh_pb2.ProbeRequest(mesh=self._mesh, sender=self._me, target=effect.node)
        members_to_pb(effect.gossip, request.gossip)
        call = self.stubs(effect.address).mesh.Probe
        await self._probed(effect.key, call, request, effect.timeout_s, relayed=False)

    async def _probe_via(self, effect: SendProbeVia) -> None:
        request = mesh_pb2.ProbeViaRequest(
            address=effect.target_address, timeout_ms=int(effect.timeout_s * 1000)
        )
        request.probe.mesh, request.probe.sender = self._mesh, self._me
        request.probe.target = effect.target
        members_to_pb(effect.gossip, request.probe.gossip)
        call = self.stubs(effect.via_address).mesh.ProbeVia
        await self._probed(effect.key, call, request, effect.timeout_s, relayed=True)

    async def _probed(
        self, key: int, call: Any, request: Any, timeout_s: float, relayed: bool
    ) -> None:
        began = time.monotonic()
        try:
            reply = await call(request, timeout=timeout_s)
            gossip = tuple(members_from_pb(reply.gossip))
            self._post_member(ProbeAnswered(key, gossip, time.monotonic() - began))
        except grpc.aio.AioRpcError as error:
            self._post_member(ProbeFailed(key, _fault(error, relayed)))
        except NovaError as error:
            log.warning("unreadable answer to a probe: %s", error)
            self._post_member(ProbeFailed(key))

    async def _sync(self, effect: SendSync) -> None:
        request = mesh_pb2.SyncRequest(mesh=self._mesh)
        members_to_pb(effect.members, request.members)
        request.sender.CopyFrom(request.members[0])
        try:
            reply = await self.stubs(effect.address).mesh.Sync(request, timeout=effect.timeout_s)
            self._post_member(SyncAnswered(effect.key, tuple(members_from_pb(reply.members))))
        except grpc.aio.AioRpcError as error:
            said = from_rpc(error, effect.address)
            self._post_member(SyncFailed(effect.key, said.code, said.message))
        except NovaError as error:
            self._post_member(SyncFailed(effect.key, error.code, error.message))

    # ------------------------------------------------------------ blobs

    async def fetch(
        self, holder: str, blob_id: str, offset: int, size_bytes: int
    ) -> AsyncIterator[tuple[int, bytes, int, bytes]]:
        """Port BlobSource."""
        address = self._addresses.get(holder)
        if address is None:
            raise NotFound(f"node {holder}, which holds blob {blob_id[:12]}, is not known here")
        request = blobs_pb2.GetBlobRequest(id=blob_id, offset=offset, size_bytes=size_bytes)
        call = self.stubs(address).blobs.Get(request, timeout=FETCH_TIMEOUT_S)
        digests, whole = b"", 0
        try:
            async for reply in call:
                if reply.digests:
                    digests, whole = reply.digests, reply.size_bytes
                if reply.data:
                    yield whole, digests, reply.chunk, reply.data
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, f"blob {blob_id[:12]} from {holder}") from None
        finally:
            call.cancel()


def _fault(error: grpc.aio.AioRpcError, relayed: bool) -> Fault:
    said = from_rpc(error, "probe")
    if said.code in (Fault.GONE, Fault.UNREACHED):
        return Fault(said.code)
    refused = error.code() is grpc.StatusCode.UNAVAILABLE and "refused" in (error.details() or "")
    return Fault.GONE if refused and not relayed else Fault.SILENT


async def _close(channel: grpc.aio.Channel) -> None:
    await channel.close()
