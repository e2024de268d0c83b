"""Each way a certificate, a chain or a request can be wrong is told from the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from nova_proto.identity import certificates, names
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name
from support import forge
from support.forge import CLIENT, HOUR_S, NODE, NOW, PERSON, SERVER, Mesh, dns, uri

MESH = Mesh()
OTHER = Mesh()
DNS = dns(names.server_name(NODE.mesh, NODE.id))
RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(IdentityError) as refusal:
        call()
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 400
    return refusal.value.code


def verify(chain: Any, roots: Any = (MESH.root,), now: float = NOW) -> certificates.Facts:
    return certificates.verify_chain(chain, roots, now, forge.MESH)


@pytest.mark.parametrize("name", [NODE, PERSON, Name(forge.MESH, "admin", "ada")])
def test_a_good_chain_says_whose_it_is(name: Name) -> None:
    key = certificates.new_key()
    facts = verify(MESH.chain(name, key))
    assert facts.name == name
    assert facts.public_key_sha256 == certificates.public_key_sha256(key.public_key())
    assert facts.issued_at == NOW
    assert facts.not_before == NOW - certificates.BACKDATE_S
    assert facts.not_after == NOW + HOUR_S
    assert int(facts.serial, 16) > 0


def test_the_forge_makes_good_ones_when_told_nothing() -> None:
    assert verify(MESH.forged()).name == NODE
    key = certificates.new_key()
    between = forge.forged_issuer(MESH.root_key, MESH.root, key)
    assert verify((forge.forge(key, between), between)).name == NODE
    assert verify((forge.forge(MESH.root_key, MESH.root),)).name == NODE


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")

BAD_LEAVES: dict[str, dict[str, Any]] = {
    "two URI names": {"names": (uri(NODE.uri), uri(PERSON.uri), DNS)},
    "the same URI name twice": {"names": (uri(NODE.uri), uri(NODE.uri), DNS)},
    "no URI name": {"names": (DNS,)},
    "no names": {"names": ()},
    "a name of another kind": {"names": (uri(NODE.uri), DNS, x509.RFC822Name("a@example"))},
    "no DNS name": {"names": (uri(NODE.uri),)},
    "another node's DNS name": {"names": (uri(NODE.uri), dns("node-b.node.example.nova"))},
    "two DNS names": {"names": (uri(NODE.uri), DNS, dns("node-b.node.example.nova"))},
    "a wildcard": {"names": (uri(NODE.uri), dns("*.node.example.nova"))},
    "a person with a DNS name": {
        "names": (uri(PERSON.uri), dns("ada.node.example.nova")),
        "purposes": (CLIENT,),
    },
    "an unknown role": {"names": (uri("spiffe://example/root/node-a"), DNS)},
    "CA:true": {"ca": True},
    "CA:true with a path length": {"ca": True, "path_length": 0, "signs_certificates": True},
    "may sign certificates": {"signs_certificates": True},
    "may not sign": {"digital_signature": False},
    "no basic constraints": {"basic": False},
    "no purpose": {"purposes": None},
    "a node for clients only": {"purposes": (CLIENT,)},
    "a person for servers too": {"names": (uri(PERSON.uri),), "purposes": (CLIENT, SERVER)},
    "any purpose": {"purposes": (x509.ObjectIdentifier("2.5.29.37.0"),)},
    "an RSA key": {"key": RSA},
    "a P-384 key": {"key": P384},
    "an Ed25519 key": {"key": ED25519},
    "an unknown critical extension": {"more": ((UNKNOWN, True),)},
}


@pytest.mark.parametrize("wrong", BAD_LEAVES.values(), ids=BAD_LEAVES)
def test_a_leaf_that_no_authority_makes(wrong: dict[str, Any]) -> None:
    chain = MESH.forged(**wrong)
    assert code_of(lambda: certificates.read_leaf(chain[0])) == "identity_malformed"
    assert code_of(lambda: verify(chain)) == "identity_malformed"


def test_an_unknown_extension_that_is_not_critical_does_no_harm() -> None:
    assert verify(MESH.forged(more=((UNKNOWN, False),))).name == NODE


def chain_below(**wrong: Any) -> tuple[bytes, bytes]:
    """A good leaf below an intermediate with something wrong."""
    key = certificates.new_key()
    between = forge.forged_issuer(MESH.root_key, MESH.root, key, **wrong)
    return forge.forge(key, between), between


def too_long() -> tuple[bytes, ...]:
    """An intermediate that let another in below itself."""
    key = certificates.new_key()
    between = forge.forged_issuer(MESH.key, MESH.intermediate, key)
    return forge.forge(key, between), between, MESH.intermediate


def below_a_leaf() -> tuple[bytes, ...]:
    key = certificates.new_key()
    leaf, intermediate = MESH.chain(NODE, key)
    return forge.forge(key, leaf), leaf, intermediate


UNTRUSTED: dict[str, Callable[[], tuple[bytes, ...]]] = {
    "of another mesh's root": OTHER.chain,
    "self-signed": lambda: (_self_signed(),),
    "no intermediate": lambda: MESH.chain()[:1],
    "another intermediate": lambda: (MESH.chain()[0], OTHER.intermediate),
    "in the wrong order of three": lambda: (MESH.chain()[0], MESH.root, MESH.intermediate),
    "with the root": lambda: (*MESH.chain(), MESH.root),
    "path length of the intermediate": too_long,
    "path length of the root": lambda: _three_authorities(),
    "below a leaf": below_a_leaf,
    "an intermediate that is no authority": lambda: chain_below(ca=False, path_length=None),
    "an intermediate that may not sign": lambda: chain_below(signs_certificates=False),
    "an intermediate without a path length": lambda: chain_below(path_length=None),
    "an intermediate without constraints": lambda: chain_below(basic=False),
    "signed with SHA-384": lambda: MESH.forged(hash_algorithm=hashes.SHA384()),
    "signed by another key": lambda: (
        forge.forge(certificates.new_key(), MESH.intermediate),
        MESH.intermediate,
    ),
    "signed by the root, of another name": lambda: (
        forge.forge(
            MESH.root_key, MESH.root, issuer_name=certificates.parse(MESH.intermediate).subject
        ),
    ),
}


def _self_signed() -> bytes:
    key = certificates.new_key()
    return forge.forge(key, None, key=key)


def _three_authorities() -> tuple[bytes, ...]:
    upper_key, lower_key = certificates.new_key(), certificates.new_key()
    upper = forge.forged_issuer(MESH.root_key, MESH.root, upper_key, path_length=5)
    lower = forge.forged_issuer(upper_key, upper, lower_key)
    return forge.forge(lower_key, lower), lower, upper


@pytest.mark.parametrize("chain", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_chain_that_leads_nowhere(chain: Callable[[], tuple[bytes, ...]]) -> None:
    made = chain()
    assert code_of(lambda: verify(made)) == "identity_untrusted"


def test_a_chain_without_or_with_too_many_certificates() -> None:
    assert code_of(lambda: verify(())) == "identity_malformed"
    assert code_of(lambda: verify(MESH.chain() * 1_000)) == "identity_malformed"


@pytest.mark.parametrize("key", [RSA, P384], ids=["RSA", "P-384"])
def test_an_intermediate_with_another_kind_of_key(key: Any) -> None:
    between = forge.forged_issuer(MESH.root_key, MESH.root, key)
    chain = forge.forge(key, between), between
    assert code_of(lambda: verify(chain)) == "identity_malformed"


def test_no_roots_trust_nobody() -> None:
    assert code_of(lambda: verify(MESH.chain(), ())) == "identity_untrusted"


def test_either_of_two_roots_will_do() -> None:
    both = (OTHER.root, MESH.root)
    assert verify(MESH.chain(), both).name == verify(OTHER.chain(), both).name == NODE


def test_another_mesh_is_named_also_when_its_root_is_trusted() -> None:
    elsewhere = Mesh("elsewhere")
    chain = elsewhere.chain(Name("elsewhere", "worker", "node-a"))
    assert code_of(lambda: verify(chain)) == "identity_wrong_mesh"
    assert code_of(lambda: verify(chain, (elsewhere.root,))) == "identity_wrong_mesh"
    assert certificates.verify_chain(chain, (elsewhere.root,), NOW).name.mesh == "elsewhere"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (NOW - certificates.BACKDATE_S - 1, "identity_not_yet_valid"),
        (NOW + HOUR_S + 1, "identity_expired"),
    ],
)
def test_outside_its_time(now: float, code: str) -> None:
    chain = MESH.chain()
    assert verify(chain, now=NOW - certificates.BACKDATE_S).name == NODE
    assert verify(chain, now=NOW + HOUR_S).name == NODE
    assert code_of(lambda: verify(chain, now=now)) == code


def test_what_an_authority_signed_ends_with_it() -> None:
    over = {"begins": NOW - 2 * HOUR_S, "ends": NOW - HOUR_S}
    early = {"begins": NOW + HOUR_S, "ends": NOW + 2 * HOUR_S}
    assert code_of(lambda: verify(chain_below(**over))) == "identity_expired"
    assert code_of(lambda: verify(chain_below(**early))) == "identity_not_yet_valid"


def test_an_expired_certificate_of_strangers_is_untrusted_first() -> None:
    chain = OTHER.chain()
    assert code_of(lambda: verify(chain, now=NOW + 2 * HOUR_S)) == "identity_untrusted"


@pytest.mark.parametrize(
    "der", [b"", b"\0", b"0", b"0\x80", b"\xff" * 8_192, MESH.root[:-1], MESH.root + b"\0"]
)
def test_bytes_that_are_no_certificate(der: bytes) -> None:
    assert code_of(lambda: certificates.parse(der)) == "identity_malformed"


def test_a_huge_certificate_is_not_even_parsed() -> None:
    huge = MESH.forged(more=((x509.UnrecognizedExtension(UNKNOWN.oid, bytes(20_000)), False),))
    assert code_of(lambda: verify(huge)) == "identity_malformed"
    assert code_of(lambda: certificates.parse(bytes(10_000_000))) == "identity_malformed"


def test_any_flipped_byte_is_noticed() -> None:
    leaf, intermediate = MESH.chain()
    for at in range(0, len(leaf), 7):
        damaged = leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :]
        with pytest.raises(IdentityError):
            verify((damaged, intermediate))


# ------------------------------------------------------------ requests and keys


def request_of(key: Any, hash_algorithm: Any = None, subject: str = "worker/node-z") -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    wanted = x509.SubjectAlternativeName([uri("spiffe://example/admin/mallory")])
    builder = x509.CertificateSigningRequestBuilder(name).add_extension(wanted, critical=False)
    made = builder.sign(key, hash_algorithm)
    return made.public_bytes(serialization.Encoding.DER)


def test_a_request_gives_its_key_and_no_name() -> None:
    key = certificates.new_key()
    assert certificates.read_request(certificates.request(key)) == key.public_key()
    assert certificates.read_request(request_of(key, hashes.SHA256())) == key.public_key()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, hashes.SHA256()),
        (P384, hashes.SHA256()),
        (ED25519, None),
        (certificates.new_key(), hashes.SHA384()),
    ],
    ids=["RSA", "P-384", "Ed25519", "SHA-384"],
)
def test_a_request_with_another_kind_of_key_or_signature(key: Any, algorithm: Any) -> None:
    der = request_of(key, algorithm)
    assert code_of(lambda: certificates.read_request(der)) == "identity_malformed"


def test_a_request_signed_by_another_key() -> None:
    mine, theirs = certificates.new_key(), certificates.new_key()
    point, stolen = (
        k.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        for k in (mine, theirs)
    )
    der = certificates.request(mine).replace(point, stolen)
    assert code_of(lambda: certificates.read_request(der)) == "identity_malformed"


@pytest.mark.parametrize("der", [b"", b"\0" * 100, b"0" * 9_000, MESH.root])
def test_bytes_that_are_no_request(der: bytes) -> None:
    assert code_of(lambda: certificates.read_request(der)) == "identity_malformed"


def test_a_key_is_read_as_it_is_written() -> None:
    key = certificates.new_key()
    again = certificates.key_from_pem(certificates.key_to_pem(key))
    assert again.private_numbers() == key.private_numbers()


def test_what_is_no_key() -> None:
    def pem(key: Any) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    locked = certificates.new_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    for wrong in (b"", b"nothing", pem(RSA), pem(P384), pem(ED25519), locked):
        assert code_of(lambda wrong=wrong: certificates.key_from_pem(wrong)) == "identity_malformed"


def test_pem_and_back() -> None:
    chain = MESH.chain()
    pem = certificates.der_to_pem(chain)
    assert certificates.pem_to_der(pem) == chain
    assert [c.public_bytes(serialization.Encoding.DER) for c in _load_pem(pem)] == list(chain)
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for wrong in (b"", b"text", begin, begin + b"\n****\n" + end, begin + b"A" + end):
        assert code_of(lambda wrong=wrong: certificates.pem_to_der(wrong)) == "identity_malformed"


def _load_pem(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)
