"""Who reaches a node that has an identity, over real sockets: its members, as far as their roles go."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from nova_proto.identity import certificates, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.v1 import identity_pb2, mesh_pb2, nodes_pb2, task_pb2, tasks_pb2
from nova_proto.v1.mesh_pb2_grpc import MeshStub
from support.forge import NODE, PERSON
from support.forge import Mesh as ForeignMesh
from support.mesh import Node, wait_for
from support.secure import SecureMesh, called, nodes_of

from nova_node.core.policy import METHODS, RIGHTS, Right

STATUS = "/nova.v1.Nodes/Status"
CUT_S = 5.0
"""A revoked or expired member is cut within so long."""
SILENT = 200


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMesh]:
    with SecureMesh(tmp_path_factory.mktemp("secure")) as mesh:
        yield mesh


@pytest.fixture(scope="module")
def node(mesh: SecureMesh) -> Node:
    started = mesh.start("first", "--no-mdns")
    assert started.address
    return started


@pytest.fixture(scope="module")
def admin(mesh: SecureMesh, node: Node) -> Credentials:
    return mesh.credentials("admin", "ada")


def failure(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Of a call that must fail: status, code, and what is said."""
    with pytest.raises(grpc.RpcError) as raised:
        for _ in call if hasattr(call, "__next__") else [call()]:
            pass
    error: Any = raised.value
    said = task_pb2.Error()
    for key, value in error.trailing_metadata() or ():
        if key == "nova-error-bin":
            said.ParseFromString(value)
    return error.code(), said.code, f"{error.details()} {said.message}"


def status(channel: Any) -> str:
    reply = nodes_of(channel).Status(nodes_pb2.StatusRequest(), timeout=5.0)
    return str(reply.node.member.name)


def raw(channel: Any, method: str, data: bytes = b"") -> Any:
    """Any method, called with these bytes."""
    return channel.stream_stream(method)(iter([data]), timeout=5.0)


# ------------------------------------------------------------ members


def test_a_member_is_served_over_tls_13(node: Node, admin: Credentials) -> None:
    with called(node, admin) as channel:
        assert status(channel) == "first"


@pytest.mark.parametrize("role", RIGHTS)
def test_no_method_is_reached_without_its_right(mesh: SecureMesh, node: Node, role: str) -> None:
    mine = mesh.credentials(role, f"of-{role}")
    with called(node, mine) as channel:
        for method, right in METHODS.items():
            if right in RIGHTS[role] or right is Right.JOIN:
                continue
            found = failure(raw(channel, method))
            assert found[:2] == (grpc.StatusCode.PERMISSION_DENIED, "forbidden"), method


def test_what_has_no_name_in_the_policy_is_not_there(node: Node, admin: Credentials) -> None:
    with called(node, admin) as channel:
        for method in ("/nova.v1.Join/Enroll", "/nova.v1.Join/Roots", "/nova.v1.Nodes/Fly"):
            assert failure(raw(channel, method))[0] is grpc.StatusCode.UNIMPLEMENTED


def test_an_observer_may_look_and_not_submit(mesh: SecureMesh, node: Node) -> None:
    with called(node, mesh.credentials("observer", "olga")) as channel:
        assert status(channel) == "first"
        submit = tasks_pb2.SubmitRequest(request_id="r").SerializeToString()
        assert failure(raw(channel, "/nova.v1.Tasks/Submit", submit))[1] == "forbidden"
        health = raw(channel, "/grpc.health.v1.Health/Check")
        assert next(health) == b"\x08\x01"


def test_a_node_speaks_for_itself_only(mesh: SecureMesh, node: Node) -> None:
    mine = mesh.credentials("worker", "liar")
    with called(node, mine) as channel:
        hello = mesh_pb2.Hello(owner="somebody", mesh=mesh.name, protocol=1)
        work = mesh_pb2.WorkRequest(hello=hello).SerializeToString()
        assert "says that it is" in failure(raw(channel, "/nova.v1.Mesh/Work", work))[2]
        stub: Any = MeshStub(channel)
        probe = mesh_pb2.ProbeRequest(mesh=mesh.name, sender="somebody", target=node.id)
        via = mesh_pb2.ProbeViaRequest(probe=probe, timeout_ms=100)
        member = mesh_pb2.Member(node="somebody", address="127.0.0.1:1", mesh=mesh.name)
        sync = mesh_pb2.SyncRequest(mesh=mesh.name, sender=member, members=[member])
        for call, request in ((stub.Probe, probe), (stub.ProbeVia, via), (stub.Sync, sync)):
            found = failure(lambda c=call, r=request: c(r, timeout=5.0))
            assert found[1] == "forbidden"
            assert "says that it is" in found[2]


# ------------------------------------------------------------ strangers


def refusal(node: Node, credentials: grpc.ChannelCredentials, name: str) -> str:
    """What becomes of a call with these credentials; it must not be answered."""
    options = [("grpc.ssl_target_name_override", name)]
    with grpc.secure_channel(node.address, credentials, options) as channel:
        found = failure(lambda: nodes_of(channel).Status(nodes_pb2.StatusRequest(), timeout=5.0))
    assert found[0] is grpc.StatusCode.UNAVAILABLE
    return found[2]


def name_of(mesh: SecureMesh, node: Node) -> str:
    return f"{node.id}.node.{mesh.name}.nova"


def test_without_a_certificate_nobody_is_heard(
    mesh: SecureMesh, node: Node, admin: Credentials
) -> None:
    roots = certificates.der_to_pem(
        identity_pb2.Trust.FromString(mesh.authority.signed_trust().trust).roots
    )
    refusal(node, grpc.ssl_channel_credentials(roots), name_of(mesh, node))


