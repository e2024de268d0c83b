"""The keys that sign for a mesh, and the document that says which ones its members trust.

Rule: each new document is signed so that whoever holds the one before accepts it.
"""

from __future__ import annotations

from dataclasses import replace

from nova_proto.identity import certificates
from nova_proto.identity.trust import REVOKED_MAX, sign_trust
from nova_proto.v1 import identity_pb2

from nova_node.core.errors import Overloaded
from nova_node.identity.authority_files import Signer, State
from nova_node.identity.issuing import DAY_S, ends_at, make_intermediate, make_root

LIFETIME_S_MAX = 90 * DAY_S
"""Of a member's certificate. A revocation older than that has nothing left to revoke."""
NEW_ROOT_WAITS_S = 60.0
"""A new root signs nobody before its trust document had time to reach everybody."""
INTERMEDIATE_LEFT_S = 120 * DAY_S
"""One with less left is replaced: it must outlast whom it signs for."""


def publish(state: State, now: float) -> None:
    """The next version of what members trust, as the last one's readers accept it: while a root
    is being added, signed by the oldest."""
    replace_old_intermediates(state, now)
    state.revoked = {n: at for n, at in state.revoked.items() if at > now - LIFETIME_S_MAX}
    if len(state.revoked) > REVOKED_MAX:
        raise Overloaded(f"{REVOKED_MAX} names are revoked", "rotate the root: `nova-node rotate`")
    state.version += 1
    trust = identity_pb2.Trust(
        mesh=state.mesh,
        version=state.version,
        roots=[signer.root for signer in state.signers],
        revoked=[identity_pb2.Revoked(name=n, revoked_at=at) for n, at in state.revoked.items()],
        authority=state.node,
        issued_at=now,
        data_key=max(state.data_keys),
    )
    oldest = state.signers[0]
    key, certificate = oldest.key, oldest.certificate
    if len(state.signers) > 1:
        key, certificate = oldest.root_key, oldest.root
    signed = sign_trust(trust, certificates.key_from_pem(key), certificate)
    state.trust = signed.SerializeToString()


def new_signer(mesh: str, now: float) -> Signer:
    """A root and an intermediate below it, with new keys."""
    key = certificates.new_key()
    root = make_root(mesh, key, now)
    return _with_intermediate(Signer(now, certificates.key_to_pem(key), root, b"", b""), mesh, now)


def _with_intermediate(signer: Signer, mesh: str, now: float) -> Signer:
    key = certificates.new_key()
    root_key = certificates.key_from_pem(signer.root_key)
    certificate = make_intermediate(mesh, key.public_key(), root_key, signer.root, now)
    return replace(signer, key=certificates.key_to_pem(key), certificate=certificate)


def replace_old_intermediates(state: State, now: float) -> bool:
    """Of roots that outlast them. True when there were any."""
    old = [
        signer
        for signer in state.signers
        if ends_at(signer.certificate) < min(now + INTERMEDIATE_LEFT_S, ends_at(signer.root))
    ]
    state.signers = [
        _with_intermediate(s, state.mesh, now) if s in old else s for s in state.signers
    ]
    return bool(old)


def signer_for_members(state: State, now: float) -> Signer:
    """The newest that everybody can know by now."""
    known = [s for s in state.signers if s.made_at <= now - NEW_ROOT_WAITS_S]
    return known[-1] if known else state.signers[0]
