"""The gRPC server of a node: one port, all services, health and reflection, all behind one guard."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from nova_proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    mesh_pb2,
    mesh_pb2_grpc,
    metrics_pb2,
    metrics_pb2_grpc,
    nodes_pb2,
    nodes_pb2_grpc,
    tasks_pb2,
    tasks_pb2_grpc,
)

from nova_node.adapters.grpc_settings import SERVER_OPTIONS
from nova_node.adapters.peers_grpc import PeersGrpc
from nova_node.address import Address
from nova_node.core.errors import InUse
from nova_node.core.model import Fence
from nova_node.ports import Blobs, Clock, Journal
from nova_node.recorder import Recorder
from nova_node.runtime import Runtime
from nova_node.server.audited import UNAUDITED, Audited, AuditedGate
from nova_node.server.blobs import BlobsService
from nova_node.server.entrance import Entrance
from nova_node.server.guard import Guarded
from nova_node.server.host import Host
from nova_node.server.mesh import MeshService
from nova_node.server.metrics import MetricsService
from nova_node.server.nodes import NodesService
from nova_node.server.tasks import TasksService

if TYPE_CHECKING:
    from nova_node.identity.mandates import Mandates
    from nova_node.server.identity import IdentityService

GRACE_S = 0.2
SWEEP_S = 1.0

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    def __init__(
        self,
        listen: Address,
        me: str,
        mesh: str,
        incarnation: int,
        entrance: Entrance,
        audited: Audited = UNAUDITED,
    ) -> None:
        self.peers = PeersGrpc(me, mesh, incarnation, entrance.access)
        self._listen = listen
        self._me = me
        self._mesh = mesh
        self._incarnation = incarnation
        self._credentials = entrance.credentials
        self._server = grpc.aio.server(options=[*SERVER_OPTIONS, *entrance.options])
        self._audited = audited
        self._guarded = Guarded(self._server, AuditedGate(entrance.gate, audited))
        self._health = HealthServicer()
        self._sweeping: asyncio.Task[None] | None = None

    async def bind(self) -> Address:
        """Take the port; where this node listens then. Raises InUse."""
        wanted = str(self._listen)
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(wanted)
            else:
                port = self._server.add_secure_port(wanted, self._credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise InUse(
                f"cannot listen on {wanted}: another program does",
                f"name another port: nova-node start --listen {Address(self._listen.host, 0)}",
            )
        return Address(self._listen.host, port)

    def serve(
        self,
        runtime: Runtime,
        journal: Journal,
        blobs: Blobs,
        clock: Clock,
        host: Host,
        identity: IdentityService | None = None,
        mandates: Mandates | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """`identity` and `mandates` are None in a mesh without identity, `recorder` on a node that
        records nothing."""

        def owed(node: str) -> frozenset[Fence]:
            worker = runtime.engine.owner.dispatch.workers.get(node)
            tasks = worker.owed.values() if worker is not None else ()
            return frozenset(Fence(task.no, task.attempt) for task in tasks)

        self.peers.attach(runtime.post, runtime.post_member, owed)
        runtime.peers = self.peers
        server = self._guarded
        mesh_pb2_grpc.add_MeshServicer_to_server(
            MeshService(runtime, self.peers.owners, self._mesh, host, mandates), server
        )
        tasks_pb2_grpc.add_TasksServicer_to_server(
            TasksService(runtime, journal, clock, self.peers.stubs, mandates, self._audited), server
        )
        blobs_pb2_grpc.add_BlobsServicer_to_server(BlobsService(self._me, blobs), server)
        nodes_pb2_grpc.add_NodesServicer_to_server(
            NodesService(
                runtime,
                journal,
                blobs,
                clock,
                host,
                self._mesh,
                self._incarnation,
                self._audited,
            ),
            server,
        )
        metrics_pb2_grpc.add_MetricsServicer_to_server(
            MetricsService(runtime, clock, recorder, self.peers.stubs), server
        )
        if identity is not None:
            identity_pb2_grpc.add_IdentityServicer_to_server(identity, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            ReflectionServicer(_names()), server
        )

    def sweep(self) -> None:
        """Whoever may no longer be here: end the streams that are open."""
        self._guarded.sweep()

    async def start(self) -> None:
        await self._server.start()
        await self._health.set("", _SERVING)
        self._sweeping = asyncio.create_task(self._keep_sweeping())

    async def not_serving(self) -> None:
        await self._health.set("", _NOT_SERVING)

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.peers.stop()
        await self._server.stop(GRACE_S)

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()


def _names() -> list[str]:
    """Of the services, for reflection: so that any gRPC client works from the server alone."""
    files = (
        mesh_pb2.DESCRIPTOR,
        tasks_pb2.DESCRIPTOR,
        blobs_pb2.DESCRIPTOR,
        nodes_pb2.DESCRIPTOR,
        identity_pb2.DESCRIPTOR,
        metrics_pb2.DESCRIPTOR,
        health_pb2.DESCRIPTOR,
    )
    services = [file.services_by_name[name] for file in files for name in file.services_by_name]
    # that of those who are no members yet is on another port
    return [s.full_name for s in services if s.name != "Join"] + [REFLECTION]
