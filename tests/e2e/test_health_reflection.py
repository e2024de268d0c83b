"""Any gRPC client can ask a node whether it serves, and what."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from nova_proto.v1 import nodes_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from support.mesh import Mesh, Node

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "nova.v1.Blobs",
    "nova.v1.Mesh",
    "nova.v1.Nodes",
    "nova.v1.Tasks",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh.start("only")


def serves(channel: Any) -> bool:
    stub: Any = NodesStub(channel)
    return stub.Status(nodes_pb2.StatusRequest(), timeout=5.0).node.member.name == "only"


def test_health_and_reflection_answer(node: Node) -> None:
    with grpc.insecure_channel(node.address) as plain:
        channel = node.keyed(plain)
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        (first, *_) = itertools.islice(
            health.Watch(health_pb2.HealthCheckRequest(), timeout=5.0), 1
        )
        assert first.status == health_pb2.HealthCheckResponse.SERVING
        described = ProtoReflectionDescriptorDatabase(channel)
        assert set(described.get_services()) >= SERVICES
        file = described.FindFileContainingSymbol("nova.v1.Tasks")
        methods = [method.name for service in file.service for method in service.method]
        assert "Submit" in methods


def test_a_message_that_is_too_large_is_refused_and_the_node_lives(node: Node) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(node.address, options=options) as plain:
        channel = node.keyed(plain)
        caller: Any = channel
        call = caller.unary_unary("/nova.v1.Tasks/Submit")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"\x0a" * (32 << 20), timeout=10.0)
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert serves(channel)


UNARY = ("Tasks/Submit", "Tasks/Get", "Tasks/Watch", "Nodes/Drain", "Mesh/Probe", "Mesh/Sync")
STREAMS = ("Tasks/Session", "Mesh/Work", "Blobs/Put")


@pytest.mark.parametrize("method", [*UNARY, *STREAMS])
def test_bytes_that_are_no_request_get_a_typed_error(node: Node, method: str) -> None:
    garbage = b"\xff\xff\xff\xff"
    with grpc.insecure_channel(node.address) as plain:
        channel = node.keyed(plain)
        caller: Any = channel
        if method in STREAMS:
            call = caller.stream_stream(f"/nova.v1.{method}")(iter([garbage]), timeout=5.0)
        else:
            call = caller.unary_stream(f"/nova.v1.{method}")(garbage, timeout=5.0)
        with pytest.raises(grpc.RpcError) as raised:
            for _ in call:
                pass
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "nova-error-bin" in dict(error.trailing_metadata())
        assert serves(channel)
    assert "Traceback" not in node.said()