@pytest.mark.parametrize("who", [NODE, PERSON], ids=["node", "person"])
def test_of_another_mesh_nobody_is_heard(mesh: SecureMesh, node: Node, who: Any) -> None:
    """Its name says that it is of ours."""
    other, key = ForeignMesh(mesh.name, now=time.time()), certificates.new_key()
    chain = other.chain(who._replace(mesh=mesh.name), key)
    roots = list(identity_pb2.Trust.FromString(mesh.authority.signed_trust().trust).roots)
    credentials = grpc.ssl_channel_credentials(
        certificates.der_to_pem(roots),
        certificates.key_to_pem(key),
        certificates.der_to_pem(chain),
    )
    refusal(node, credentials, name_of(mesh, node))


def test_another_node_is_not_taken_for_the_one_that_was_meant(
    node: Node, admin: Credentials
) -> None:
    with called(node, admin, pinned="another") as channel:
        found = failure(lambda: status(channel))
    assert found[0] is grpc.StatusCode.UNAVAILABLE
    assert "Hostname Verification" in found[2]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2])
def test_no_tls_before_13(node: Node, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with connected(node) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


def test_plaintext_is_not_answered(node: Node) -> None:
    with grpc.insecure_channel(node.address) as channel:
        found = failure(lambda: nodes_of(channel).Status(nodes_pb2.StatusRequest(), timeout=5.0))
    assert found[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4_096, bytes(range(256)) * 64]
)
def test_random_bytes_end_the_connection(node: Node, admin: Credentials, junk: bytes) -> None:
    with connected(node) as plain:
        plain.settimeout(CUT_S)
        try:
            plain.sendall(junk)
            while plain.recv(4_096):
                pass
        except ConnectionError:
            pass
    with called(node, admin) as channel:
        assert status(channel) == "first"


def test_silent_connections_are_closed_and_others_served(node: Node, admin: Credentials) -> None:
    silent = [connected(node) for _ in range(SILENT)]
    try:
        with called(node, admin) as channel:
            assert status(channel) == "first"
        for plain in silent:
            plain.settimeout(CUT_S)
            with suppress(ConnectionResetError):
                assert plain.recv(1) == b""
    finally:
        for plain in silent:
            plain.close()


def connected(node: Node) -> socket.socket:
    host, _, port = node.address.rpartition(":")
    return socket.create_connection((host, int(port)), 5.0)


# ------------------------------------------------------------ members no more


def ended(stream: Any) -> tuple[float, str]:
    """How long an open stream lasts, and the code that it ends with."""
    began = time.monotonic()
    _, code, _ = failure(stream)
    return time.monotonic() - began, code


def test_a_certificate_that_runs_out_ends_calls_and_streams(mesh: SecureMesh, node: Node) -> None:
    brief = mesh.credentials("admin", "brief", lifetime_s=3.0)
    with called(node, brief) as channel:
        assert status(channel) == "first"
        watch: Any = channel
        stream = watch.unary_stream("/nova.v1.Tasks/Watch")(b"", timeout=30.0)
        work = watch.stream_stream("/nova.v1.Tasks/Session")(iter(lambda: time.sleep(30), 0))
        assert next(work)
        lasted_s, code = ended(stream)
        assert (code, lasted_s < 3.0 + CUT_S) == ("identity_expired", True)
        assert ended(work)[1] == "identity_expired"
        assert failure(lambda: status(channel))[:2] == (
            grpc.StatusCode.UNAUTHENTICATED,
            "identity_expired",
        )
    with called(node, brief) as channel:
        assert failure(lambda: status(channel))[0] is grpc.StatusCode.UNAVAILABLE


def test_who_is_revoked_is_cut_and_may_come_again_by_a_token(mesh: SecureMesh, node: Node) -> None:
    former = mesh.credentials("submitter", "former")
    with called(node, former) as channel:
        assert status(channel) == "first"
        watch: Any = channel
        stream = watch.unary_stream("/nova.v1.Tasks/Watch")(b"", timeout=30.0)
        mesh.authority.revoke(former.name)
        lasted_s, code = ended(stream)
        assert (code, lasted_s < CUT_S) == ("identity_revoked", True)
        assert failure(lambda: status(channel))[:2] == (
            grpc.StatusCode.UNAUTHENTICATED,
            "identity_revoked",
        )
    # and anew, on a new connection
    with called(node, former) as channel:
        assert failure(lambda: status(channel))[1] == "identity_revoked"


# ------------------------------------------------------------ the door for those who join


def test_the_door_offers_nothing_but_to_join(mesh: SecureMesh) -> None:
    from nova_proto.identity import enrol
    from nova_proto.identity.token import parse_token

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    door = f"127.0.0.1:{port}"
    with SecureMesh(mesh.folder / "of-its-own") as own:
        own.folder.mkdir()
        node = own.start("gate", "--no-mdns", "--join-listen", door)
        assert node.address
        token = wait_for(lambda: own.authority.create_token("submitter", id="eve"), "a token")
        mine, keys = enrol.enroll(door, parse_token(token.text))
        assert (mine.name.short, keys) == ("submitter/eve", [])
        with called(node, mine) as channel:
            assert status(channel) == "gate"
        with pytest.raises(IdentityError) as used:
            enrol.enroll(door, parse_token(token.text))
        assert used.value.code == "token_used"
        roots = identity_pb2.Trust.FromString(own.authority.signed_trust().trust).roots
        anonymous = grpc.ssl_channel_credentials(certificates.der_to_pem(roots))
        with grpc.secure_channel(door, anonymous, tls.pin(own.name, node.id)) as channel:
            for method in METHODS:
                if not method.startswith("/nova.v1.Join/"):
                    assert failure(raw(channel, method))[0] is grpc.StatusCode.UNIMPLEMENTED
