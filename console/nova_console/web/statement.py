"""What a member of the mesh signs so that a browser comes in, and what the server signs first.

Rule: it names its purpose, the code, and the TLS certificate that the two of them met behind, so that
it counts for nothing else and nowhere else.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from nova_client import Invalid, Refused
from nova_client.identity import to_error
from nova_proto.identity import certificates
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.trust import check_not_revoked, revocations, stored_trust

SERVES, SIGNS_IN = "serves", "signs in"
BYTES_MAX = 16 << 10
LIFE_S = 300.0

_CONTEXT = b"nova web 1\n"
_ECDSA = ec.ECDSA(hashes.SHA256())


def sign(by: Credentials, purpose: str, code: str, leaf_sha256: str, nonce: str = "") -> str:
    """Of now, as JSON."""
    said = {
        "purpose": purpose,
        "mesh": by.name.mesh,
        "code": code,
        "leaf_sha256": leaf_sha256,
        "nonce": nonce,
        "at": time.time(),
    }
    text = json.dumps(said)
    signature = certificates.key_from_pem(by.key_pem).sign(_CONTEXT + text.encode(), _ECDSA)
    chain = [base64.b64encode(der).decode() for der in by.chain]
    return json.dumps(
        {"said": text, "signature": base64.b64encode(signature).decode(), "chain": chain}
    )


def verify(
    signed: str, trusting: Credentials, purpose: str, code: str, leaf_sha256: str, nonce: str = ""
) -> Facts:
    """Of whoever signed it. Raises Refused, Invalid: the codes of identity, and what does not fit."""
    text, signature, chain = _read(signed)
    try:
        trust = stored_trust(trusting.trust)
        facts = certificates.verify_chain(chain, trust.roots, time.time(), trusting.name.mesh)
        check_not_revoked(facts, revocations(trust))
        key = certificates.key_of(certificates.parse(facts.der))
        key.verify(signature, _CONTEXT + text.encode(), _ECDSA)
    except IdentityError as error:
        raise to_error(error) from None
    except InvalidSignature:
        raise Refused("it is not signed by the key of its certificate", "sign in again") from None
    said = _object(text)
    wanted = {
        "purpose": purpose,
        "mesh": trusting.name.mesh,
        "code": code,
        "leaf_sha256": leaf_sha256,
        "nonce": nonce,
    }
    wrong = [name for name, value in wanted.items() if said.get(name) != value]
    if wrong:
        raise Refused(
            f"what was signed is for another {wrong[0].replace('leaf_sha256', 'TLS certificate')}",
            "somebody may stand between; sign in from a network that you trust",
        )
    at = said.get("at")
    if not isinstance(at, float) or not abs(time.time() - at) <= LIFE_S:
        raise Refused("what was signed is not of now", "see that the clocks of both are right")
    return facts


def still_counts(name: str, issued_at: float, trusting: Credentials) -> bool:
    """Whether the mesh has not revoked them since. Raises NovaError."""
    try:
        revoked = revocations(stored_trust(trusting.trust))
    except IdentityError as error:
        raise to_error(error) from None
    return issued_at >= revoked.get(name, 0.0)


def _read(signed: str) -> tuple[str, bytes, tuple[bytes, ...]]:
    if len(signed) > BYTES_MAX:
        raise Invalid("the statement is too large", "sign in again")
    given = _object(signed)
    text, signature, chain = given.get("said"), given.get("signature"), given.get("chain")
    if not isinstance(text, str) or not isinstance(signature, str) or not isinstance(chain, list):
        raise Invalid("the statement is not whole", "sign in again")
    try:
        ders = tuple(base64.b64decode(der, validate=True) for der in cast("list[str]", chain))
        return text, base64.b64decode(signature, validate=True), ders
    except (ValueError, TypeError):
        raise Invalid("the statement is not base64", "sign in again") from None


def _object(text: str) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("the statement is no JSON object", "sign in again")
    return cast("Mapping[str, Any]", found)
