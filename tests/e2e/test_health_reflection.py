"""Any gRPC client can ask a node whether it serves, and what."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from nova_proto.v1 import nodes_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from support.mesh import Mesh

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "nova.v1.Blobs",
    "nova.v1.Mesh",
    "nova.v1.Nodes",
    "nova.v1.Tasks",
}


def test_health_and_reflection_answer(mesh: Mesh) -> None:
    node = mesh.start("only")
    with grpc.insecure_channel(node.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        described = ProtoReflectionDescriptorDatabase(channel)
        assert SERVICES <= set(described.get_services())
        submit = described.FindFileContainingSymbol("nova.v1.Tasks.Submit")
        assert submit.package == "nova.v1"


def test_a_message_that_is_too_large_is_refused_and_the_node_lives(mesh: Mesh) -> None:
    node = mesh.start("only")
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(node.address, options=options) as channel:
        call = channel.unary_unary("/nova.v1.Tasks/Submit")
        try:
            call(b"\x0a" * (32 << 20), timeout=10.0)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        status = NodesStub(channel).Status(nodes_pb2.StatusRequest(), timeout=5.0)
        assert status.node.member.name == "only"


def test_bytes_that_are_no_request_are_refused_and_the_node_lives(mesh: Mesh) -> None:
    node = mesh.start("only")
    with grpc.insecure_channel(node.address) as channel:
        for method in ("Tasks/Submit", "Tasks/Get", "Nodes/Drain", "Mesh/Probe", "Mesh/Sync"):
            call = channel.unary_unary(f"/nova.v1.{method}")
            try:
                call(b"\xff\xff\xff\xff", timeout=5.0)
            except grpc.RpcError as error:
                code = error.code()  # type: ignore[attr-defined]
                assert code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)
            else:
                raise AssertionError(f"{method} took them")
        status = NodesStub(channel).Status(nodes_pb2.StatusRequest(), timeout=5.0)
        assert status.node.member.name == "only"
