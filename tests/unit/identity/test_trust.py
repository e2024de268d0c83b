"""Whose word about the mesh counts, and after which."""

from __future__ import annotations

import math
from typing import Any

import pytest
from nova_proto.identity import certificates, trust
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.trust import (
    check_not_revoked,
    read_trust,
    revocations,
    root_key_sha256,
    sign_trust,
    stored_trust,
)
from nova_proto.v1.identity_pb2 import Revoked, SignedTrust, Trust
from support import forge
from support.forge import NOW, Mesh

MESH = Mesh()
NEW = Mesh()


def document(version: int = 1, **changed: Any) -> Trust:
    values: dict[str, Any] = {
        "mesh": forge.MESH,
        "version": version,
        "roots": [MESH.root],
        "authority": "node-a",
        "issued_at": NOW,
        "data_key": 1,
    }
    return Trust(**{**values, **changed})


def by_intermediate(document: Trust, mesh: Mesh = MESH) -> SignedTrust:
    return sign_trust(document, mesh.key, mesh.intermediate)


def by_root(document: Trust, mesh: Mesh = MESH) -> SignedTrust:
    return sign_trust(document, mesh.root_key, mesh.root)


def code_of(signed: SignedTrust, now: float = NOW, **known: Any) -> str:
    with pytest.raises(IdentityError) as refusal:
        read_trust(signed, now, **known)
    return refusal.value.code


def test_who_joins_knows_only_the_hash_of_the_root() -> None:
    for signed in (by_intermediate(document()), by_root(document())):
        known = root_key_sha256(MESH.root)
        assert read_trust(signed, NOW, root_sha256=known) == document()
        assert code_of(signed, root_sha256=root_key_sha256(NEW.root)) == "identity_untrusted"
        assert code_of(signed, root_sha256=bytes(32)) == "identity_untrusted"


def test_the_root_of_the_token_has_to_be_the_one_that_signed() -> None:
    both = by_intermediate(document(roots=[MESH.root, NEW.root]), NEW)
    assert code_of(both, root_sha256=root_key_sha256(MESH.root)) == "identity_untrusted"
    assert read_trust(both, NOW, root_sha256=root_key_sha256(NEW.root)).version == 1


def test_a_member_takes_what_is_newer() -> None:
    signed = by_intermediate(document(2, revoked=[Revoked(name="worker/node-b", revoked_at=NOW)]))
    taken = read_trust(signed, NOW, document(1))
    assert revocations(taken) == {"worker/node-b": NOW}


def test_a_member_keeps_what_it_knows() -> None:
    assert read_trust(by_root(document(2)), NOW, document(2)) == document(2)
    assert code_of(by_root(document(1)), previous=document(2)) == "identity_untrusted"
    other = document(2, authority="node-b")
    assert code_of(by_root(other), previous=document(2)) == "identity_untrusted"


def test_the_mesh_stays_the_same() -> None:
    signed = by_root(document(2, mesh="elsewhere"))
    assert code_of(signed, previous=document(1)) == "identity_wrong_mesh"


def test_strangers_say_nothing() -> None:
    for signed in (by_root(document(2), NEW), by_intermediate(document(2), NEW)):
        assert code_of(signed, previous=document(1)) == "identity_untrusted"
    forged = SignedTrust(
        trust=document(2).SerializeToString(), signature=b"0", signer=MESH.intermediate
    )
    assert code_of(forged, previous=document(1)) == "identity_untrusted"


def test_a_member_may_not_sign() -> None:
    key = certificates.new_key()
    leaf, _ = MESH.chain(forge.NODE, key)
    signed = sign_trust(document(2), key, leaf)
    assert code_of(signed, previous=document(1)) == "identity_untrusted"


