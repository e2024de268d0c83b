"""Looks at this node's own identity, and at what a peer shows. Loads cryptography when there is one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nova_node.address import Address
from nova_node.config import NodeConfig
from nova_node.doctor.facts import Own, Refusal

if TYPE_CHECKING:
    from nova_proto.identity.errors import IdentityError
    from nova_proto.identity.folder import Credentials


def own_identity(config: NodeConfig) -> tuple[Own | None, Credentials | None]:
    """What there is to say of it, and what to call peers with when it counts."""
    where = config.storage.data_dir / "identity"
    if not (where / "chain.pem").exists():
        return None, None
    from nova_proto.identity import certificates, folder
    from nova_proto.identity.errors import IdentityError
    from nova_proto.identity.trust import check_not_revoked, revocations, stored_trust

    own = Own()
    now = time.time()
    try:
        credentials = folder.load(where)
        trust = stored_trust(credentials.trust)
        facts = certificates.read_leaf(credentials.chain[0])
        own = Own(
            None,
            facts.name.short,
            facts.name.mesh,
            trust.authority,
            facts.not_after - facts.issued_at,
            facts.not_after - now,
            max(trust.issued_at, facts.issued_at) - now,
        )
        certificates.verify_chain(credentials.chain, trust.roots, now, facts.name.mesh)
        check_not_revoked(facts, revocations(trust))
    except IdentityError as error:
        return own._replace(refusal=_refusal(error)), None
    return own, credentials


def tls_refusal(address: Address, credentials: Credentials, timeout_s: float) -> Refusal | None:
    """Why TLS with whoever listens there fails; None when it does not."""
    from nova_proto.identity import tls

    error = tls.explain(address.host, address.port, credentials, timeout_s=timeout_s)
    return _refusal(error) if error is not None else None


def _refusal(error: IdentityError) -> Refusal:
    return Refusal(error.code, error.message, error.fix)
