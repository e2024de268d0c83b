"""Service Mesh: what peers say to this node."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc.aio
from nova_proto.v1 import mesh_pb2
from nova_proto.v1.mesh_pb2_grpc import MeshServicer

from nova_node.adapters.grpc_settings import abort
from nova_node.adapters.wire_checks import check_node
from nova_node.adapters.wire_members import (
    card_to_pb,
    member_from_pb,
    members_from_pb,
    members_to_pb,
)
from nova_node.adapters.work_grpc import WorkerStream
from nova_node.core.errors import Invalid, NovaError, Refused, Terminal
from nova_node.core.members import ProbeAsked, ProbeViaAsked, StreamBroken, SyncAsked
from nova_node.core.model import PROTOCOL, Failure, Member
from nova_node.core.signals import (
    OwnerDown,
    OwnerUp,
)
from nova_node.runtime import Runtime
from nova_node.server.caller import caller
from nova_node.server.host import Host

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

    from nova_node.identity.mandates import Mandates

log = logging.getLogger("nova.server")

OWNERS_MAX = 1024


class MeshService(MeshServicer):
    def __init__(
        self,
        runtime: Runtime,
        owners: dict[int, WorkerStream],
        mesh: str,
        host: Host,
        mandates: Mandates | None = None,
    ) -> None:
        """`mandates` is None in a mesh without identity."""
        self._runtime = runtime
        self._owners = owners
        self._mesh = mesh
        self._host = host
        self._mandates = mandates
        self._links = itertools.count(1)

    async def Probe(self, request: mesh_pb2.ProbeRequest, context: Any) -> mesh_pb2.ProbeReply:
        try:
            _require_itself(caller(context), request.sender)
            gossip = tuple(members_from_pb(request.gossip))
            members = await self._ask(
                lambda token: ProbeAsked(
                    token, request.mesh, request.sender, request.target, gossip
                )
            )
        except NovaError as error:
            await abort(context, error)
        return self._probed(members)

    async def ProbeVia(
        self, request: mesh_pb2.ProbeViaRequest, context: Any
    ) -> mesh_pb2.ProbeReply:
        probe = request.probe
        try:
            _require_itself(caller(context), probe.sender)
            gossip = tuple(members_from_pb(probe.gossip))
            timeout_s = min(request.timeout_ms / 1000, 10.0)
            members = await self._ask(
                lambda token: ProbeViaAsked(
                    token,
                    probe.mesh,
                    probe.sender,
                    probe.target,
                    gossip,
                    request.address,
                    timeout_s,
                )
            )
        except NovaError as error:
            await abort(context, error)
        return self._probed(members)

    async def Sync(self, request: mesh_pb2.SyncRequest, context: Any) -> mesh_pb2.SyncReply:
        try:
            _require_itself(caller(context), request.sender.node)
            sender = member_from_pb(request.sender)
            known = tuple(members_from_pb(request.members))
            members = await self._ask(lambda token: SyncAsked(token, request.mesh, sender, known))
        except NovaError as error:
            await abort(context, error)
        reply = mesh_pb2.SyncReply()
        members_to_pb(members, reply.members)
        return reply

    def _probed(self, members: Sequence[Member]) -> mesh_pb2.ProbeReply:
        reply = mesh_pb2.ProbeReply(node=self._runtime.engine.me)
        members_to_pb(members, reply.gossip)
        return reply

    async def _ask(self, signal: Callable[[Any], Any]) -> Sequence[Member]:
        """Membership's answer. Raises the error it refuses with."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def token(said: Any) -> None:
            if not answer.done():
                answer.set_result(said)

        self._runtime.post_member(signal(token))
        said = await answer
        if isinstance(said, Failure):
            raise Terminal(said.message, said.fix, said.code)
        return said

    async def GetCard(self, request: mesh_pb2.CardRequest, context: Any) -> mesh_pb2.Card:
        pb = mesh_pb2.Card()
        card_to_pb(self._host.card.for_others(), pb)
        return pb

    async def Work(self, request_iterator: Any, context: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One owner's stream: it sends work, this node answers with credit and results."""
        try:
            hello = await context.read()
            owner = self._greet(hello, caller(context))
        except NovaError as error:
            await abort(context, error)
        link = next(self._links)
        stream = WorkerStream(link, owner, self._runtime.post)
        stream.released = self._host.release
        mandates = self._mandates
        if mandates is not None:
            stream.is_own = lambda mandate: mandates.is_for(mandate, owner)
        self._owners[link] = stream
        self._runtime.post(OwnerUp(owner, link))
        writer = asyncio.create_task(stream.write(context))
        try:
            await stream.read(context)
        except NovaError as error:
            log.warning("owner %s sent what cannot be read: %s", owner, error)
            await abort(context, error)
        finally:
            # before anything is awaited: a read that failed is often followed by a cancellation
            stream.close()
            writer.cancel()
            del self._owners[link]
            self._runtime.post(OwnerDown(owner, link))
            self._runtime.post_member(StreamBroken(owner))
            await asyncio.gather(writer, return_exceptions=True)

    def _greet(self, first: Any, name: Name | None) -> str:
        if first is grpc.aio.EOF or not first.HasField("hello"):
            raise Invalid("the first message of a work stream is a hello", "send one")
        hello = first.hello
        _require_itself(name, hello.owner)
        if hello.mesh != self._mesh:
            raise Refused(f"this node is of mesh {self._mesh}, the owner of mesh {hello.mesh}")
        if hello.protocol != PROTOCOL:
            raise Refused(
                f"this node speaks protocol {PROTOCOL}, the owner protocol {hello.protocol}",
                "run one version of Nova on both",
            )
        if len(self._owners) >= OWNERS_MAX:
            raise Refused(f"{OWNERS_MAX} owners are connected already")
        return check_node(hello.owner)


def _require_itself(name: Name | None, node: str) -> None:
    """A node speaks for itself only. Raises Refused."""
    if name is not None and name.id != node:
        raise Refused(
            f"{name.short} says that it is node {node[:64]!a}",
            "its --data-dir and its certificate are of two nodes: join again",
            "forbidden",
        )
