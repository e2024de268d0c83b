"""Where a mesh is joined, for who knows no more than a host, or a host and a port; and how somebody
catches up who was away while it got a new root. All of it blocks.

The node that holds the authority lets people in on a port of its own: 7601, or the one after the
port it serves members on.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import grpc

from nova_proto.identity import certificates, enrol, tls
from nova_proto.identity.enrol import Enrolled
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.person import Remembered
from nova_proto.identity.token import Token
from nova_proto.identity.trust import read_trust, stored_trust
from nova_proto.v1 import identity_pb2
from nova_proto.v1.identity_pb2_grpc import IdentityStub

PORT, JOIN_PORT = 7600, 7601
PROBE_TIMEOUT_S = 3.0

_ELSEWHERE = frozenset({"unavailable", "identity_missing"})
"""Nobody lets people in there: perhaps at the next port."""


def enroll_near(
    host: str, port: int, token: Token, node_id: str = "", key_pem: bytes | None = None
) -> Enrolled:
    """As enrol.enroll, at the port given (0: none was) or the one after it."""
    first: IdentityError | None = None
    for each in [port, port + 1] if port not in (0, JOIN_PORT) else [JOIN_PORT]:
        try:
            return enrol.enroll(joined(host, each), token, node_id, key_pem=key_pem)
        except IdentityError as error:
            if error.code == "identity_untrusted":
                raise IdentityError(
                    error.code,
                    f"the token is of another mesh than the one at {joined(host, each)}",
                    "name a node of the token's mesh, or get a token from where this mesh was made",
                ) from None
            if error.code not in _ELSEWHERE:
                raise
            first = first or error
    assert first is not None
    raise first


def node_near(host: str, port: int, credentials: Credentials) -> Remembered | None:
    """The node that serves members there; None when none of the ports tried is one's."""
    for each in (port, PORT) if port not in (0, JOIN_PORT) else (PORT,):
        with suppress(IdentityError):
            return Remembered(
                joined(host, each), tls.node_at(host, each, credentials, PROBE_TIMEOUT_S)
            )
    return None


def catch_up(host: str, port: int, credentials: Credentials) -> Credentials:
    """The same with what the mesh trusts now, from a node whose root is not known yet. Nothing is
    believed of that node but what a root that is trusted already has signed.

    Raises IdentityError: identity_untrusted when there is nothing newer."""
    known = stored_trust(credentials.trust)
    leaf = tls.leaf_at(host, port, PROBE_TIMEOUT_S)
    name = certificates.read_leaf(leaf).name
    shown = grpc.ssl_channel_credentials(
        certificates.der_to_pem([leaf]),
        credentials.key_pem,
        certificates.der_to_pem(credentials.chain),
    )
    options = [("grpc.enable_http_proxy", 0), *tls.pin(name.mesh, name.id)]
    with closing(grpc.secure_channel(joined(host, port), shown, options)) as channel:
        stub: Any = IdentityStub(channel)
        try:
            signed = stub.GetTrust(identity_pb2.GetTrustRequest(), timeout=PROBE_TIMEOUT_S)
        except grpc.RpcError:
            raise certificates.untrusted(name.short) from None
    if read_trust(signed, time.time(), previous=known).version <= known.version:
        raise certificates.untrusted(name.short)
    return replace(credentials, trust=signed.SerializeToString())


def joined(host: str, port: int) -> str:
    """host:port, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
