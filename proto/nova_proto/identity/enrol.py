"""Becoming a member, and staying one: what is asked of the authority. Everything here blocks.

Rule: nothing secret is sent before the other side has proved to be below the root of the token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from nova_proto.identity import certificates, names, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.token import Token
from nova_proto.identity.trust import read_trust, stored_trust
from nova_proto.v1 import identity_pb2, task_pb2
from nova_proto.v1.identity_pb2_grpc import IdentityStub, JoinStub

TIMEOUT_S = 10.0

_OPTIONS: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]

Enrolled = tuple[Credentials, list[identity_pb2.DataKey]]


def enroll(
    address: str,
    token: Token,
    node_id: str = "",
    timeout_s: float = TIMEOUT_S,
    key_pem: bytes | None = None,
) -> Enrolled:
    """Join with a token, at the join address of the authority's node, host:port. `node_id` "" is
    a person; `key_pem` is of whoever was a member before, and stays its key.

    Raises IdentityError: unavailable, what the authority answered (token_*), or identity_* when
    the other side is not who the token names."""
    deadline = time.monotonic() + timeout_s
    signed = _fetch_trust(address, deadline)
    trust = read_trust(signed, time.time(), root_sha256=token.root_sha256)
    return _enroll(address, deadline, trust, signed, token.text, node_id, key_pem)


def readmit(address: str, credentials: Credentials, timeout_s: float = TIMEOUT_S) -> Enrolled:
    """Of a node whose certificate ran out while it was away: its key is known, so no token.

    Raises IdentityError as `enroll`, and identity_expired when that was too long ago."""
    deadline = time.monotonic() + timeout_s
    known = stored_trust(credentials.trust)
    signed = _fetch_trust(address, deadline)
    trust = read_trust(signed, time.time(), previous=known)
    key_pem, node_id = credentials.key_pem, credentials.name.id
    return _enroll(address, deadline, trust, signed, "", node_id, key_pem)


def renew(
    address: str, node_id: str, credentials: Credentials, timeout_s: float = TIMEOUT_S
) -> Enrolled:
    """The same name and key with a new certificate, from the authority's node at its address.

    Raises IdentityError: unavailable, what the authority answered, or identity_*."""
    key = certificates.key_from_pem(credentials.key_pem)
    options = [*_OPTIONS, *tls.pin(credentials.name.mesh, node_id)]
    request = identity_pb2.RenewRequest(request=certificates.request(key))
    with closing(
        grpc.secure_channel(address, tls.channel_credentials(credentials), options)
    ) as channel:
        stub: Any = IdentityStub(channel)
        reply = _call(stub.Renew, request, timeout_s, address)
    known = stored_trust(credentials.trust)
    return _accept(reply, credentials.key_pem, known, credentials.trust)


def _fetch_trust(address: str, deadline: float) -> identity_pb2.SignedTrust:
    """From whoever answers there: to be checked by what is known of the root."""
    host, port = _split(address)
    leaf = tls.leaf_at(host, port, _left_s(deadline))
    name = certificates.read_leaf(leaf).name
    with _channel(address, [leaf], name.mesh, name.id) as channel:
        stub: Any = JoinStub(channel)
        return _call(stub.Roots, identity_pb2.RootsRequest(), _left_s(deadline), address)


def _enroll(
    address: str,
    deadline: float,
    trust: identity_pb2.Trust,
    signed: identity_pb2.SignedTrust,
    token_text: str,
    node_id: str,
    key_pem: bytes | None,
) -> Enrolled:
    key_pem = key_pem or certificates.key_to_pem(certificates.new_key())
    request = identity_pb2.EnrollRequest(
        token=token_text,
        request=certificates.request(certificates.key_from_pem(key_pem)),
        node=node_id,
    )
    with _channel(address, trust.roots, trust.mesh, trust.authority) as channel:
        stub: Any = JoinStub(channel)
        reply = _call(stub.Enroll, request, _left_s(deadline), address)
    credentials, keys = _accept(reply, key_pem, trust, signed.SerializeToString())
    if node_id and credentials.name.short != f"{names.NODE_ROLE}/{node_id}":
        raise IdentityError(
            "identity_wrong_name", f"{credentials.name.short} was given instead of {node_id}"
        )
    return credentials, keys


def _accept(
    reply: identity_pb2.EnrollReply, key_pem: bytes, known: identity_pb2.Trust, stored: bytes
) -> Enrolled:
    """What the authority gave, once it is seen to be for us."""
    now = time.time()
    trust = known
    if reply.HasField("trust"):
        trust = read_trust(reply.trust, now, previous=known)
        stored = reply.trust.SerializeToString()
    chain = tuple(reply.chain)
    facts = certificates.verify_chain(chain, trust.roots, now, known.mesh)
    own = certificates.public_key_sha256(certificates.key_from_pem(key_pem).public_key())
    if facts.public_key_sha256 != own:
        raise IdentityError("identity_wrong_name", "the certificate is for another key")
    return Credentials(facts.name, key_pem, chain, stored), list(reply.keys)


def _channel(address: str, roots: Sequence[bytes], mesh: str, node_id: str) -> Any:
    """A channel to the one node below the roots, which shows nothing of us. Closes with `with`."""
    credentials = grpc.ssl_channel_credentials(certificates.der_to_pem(roots))
    return closing(grpc.secure_channel(address, credentials, [*_OPTIONS, *tls.pin(mesh, node_id)]))


def _call(method: Any, request: Any, timeout_s: float, address: str) -> Any:
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise _to_error(error, address) from None


def _to_error(error: Any, address: str) -> IdentityError:
    for key, value in error.trailing_metadata() or ():
        if key == "nova-error-bin" and isinstance(value, bytes):
            try:
                said = task_pb2.Error.FromString(value)
            except DecodeError:
                break
            return IdentityError(said.code, said.message, said.fix)
    what = f"{error.code().name.lower()}: {error.details()}"
    return IdentityError(
        "unavailable",
        f"{address} gave no answer that can be used ({what})",
        "see that this is the address of the node that made the mesh, and that it runs",
    )


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise IdentityError("unavailable", f"{ascii(address)[:80]} is no address", "use HOST:PORT")
    return host.strip("[]"), int(port)


def _left_s(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
