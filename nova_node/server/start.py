"""The gRPC server of a node: one port, all services, health and reflection."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from nova_proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    mesh_pb2,
    mesh_pb2_grpc,
    nodes_pb2,
    nodes_pb2_grpc,
    tasks_pb2,
    tasks_pb2_grpc,
)

from nova_node.adapters.grpc_settings import SERVER_OPTIONS
from nova_node.adapters.peers_grpc import PeersGrpc
from nova_node.address import Address
from nova_node.core.errors import InUse
from nova_node.ports import Blobs, Clock, Journal
from nova_node.runtime import Runtime
from nova_node.server.blobs import BlobsService
from nova_node.server.guard import Guarded
from nova_node.server.host import Host
from nova_node.server.mesh import MeshService
from nova_node.server.nodes import NodesService
from nova_node.server.tasks import TasksService

GRACE_S = 0.2

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    def __init__(
        self,
        listen: Address,
        me: str,
        mesh: str,
        incarnation: int,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.peers = PeersGrpc(me, mesh, incarnation)
        self._listen = listen
        self._me = me
        self._mesh = mesh
        self._incarnation = incarnation
        self._credentials = credentials
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._health = HealthServicer()

    async def bind(self) -> str:
        """Take the port; the address that peers reach it at. Raises InUse."""
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
                "name another port: nova-node start --listen 127.0.0.1:0",
            )
        return str(Address(self._listen.host, port))

    def serve(
        self, runtime: Runtime, journal: Journal, blobs: Blobs, clock: Clock, host: Host
    ) -> None:
        self.peers.attach(runtime.post, runtime.post_member)
        runtime.peers = self.peers
        server = Guarded(self._server)
        mesh_pb2_grpc.add_MeshServicer_to_server(
            MeshService(runtime, self.peers.owners, self._mesh, host),
            server,
        )
        tasks_pb2_grpc.add_TasksServicer_to_server(
            TasksService(runtime, journal, clock, self.peers.stubs), server
        )
        blobs_pb2_grpc.add_BlobsServicer_to_server(BlobsService(self._me, blobs), server)
        nodes_pb2_grpc.add_NodesServicer_to_server(
            NodesService(runtime, journal, blobs, clock, host, self._mesh, self._incarnation),
            server,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        _reflect(self._server)

    async def start(self) -> None:
        await self._server.start()
        await self._health.set("", _SERVING)

    async def not_serving(self) -> None:
        await self._health.set("", _NOT_SERVING)

    async def stop(self) -> None:
        await self.peers.stop()
        await self._server.stop(GRACE_S)


def _reflect(server: Any) -> None:
    """So that any gRPC client works from the server alone."""
    from grpc_reflection.v1alpha import reflection

    names = [
        descriptor.services_by_name[name].full_name
        for descriptor in (
            mesh_pb2.DESCRIPTOR,
            tasks_pb2.DESCRIPTOR,
            blobs_pb2.DESCRIPTOR,
            nodes_pb2.DESCRIPTOR,
            health_pb2.DESCRIPTOR,
        )
        for name in descriptor.services_by_name
    ]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
