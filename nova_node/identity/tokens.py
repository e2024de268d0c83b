"""Who a token lets in: whether it counts, whose name it gives, and whether that name is free.

Rule: an id belongs to the key that came with it first, but a token made for the id overrides that.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.asymmetric import ec
from nova_proto.identity import certificates, names, token
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name
from nova_proto.identity.token import Token

from nova_node.identity.authority_files import Member, State, TokenRecord

KEPT_S = 24 * 3_600.0
"""Of a token that expired: so long it is told from one that never was."""


def redeem(state: State, given: Token, now: float) -> TokenRecord:
    """The record of a token that counts. Raises IdentityError: token_*."""
    record = state.tokens.get(given.id)
    kept = record.secret_hash if record else bytes(32)
    if not hmac.compare_digest(kept, token.secret_hash(given.secret)) or record is None:
        raise IdentityError(
            "token_invalid",
            "the token is not one of this mesh, or was revoked",
            "make a new one: `nova-node token create`",
        )
    if record.used_at is not None:
        raise IdentityError(
            "token_used",
            f"the token {record.id} was used {now - record.used_at:.0f} s ago",
            "each is for one use: `nova-node token create`; if that was not you, `nova-node revoke`",
        )
    if now >= record.expires_at:
        raise IdentityError(
            "token_expired",
            f"the token {record.id} expired {now - record.expires_at:.0f} s ago",
            "make a new one: `nova-node token create`",
        )
    return record


def name_for(state: State, record: TokenRecord, wanted_node_id: str) -> Name:
    """Who comes in by it; `wanted_node_id` "" is a person. Raises IdentityError."""
    if record.role != names.NODE_ROLE:
        if wanted_node_id:
            raise IdentityError(
                "token_invalid",
                f"the token is for a person ({record.role}), not for a node",
                "make one for a node: `nova-node token create --role worker`",
            )
        return Name(state.mesh, record.role, record.id)
    if not wanted_node_id:
        raise IdentityError(
            "token_invalid",
            "the token is for a node, not for a person",
            "use it with `nova-node join`, or make one for a person: `nova-node user add`",
        )
    name = Name(state.mesh, names.NODE_ROLE, names.check_id(wanted_node_id))
    if record.named and record.id != name.id:
        raise IdentityError(
            "token_invalid",
            f"the token is for the node {record.id}, not for {name.id}",
            "make one without an id: `nova-node token create`",
        )
    return name


def check_id_is_free(
    state: State, name: Name, public: ec.EllipticCurvePublicKey, record: TokenRecord
) -> None:
    """Nobody takes over the name of another. Raises IdentityError: token_invalid."""
    known = state.members.get(name.short)
    if known is None or record.named:
        return
    if known.revoked_at is not None:
        raise IdentityError("token_invalid", f"{name.short} was revoked", token_fix(name.id))
    if known.key_sha256 != certificates.public_key_sha256(public):
        raise IdentityError(
            "token_invalid", f"{name.short} is known with another key", token_fix(name.id)
        )


def check_same_key(known: Member, public: ec.EllipticCurvePublicKey) -> None:
    """Raises IdentityError: identity_revoked, identity_wrong_name."""
    _, _, member = known.name.partition("/")
    if known.revoked_at is not None:
        raise IdentityError("identity_revoked", f"{known.name} was revoked", token_fix(member))
    if known.key_sha256 != certificates.public_key_sha256(public):
        raise IdentityError(
            "identity_wrong_name", f"{known.name} is known with another key", token_fix(member)
        )


def token_fix(member: str) -> str:
    """What helps whoever has to prove anew that the id is theirs."""
    return f"join with a new token that was made for the id {member}"


def forget_tokens(state: State, now: float) -> None:
    """Drop those that expired long ago."""
    state.tokens = {i: t for i, t in state.tokens.items() if t.expires_at > now - KEPT_S}