@pytest.mark.parametrize("field", ["trust", "signature", "signer"])
def test_any_flipped_byte_is_noticed(field: str) -> None:
    signed = by_intermediate(document(2))
    good: bytes = getattr(signed, field)
    for at in range(0, len(good), 11):
        damaged = SignedTrust()
        damaged.CopyFrom(signed)
        setattr(damaged, field, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        code_of(damaged, previous=document(1))


def test_only_a_trusted_root_adds_another() -> None:
    wider = document(2, roots=[MESH.root, NEW.root])
    assert len(read_trust(by_root(wider), NOW, document(1)).roots) == 2
    assert code_of(by_intermediate(wider), previous=document(1)) == "identity_untrusted"
    assert code_of(by_root(wider, NEW), previous=document(1)) == "identity_untrusted"
    swapped = document(2, roots=[NEW.root])
    assert code_of(by_intermediate(swapped, NEW), previous=document(1)) == "identity_untrusted"
    assert list(read_trust(by_root(swapped), NOW, document(1)).roots) == [NEW.root]


def test_an_intermediate_below_the_new_root_may_drop_the_old_one() -> None:
    wider = document(2, roots=[MESH.root, NEW.root])
    narrow = by_intermediate(document(3, roots=[NEW.root]), NEW)
    assert list(read_trust(narrow, NOW, wider).roots) == [NEW.root]


def test_a_signer_outside_its_time() -> None:
    year_s = 366 * 86_400.0
    signed = by_intermediate(document(2))
    assert code_of(signed, NOW + year_s, previous=document(1)) == "identity_expired"
    assert code_of(signed, NOW - 3_600, previous=document(1)) == "identity_not_yet_valid"
    assert read_trust(by_root(document(2)), NOW + year_s, document(1)).version == 2


MALFORMED: dict[str, dict[str, Any]] = {
    "no mesh": {"mesh": ""},
    "a mesh that is no label": {"mesh": "../x"},
    "no authority": {"authority": ""},
    "no version": {"version": 0},
    "no roots": {"roots": []},
    "many roots": {"roots": [MESH.root] * (trust.ROOTS_MAX + 1)},
    "a root that is none": {"roots": [b"root"]},
    "an intermediate that may sign nothing": {"roots": [MESH.chain()[0]]},
    "a name that is none": {"revoked": [Revoked(name="node-b")]},
    "markup for a name": {"revoked": [Revoked(name="worker/[red]\x1b[0m")]},
    "a time that is none": {"revoked": [Revoked(name="worker/b", revoked_at=math.nan)]},
    "an endless time": {"issued_at": math.inf},
    "many names": {"revoked": [Revoked(name=f"worker/{n}") for n in range(trust.REVOKED_MAX + 1)]},
}


@pytest.mark.parametrize("changed", MALFORMED.values(), ids=MALFORMED)
def test_a_document_that_no_authority_makes(changed: dict[str, Any]) -> None:
    given: dict[str, Any] = {"version": 2, **changed}
    assert code_of(by_root(document(**given)), previous=document(1)) == "identity_malformed"


def test_bytes_that_are_no_document() -> None:
    for data in (b"\xff\xff", bytes(10_000_000)):
        assert code_of(SignedTrust(trust=data)) == "identity_malformed"
        with pytest.raises(IdentityError):
            stored_trust(data)


def test_one_s_own_disk_is_believed() -> None:
    signed = by_root(document(7))
    assert read_trust(signed, NOW) == stored_trust(signed.SerializeToString()) == document(7)


def test_certificates_issued_before_a_revocation_count_no_more() -> None:
    chain = MESH.chain()
    facts = certificates.verify_chain(chain, [MESH.root], NOW)
    check_not_revoked(facts, {})
    check_not_revoked(facts, {"worker/node-b": NOW + 1, "admin/node-a": NOW + 1})
    check_not_revoked(facts, {"worker/node-a": NOW})
    with pytest.raises(IdentityError) as refusal:
        check_not_revoked(facts, {"worker/node-a": NOW + 1})
    assert refusal.value.code == "identity_revoked"
