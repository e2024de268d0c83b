"""A mandate: what a submitter signs for the calls of one submit, and what a node checks of it.

Rule: the signature covers the owner, the request, the times, each demand and the digest of each call,
so that whoever forwards the work can neither change it nor give it to another owner.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import DecodeError

from nova_proto.identity.certificates import (
    CERTIFICATE_BYTES_MAX,
    CHAIN_MAX,
    Facts,
    key_from_pem,
    parse,
    read_leaf,
    verify_chain,
)
from nova_proto.identity.errors import IdentityError, shown
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.identity.trust import check_not_revoked
from nova_proto.v1 import identity_pb2, task_pb2, tasks_pb2

MANDATE_BYTES_MAX = 4 << 20
GROUPS_MAX = 1024
CALLS_MAX = 100_000
DEMAND_BYTES_MAX = 64 << 10

LIFE_S = 7 * 86_400.0
"""How long a client lets its mandates count; never longer than its certificate does."""

LIFE_MAX_S = 30 * 86_400.0
SKEW_S = 300.0
"""Clocks may differ by so much."""

DIGEST_BYTES = 32

_CONTEXT = b"nova mandate 1\n"
"""Before what is signed: the key signs other things too."""

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_CHAINS_REMEMBERED_MAX = 256
_CHAIN_AGAIN_S = 60.0


def digest(call: task_pb2.Call) -> bytes:
    """32 bytes that stand for the call."""
    if call.inputs:
        return sha256(b"\1" + call.SerializeToString(deterministic=True)).digest()
    return digest_of_args(call.args)


def digest_of_args(args: bytes) -> bytes:
    """The same, of a call without inputs."""
    return sha256(b"\0" + args).digest()


def digests(calls: Iterable[task_pb2.Call]) -> bytes:
    """Of each call in order, joined."""
    joined: list[bytes] = []
    last_args: bytes | None = None
    last = b""
    for call in calls:
        if call.inputs:
            joined.append(digest(call))
            continue
        args = call.args
        if args != last_args:
            last, last_args = digest_of_args(args), args
        joined.append(last)
    return b"".join(joined)


# ------------------------------------------------------------ signing


class Signer:
    """Signs the submits of one person or program."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes]) -> None:
        """`chain` begins with the certificate of `key`. Raises IdentityError."""
        facts = read_leaf(chain[0])
        self.name = facts.name
        self._not_after = facts.not_after
        self._key = key
        self._chain = tuple(chain)

    @classmethod
    def of(cls, credentials: Credentials) -> Signer:
        """Raises IdentityError."""
        return cls(key_from_pem(credentials.key_pem), credentials.chain)

    def sign(self, request: tasks_pb2.SubmitRequest, audience: str, now: float) -> bytes:
        """The mandate for a submit to the node `audience`."""
        manifest = identity_pb2.Manifest(
            mesh=self.name.mesh,
            audience=audience,
            request_id=request.request_id,
            issued_at=now,
            expires_at=min(now + LIFE_S, self._not_after),
            groups=[
                identity_pb2.ManifestGroup(
                    demand=group.demand.SerializeToString(deterministic=True),
                    calls=digests(group.calls),
                )
                for group in request.groups
            ],
        )
        return sign_mandate(manifest, self._key, self._chain)


def sign_mandate(
    manifest: identity_pb2.Manifest, key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes]
) -> bytes:
    signed = manifest.SerializeToString(deterministic=True)
    signature = key.sign(_CONTEXT + signed, _ALGORITHM)
    return identity_pb2.Mandate(
        manifest=signed, signature=signature, chain=chain
    ).SerializeToString()


# ------------------------------------------------------------ verifying


class Verified(NamedTuple):
    """A mandate whose signature is its submitter's and whose submitter is a member."""

    submitter: Name
    audience: str
    #: unix seconds; the earlier of the mandate's own end and that of the submitter's certificate
    expires_at: float
    #: each a Demand as it was signed, and the digests of its calls
    groups: tuple[tuple[bytes, bytes], ...]


class _Signatory(NamedTuple):
    facts: Facts
    key: Any
    checked_at: float


