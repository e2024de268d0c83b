"""Joining and renewing over real TLS; and nothing secret goes to who is not the authority."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nova_proto.identity import certificates, enrol
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name
from nova_proto.identity.token import Token, new_secret
from nova_proto.identity.trust import root_key_sha256, stored_trust
from support.join_server import NODE, JoinServer, credentials_of

NODE_B = Name("example", "worker", "node-b")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JoinServer]:
    with JoinServer(tmp_path / "authority") as server:
        yield server


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(IdentityError) as refusal:
        call()
    return refusal.value.code


def test_a_node_joins_with_a_token(server: JoinServer) -> None:
    token = server.authority.create_token("worker")
    credentials, keys = enrol.enroll(server.address, token, "node-b")
    assert credentials.name == NODE_B
    assert [k.no for k in keys] == [1]
    trust = stored_trust(credentials.trust)
    assert root_key_sha256(trust.roots[0]) == token.root_sha256
    own = certificates.key_from_pem(credentials.key_pem).public_key()
    facts = certificates.read_leaf(credentials.chain[0])
    assert facts.public_key_sha256 == certificates.public_key_sha256(own)


def test_a_person_joins_and_a_key_can_be_kept(server: JoinServer) -> None:
    token = server.authority.create_token("admin", id="ada")
    key_pem = certificates.key_to_pem(certificates.new_key())
    credentials, _ = enrol.enroll(server.address, token, key_pem=key_pem)
    assert credentials.name == Name("example", "admin", "ada")
    assert credentials.key_pem == key_pem


def test_what_the_authority_refuses_is_told(server: JoinServer) -> None:
    token = server.authority.create_token("worker")
    enrol.enroll(server.address, token, "node-b")
    with pytest.raises(IdentityError, match="used") as refusal:
        enrol.enroll(server.address, token, "node-b")
    assert refusal.value.code == "token_used"
    assert "nova-node token create" in refusal.value.fix


def test_a_token_with_the_wrong_hash_is_not_sent(server: JoinServer) -> None:
    token = server.authority.create_token("worker")
    other = Token(bytes(32), token.id, token.secret)
    assert code_of(lambda: enrol.enroll(server.address, other, "node-b")) == "identity_untrusted"
    assert server.received == []


def test_a_token_is_not_sent_to_another_mesh(server: JoinServer, tmp_path: Path) -> None:
    token = server.authority.create_token("worker")
    with JoinServer(tmp_path / "other") as other:
        assert code_of(lambda: enrol.enroll(other.address, token, "b")) == "identity_untrusted"
        assert other.received == []


def test_a_token_is_not_sent_to_a_member_who_is_not_the_authority(
    server: JoinServer, tmp_path: Path
) -> None:
    """A member can show its certificate and pass on the real roots, but may not let in."""
    token = server.authority.create_token("worker")
    member = credentials_of(server.authority, NODE_B)
    with JoinServer(tmp_path / "other", shown=member) as liar:
        object.__setattr__(liar.authority, "signed_trust", server.authority.signed_trust)
        assert code_of(lambda: enrol.enroll(liar.address, token, "node-c")) == "unavailable"
        assert liar.received == []


def test_a_token_is_not_sent_to_a_stranger_with_the_real_roots(
    server: JoinServer, tmp_path: Path
) -> None:
    token = server.authority.create_token("worker")
    with JoinServer(tmp_path / "other") as stranger:
        object.__setattr__(stranger.authority, "signed_trust", server.authority.signed_trust)
        assert code_of(lambda: enrol.enroll(stranger.address, token, "b")) == "unavailable"
        assert stranger.received == []


def test_a_node_renews_with_its_certificate(tmp_path: Path) -> None:
    with JoinServer(tmp_path / "authority", members_only=True) as server:
        before = credentials_of(server.authority, NODE_B)
        after, keys = enrol.renew(server.address, NODE, before)
        assert after.name == NODE_B
        assert after.key_pem == before.key_pem
        assert after.chain != before.chain
        assert len(keys) == 1
        assert code_of(lambda: enrol.renew(server.address, "node-z", before)) == "unavailable"


def test_a_renewal_brings_a_new_root_along(tmp_path: Path) -> None:
    with JoinServer(tmp_path / "authority", members_only=True) as server:
        before = credentials_of(server.authority, NODE_B)
        server.authority.rotate()
        after, _ = enrol.renew(server.address, NODE, before)
        assert len(stored_trust(after.trust).roots) == 2


def test_a_node_comes_back_by_its_key(server: JoinServer) -> None:
    before, _ = enrol.enroll(server.address, server.authority.create_token("worker"), "node-b")
    after, _ = enrol.readmit(server.address, before)
    assert after.name == NODE_B
    assert after.chain != before.chain
    thief = replace(before, key_pem=certificates.key_to_pem(certificates.new_key()))
    assert code_of(lambda: enrol.readmit(server.address, thief)) == "identity_wrong_name"


def test_nobody_comes_back_to_another_mesh(server: JoinServer, tmp_path: Path) -> None:
    mine, _ = enrol.enroll(server.address, server.authority.create_token("worker"), "node-b")
    with JoinServer(tmp_path / "other", "elsewhere") as other:
        assert code_of(lambda: enrol.readmit(other.address, mine)) == "identity_wrong_mesh"
    with JoinServer(tmp_path / "same-name") as other:
        assert code_of(lambda: enrol.readmit(other.address, mine)) == "identity_untrusted"


@pytest.mark.parametrize("address", ["", "host", "host:", ":7601", "host:0", "host:65536", "h:1x"])
def test_what_is_no_address(address: str) -> None:
    token = Token(bytes(32), "a", new_secret())
    assert code_of(lambda: enrol.enroll(address, token)) == "unavailable"


def test_nobody_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        token = Token(bytes(32), "a", new_secret())
        assert code_of(lambda: enrol.enroll(f"127.0.0.1:{port}", token)) == "unavailable"
