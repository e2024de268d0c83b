"""What members of a mesh trust, as its authority signed it.

Rule: a document counts when somebody signed it whom the one before trusts. Only a root that is
trusted already may add another; a version never falls; the mesh never changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import DecodeError

from nova_proto.identity import certificates, names
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.v1 import identity_pb2

TRUST_BYTES_MAX = 512 << 10
ROOTS_MAX = 8
REVOKED_MAX = 4_000

_ECDSA = ec.ECDSA(hashes.SHA256())


def read_trust(
    signed: identity_pb2.SignedTrust,
    now: float,
    previous: identity_pb2.Trust | None = None,
    root_sha256: bytes | None = None,
) -> identity_pb2.Trust:
    """The document, checked against what is trusted: `previous`, or for who joins the hash of a
    root's public key, or with neither (what lies on one's own disk) its own roots.

    Raises IdentityError: identity_malformed, identity_wrong_mesh, identity_untrusted,
    identity_not_yet_valid, identity_expired."""
    trust = _parse(signed)
    if previous is not None:
        roots = list(previous.roots)
        _check_succession(trust, previous, signed.signer)
    elif root_sha256 is not None:
        roots = [r for r in trust.roots if root_key_sha256(r) == root_sha256]
    else:
        roots = list(trust.roots)
    key = certificates.verify_issuer(signed.signer, roots, now)
    try:
        key.verify(signed.signature, signed.trust, _ECDSA)
    except InvalidSignature:
        raise _untrusted("is not signed by who it says") from None
    return trust


def stored_trust(data: bytes) -> identity_pb2.Trust:
    """Of a SignedTrust from one's own disk, which was checked before it got there.

    Raises IdentityError: identity_malformed."""
    try:
        return _parse(identity_pb2.SignedTrust.FromString(data))
    except DecodeError:
        raise _malformed("not a protobuf message") from None


def sign_trust(
    trust: identity_pb2.Trust, key: ec.EllipticCurvePrivateKey, signer: bytes
) -> identity_pb2.SignedTrust:
    """`signer` is the certificate of the key, DER."""
    data = trust.SerializeToString(deterministic=True)
    return identity_pb2.SignedTrust(trust=data, signature=key.sign(data, _ECDSA), signer=signer)


def root_key_sha256(root: bytes) -> bytes:
    """The hash of the root's public key, as a token holds it. Raises IdentityError."""
    return certificates.public_key_sha256(certificates.key_of(certificates.parse(root)))


def revocations(trust: identity_pb2.Trust) -> dict[str, float]:
    """`<role>/<id>` -> unix seconds; certificates issued before count no more."""
    return {revoked.name: revoked.revoked_at for revoked in trust.revoked}


def check_not_revoked(facts: Facts, revoked: Mapping[str, float]) -> None:
    """Raises IdentityError: identity_revoked."""
    if facts.issued_at < revoked.get(facts.name.short, -math.inf):
        raise IdentityError(
            "identity_revoked",
            f"{facts.name.short} was revoked",
            f"ask an admin of {facts.name.mesh} for a token made for {facts.name.id}",
        )


def _parse(signed: identity_pb2.SignedTrust) -> identity_pb2.Trust:
    if len(signed.trust) > TRUST_BYTES_MAX:
        raise _malformed(f"{len(signed.trust)} bytes")
    try:
        trust = identity_pb2.Trust.FromString(signed.trust)
    except DecodeError:
        raise _malformed("not a protobuf message") from None
    names.check_mesh(trust.mesh)
    names.check_id(trust.authority)
    if not 1 <= len(trust.roots) <= ROOTS_MAX or len(trust.revoked) > REVOKED_MAX:
        raise _malformed(f"{len(trust.roots)} roots, {len(trust.revoked)} revoked names")
    if trust.version < 1 or not math.isfinite(trust.issued_at):
        raise _malformed("no version or no time")
    for root in trust.roots:
        if not certificates.is_issuer(certificates.parse(root), 0):
            raise _malformed("a root that may not sign")
    for revoked in trust.revoked:
        names.parse_short(trust.mesh, revoked.name)
        if not math.isfinite(revoked.revoked_at):
            raise _malformed("a revocation without a time")
    return trust


def _check_succession(
    trust: identity_pb2.Trust, previous: identity_pb2.Trust, signer: bytes
) -> None:
    if trust.mesh != previous.mesh:
        raise IdentityError(
            "identity_wrong_mesh",
            f"the trust document is of the mesh {trust.mesh}, not of {previous.mesh}",
        )
    if trust.version <= previous.version and trust != previous:
        raise _untrusted(f"has version {trust.version}, {previous.version} is known")
    if set(trust.roots) - set(previous.roots) and signer not in previous.roots:
        raise _untrusted("adds a root, and no trusted root signed it")


def _malformed(what: str) -> IdentityError:
    return IdentityError("identity_malformed", f"the trust document cannot be used: {what}")


def _untrusted(what: str) -> IdentityError:
    return IdentityError(
        "identity_untrusted",
        f"the trust document {what}",
        "if the mesh rotated its root while this machine was away, join again with a new token",
    )
