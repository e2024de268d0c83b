"""Without identity a node serves its own user only, who shows so by a key in a file."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from nova_client import Client
from nova_client.errors import NovaError
from nova_proto import local_key
from nova_proto.v1 import nodes_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from support.mesh import Mesh, Node, met, run

from nova_node.core.policy import METHODS, Right


@pytest.fixture
def node(mesh: Mesh) -> Node:
    return mesh.start("only", "--no-mdns")


def test_no_method_answers_without_the_key(mesh: Mesh, node: Node) -> None:
    with grpc.insecure_channel(node.address) as plain:
        for key in ("", "0" * 64):
            channel: Any = local_key.Keyed(plain, key) if key else plain
            for method, right in METHODS.items():
                # that service is not here
                if right is Right.JOIN or method.startswith("/nova.v1.Identity/"):
                    continue
                with pytest.raises(grpc.RpcError) as raised:
                    next(channel.stream_stream(method)(iter([b""]), timeout=5.0))
                error: Any = raised.value
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED, method
                assert b"unauthenticated" in dict(error.trailing_metadata())["nova-error-bin"]
        stub: Any = NodesStub(node.keyed(plain))
        assert stub.Status(nodes_pb2.StatusRequest(), timeout=5.0).node.member.name == "only"


def test_another_user_is_told_what_is_missing(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = node.address

    async def scene() -> None:
        async with Client(address) as client:
            assert (await client.nodes()).nodes
        monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "elsewhere"))
        with pytest.raises(NovaError) as raised:
            async with Client(address) as client:
                await client.nodes()
        assert raised.value.code == "unauthenticated"
        assert "nova-node init" in raised.value.fix

    run(scene())
    monkeypatch.undo()


def test_nodes_of_one_user_form_a_mesh_and_take_no_other_for_one_of_theirs(mesh: Mesh) -> None:
    """Who listens at an address that a node is told to join is not shown the key."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.0)
        at = f"127.0.0.1:{stranger.getsockname()[1]}"
        first = mesh.start("first", "--no-mdns")
        second = mesh.start("second", "--no-mdns", "--peer", at, "--peer", first.address)

        async def scene() -> None:
            async with Client(second.address) as client:
                await met(client, 2)

        run(scene())
        with pytest.raises(BlockingIOError):
            stranger.accept()
