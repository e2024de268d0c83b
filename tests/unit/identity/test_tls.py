"""A channel reaches the member that is meant; and each failure of TLS has its own name."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from nova_proto.identity import certificates, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.identity.trust import stored_trust
from nova_proto.v1 import identity_pb2
from nova_proto.v1.identity_pb2_grpc import JoinStub
from support import forge
from support.join_server import NODE, JoinServer, credentials_of

HOST = "127.0.0.1"
ADA = Name("example", "admin", "ada")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JoinServer]:
    with JoinServer(tmp_path / "authority", members_only=True) as server:
        yield server


@pytest.fixture
def ada(server: JoinServer) -> Credentials:
    return credentials_of(server.authority, ADA)


def reason(port: int, credentials: Credentials, node: str = "") -> str:
    found = tls.explain(HOST, port, credentials, node)
    assert found is None or found.message
    return found.code if found else ""


def call(server: JoinServer, credentials: Credentials, node: str = NODE) -> str:
    """The status of a call on a channel pinned to the node."""
    options = tls.pin(credentials.name.mesh, node)
    with grpc.secure_channel(server.address, tls.channel_credentials(credentials), options) as made:
        try:
            JoinStub(made).Roots(identity_pb2.RootsRequest(), timeout=5)  # pyright: ignore
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
    return "OK"


def test_a_member_reaches_the_node_it_means(server: JoinServer, ada: Credentials) -> None:
    assert call(server, ada) == "OK"
    assert tls.node_at(HOST, server.port, ada) == NODE
    assert reason(server.port, ada) == reason(server.port, ada, NODE) == ""


def test_another_node_at_the_address(server: JoinServer, ada: Credentials) -> None:
    assert call(server, ada, "node-z").startswith("UNAVAILABLE")
    assert reason(server.port, ada, "node-z") == "identity_wrong_name"


def test_a_member_of_another_mesh_with_the_same_name(server: JoinServer, tmp_path: Path) -> None:
    with JoinServer(tmp_path / "other") as other:
        stranger = credentials_of(other.authority, ADA)
    assert call(server, stranger).startswith("UNAVAILABLE")
    assert reason(server.port, stranger) == "identity_untrusted"
    with pytest.raises(IdentityError, match="nobody this mesh trusts"):
        tls.node_at(HOST, server.port, stranger)


def test_a_member_of_another_mesh(server: JoinServer, tmp_path: Path) -> None:
    with JoinServer(tmp_path / "other", "elsewhere") as other:
        stranger = credentials_of(other.authority, Name("elsewhere", "admin", "ada"))
    assert reason(server.port, stranger) == "identity_wrong_mesh"


def below(server: JoinServer, begins: float, ends: float) -> Credentials:
    """Of the server's node, by its own authority, for another time."""
    signer = server.authority._files.read().signers[0]  # pyright: ignore[reportPrivateUsage]
    key = certificates.new_key()
    leaf = forge.forge(
        certificates.key_from_pem(signer.key), signer.certificate, key=key, begins=begins, ends=ends
    )
    chain = leaf, signer.certificate
    trust = server.authority.signed_trust().SerializeToString()
    return Credentials(forge.NODE, certificates.key_to_pem(key), chain, trust)


@pytest.mark.parametrize(
    ("begins_in_s", "code"), [(-7_200, "identity_expired"), (7_200, "identity_not_yet_valid")]
)
def test_outside_its_time_on_either_side(
    server: JoinServer, ada: Credentials, tmp_path: Path, begins_in_s: int, code: str
) -> None:
    begins = time.time() + begins_in_s
    wrong = below(server, begins, begins + 3_600)
    assert reason(server.port, wrong) == code
    with JoinServer(tmp_path / "shows", shown=wrong) as shows:
        found = tls.explain(HOST, shows.port, ada)
        assert found is not None
        assert found.code == code
        assert "clock" in found.fix


def test_a_server_whose_certificate_names_two(
    server: JoinServer, ada: Credentials, tmp_path: Path
) -> None:
    signer = server.authority._files.read().signers[0]  # pyright: ignore[reportPrivateUsage]
    key = certificates.new_key()
    names = (
        forge.uri(forge.NODE.uri),
        forge.uri(forge.PERSON.uri),
        forge.dns("node-a.node.x.nova"),
    )
    leaf = forge.forge(
        certificates.key_from_pem(signer.key),
        signer.certificate,
        key=key,
        names=names,
        begins=time.time() - 60,
        ends=time.time() + 60,
    )
    key_pem = certificates.key_to_pem(key)
    double = replace(below(server, 0, 1), key_pem=key_pem, chain=(leaf, signer.certificate))
    with JoinServer(tmp_path / "shows", shown=double) as shows:
        assert reason(shows.port, ada) == "identity_malformed"
        with pytest.raises(IdentityError):
            tls.node_at(HOST, shows.port, ada)


def test_revoked_on_either_side(server: JoinServer, ada: Credentials, tmp_path: Path) -> None:
    node_b = credentials_of(server.authority, Name("example", "worker", "node-b"))
    server.authority.revoke(node_b.name)
    server.authority.revoke(ADA)
    trust = server.authority.signed_trust().SerializeToString()
    assert reason(server.port, replace(ada, trust=trust)) == "identity_revoked"
    grace = credentials_of(server.authority, Name("example", "admin", "grace"))
    with JoinServer(tmp_path / "shows", shown=node_b) as shows:
        assert reason(shows.port, grace) == "identity_revoked"


def test_no_tls_there(ada: Credentials) -> None:
    with socket.create_server((HOST, 0)) as plain:

        def answer() -> None:
            client, _ = plain.accept()
            with client:
                client.recv(10)
                client.sendall(b"HTTP/1.1 400 no\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert reason(plain.getsockname()[1], ada) == "identity_missing"
        thread.join()


def test_who_says_nothing(ada: Credentials) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        found = tls.explain(HOST, port, ada, timeout_s=0.05)
        assert found is not None
        assert found.code == "unavailable"


def test_a_handshake_in_small_pieces_ends_in_time(ada: Credentials) -> None:
    with socket.create_server((HOST, 0)) as slow:
        done = threading.Event()

        def trickle() -> None:
            client, _ = slow.accept()
            with client:
                # a TLS record that promises 16 kB
                for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1_000:
                    if done.wait(0.01):
                        return
                    client.sendall(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            found = tls.explain(HOST, slow.getsockname()[1], ada, timeout_s=0.2)
        finally:
            done.set()
            thread.join()
        assert found is not None
        assert found.code == "unavailable"


@pytest.mark.parametrize("host", ["127.0.0.1", "", "a" * 1_000, "\0"])
def test_nobody_there(ada: Credentials, host: str) -> None:
    with socket.socket() as closed:
        closed.bind((HOST, 0))
        found = tls.explain(host, closed.getsockname()[1], ada, timeout_s=2)
    assert found is not None
    assert found.code == "unavailable"


def test_a_server_of_tls_1_2_is_not_talked_to(server: JoinServer, ada: Credentials) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((HOST, server.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain).close()


def test_the_roots_of_a_channel_are_those_of_the_trust_document(ada: Credentials) -> None:
    assert len(stored_trust(ada.trust).roots) == 1
    with pytest.raises(IdentityError):
        tls.channel_credentials(replace(ada, trust=b"\xff"))