class Verifier:
    """Checks mandates against what the mesh trusts now; make a new one when that changes."""

    def __init__(self, mesh: str, roots: Sequence[bytes], revoked: Mapping[str, float]) -> None:
        """`revoked`: by "<role>/<id>", when; certificates issued before count no more."""
        self._mesh = mesh
        self._roots = tuple(roots)
        self._revoked = revoked
        self._signatories: OrderedDict[tuple[bytes, ...], _Signatory] = OrderedDict()

    def verify(self, signed: bytes, now: float) -> Verified:
        """Raises IdentityError: mandate_invalid, mandate_expired, or what is wrong with the submitter's
        certificate."""
        mandate, manifest = _read(signed)
        _check_times(manifest, now)
        facts, key, _ = self._signatory(tuple(mandate.chain), now)
        mesh, signature = manifest.mesh, mandate.signature
        if mesh != self._mesh:
            raise _invalid(f"it is for the mesh {shown(mesh)}, not for {self._mesh}")
        try:
            key.verify(signature, _CONTEXT + mandate.manifest, _ALGORITHM)
        except InvalidSignature:
            raise _invalid("its signature is not of its certificate's key") from None
        return Verified(
            facts.name,
            manifest.audience,
            min(manifest.expires_at, facts.not_after),
            tuple([(group.demand, group.calls) for group in manifest.groups]),
        )

    def _signatory(self, chain: tuple[bytes, ...], now: float) -> _Signatory:
        known = self._signatories.get(chain)
        if known is None or not 0.0 <= now - known.checked_at < _CHAIN_AGAIN_S:
            facts = verify_chain(chain, self._roots, now, self._mesh)
            check_not_revoked(facts, self._revoked)
            key: Any = parse(facts.der).public_key()
            known = self._signatories[chain] = _Signatory(facts, key, now)
            if len(self._signatories) > _CHAINS_REMEMBERED_MAX:
                self._signatories.popitem(last=False)
        if now > known.facts.not_after:
            raise IdentityError(
                "identity_expired",
                f"the certificate of {known.facts.name.short} has ended",
                "renew it",
            )
        return known


def verify_mandate(
    signed: bytes, mesh: str, roots: Sequence[bytes], revoked: Mapping[str, float], now: float
) -> Verified:
    """One mandate; see Verifier for many."""
    return Verifier(mesh, roots, revoked).verify(signed, now)


def read_manifest(signed: bytes, now: float) -> identity_pb2.Manifest:
    """What a mandate says; of form and times only is checked whether they can be. Raises IdentityError:
    mandate_invalid, mandate_expired, mandate_not_yet_valid."""
    manifest = _read(signed)[1]
    _check_times(manifest, now)
    return manifest


def audience_of(signed: bytes) -> str:
    """The owner that a mandate says it is for; nothing else is checked. Raises IdentityError."""
    return _read(signed)[1].audience


def _read(signed: bytes) -> tuple[identity_pb2.Mandate, identity_pb2.Manifest]:
    """Bounded and of the right form. Raises IdentityError: mandate_invalid."""
    if not 0 < len(signed) <= MANDATE_BYTES_MAX:
        raise _invalid(f"it has {len(signed)} bytes")
    try:
        mandate = identity_pb2.Mandate.FromString(signed)
        manifest = identity_pb2.Manifest.FromString(mandate.manifest)
    except (DecodeError, ValueError):  # text that is not UTF-8 is a ValueError
        raise _invalid("it cannot be read") from None
    if not 1 <= len(mandate.chain) <= CHAIN_MAX or len(mandate.signature) > 128:
        raise _invalid("it is not signed")
    if any(len(der) > CERTIFICATE_BYTES_MAX for der in mandate.chain):
        raise _invalid("its certificates are too large")
    groups = manifest.groups
    if not 1 <= len(groups) <= GROUPS_MAX:
        raise _invalid(f"it has {len(groups)} groups")
    calls = 0
    for group in groups:
        count, rest = divmod(len(group.calls), DIGEST_BYTES)
        calls += count
        if rest or not count or len(group.demand) > DEMAND_BYTES_MAX:
            raise _invalid("one of its groups cannot be read")
    if calls > CALLS_MAX:
        raise _invalid(f"it is for {calls} calls")
    return mandate, manifest


def _check_times(manifest: identity_pb2.Manifest, now: float) -> None:
    life_s = manifest.expires_at - manifest.issued_at
    if not 0.0 < life_s <= LIFE_MAX_S:  # false for NaN too
        raise _invalid(f"it counts for {life_s:g} s")
    if not manifest.issued_at <= now + SKEW_S:
        raise IdentityError(
            "mandate_not_yet_valid",
            f"the mandate was signed {manifest.issued_at - now:.0f} s from now",
            "see that the clocks of both machines are right",
        )
    if not now < manifest.expires_at:
        raise _expired(f"the mandate ended {now - manifest.expires_at:.0f} s ago")


def _expired(message: str) -> IdentityError:
    return IdentityError("mandate_expired", message, "submit the task again")


def _invalid(why: str) -> IdentityError:
    return IdentityError(
        "mandate_invalid",
        f"the mandate does not count: {why}",
        "submit again with the SDK or `nova run` of this version",
    )
