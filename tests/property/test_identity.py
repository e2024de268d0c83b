"""Whatever is said about identity, its readers accept what is true or refuse with one typed error.

Each case is made from a seed, which a failure names: `CASES[name](Random(seed))` repeats it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from google.protobuf.message import DecodeError
from nova_proto.identity import certificates, mandate, names, trust
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import ROLES, Name
from nova_proto.identity.token import Token, parse_token
from nova_proto.v1 import mesh_pb2, task_pb2, tasks_pb2
from nova_proto.v1.identity_pb2 import Mandate, Manifest, Revoked, SignedTrust, Trust
from support import forge
from support.forge import NOW, Mesh

from nova_node.adapters.wire_members import member_from_pb, member_to_pb
from nova_node.core import policy
from nova_node.core.errors import Invalid
from nova_node.core.model import Digest, Member
from nova_node.identity.authority import Authority

MESH, OTHER = Mesh(), Mesh()
KEY = certificates.new_key()
LEAF, BETWEEN = MESH.chain(forge.NODE, KEY)
GOOD = certificates.read_leaf(LEAF)
REQUEST = certificates.request(KEY)
DOCUMENT = Trust(
    mesh=forge.MESH,
    version=2,
    roots=[MESH.root],
    revoked=[Revoked(name="worker/node-b", revoked_at=NOW)],
    authority="node-a",
    issued_at=NOW,
    data_key=1,
)
SIGNED = trust.sign_trust(DOCUMENT, MESH.key, MESH.intermediate)
BEFORE = Trust(mesh=forge.MESH, version=1, roots=[MESH.root], authority="node-a")
SUBMIT = tasks_pb2.SubmitRequest(
    request_id="r1",
    groups=[task_pb2.Group(demand=task_pb2.Demand(capability="a.b"), calls=[task_pb2.Call()] * 3)],
)
MANDATE = mandate.Signer(KEY, [LEAF, BETWEEN]).sign(SUBMIT, "node-a", NOW)


def _member() -> bytes:
    pb = mesh_pb2.Member()
    digest = Digest(7, 2, 1, 3, 4)
    member_to_pb(Member("node-a", "ada", "10.0.0.5:7600", 3, digest=digest, mesh="example"), pb)
    return pb.SerializeToString()


MEMBER = _member()

LABEL = "abcdefghijklmnopqrstuvwxyz0123456789"
ODD = "AZ-_./:@%?#* \0\n\t\x1b\x7f\u202e\u0661é[]\ud800" + LABEL[:3]


def label(random: Random) -> str:
    inside = "".join(random.choices(LABEL + "-", k=random.randrange(62)))
    return random.choice(LABEL) + inside + random.choice(LABEL)


def odd_text(random: Random) -> str:
    return "".join(random.choices(ODD, k=random.choice((0, 1, 5, 40, 400))))


def damaged_text(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    kind = random.randrange(4)
    if kind == 0:
        return text[:at] + odd_text(random) + text[at:]
    if kind == 1:
        return text[:at] + random.choice(ODD) + text[at + 1 :]
    if kind == 2:
        return text[:at]
    return text[:at] + text[random.randrange(len(text) + 1) :]


def damaged(random: Random, data: bytes) -> bytes:
    """A few bytes of it changed, added, taken or repeated; or all of it something else."""
    if random.random() < 0.02:
        return random.randbytes(random.choice((0, 1, 100, 5_000, 20_000)))
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        at = random.randrange(len(changed) + 1)
        until = at + random.choice((0, 1, 1, 2, 30))
        changed[at:until] = random.choice(
            (b"", bytes(until - at), random.randbytes(until - at), random.randbytes(2), data[:9])
        )
    if random.random() < 0.3 and changed:
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def refused(call: Callable[[], Any]) -> bool:
    """Any other error than a typed one fails the test, and so does a message that is not one."""
    error = None
    try:
        call()
    except (IdentityError, Invalid) as raised:
        error = raised
    if error is None:
        return False
    assert error.code
    assert error.message.isprintable()
    assert len(error.message) < 1_000
    return True


# ------------------------------------------------------------ the cases


def token_text(random: Random) -> None:
    token = Token(random.randbytes(32), label(random), random.randbytes(32))
    assert parse_token(f" {token.text}\n") == token
    other = damaged_text(random, token.text)
    if not refused(lambda: parse_token(other)):
        assert parse_token(other).text == other.strip()


def name_text(random: Random) -> None:
    name = Name(label(random), random.choice(ROLES), label(random))
    assert names.parse_uri(name.uri) == name
    assert names.parse_short(name.mesh, name.short) == name
    for text in (damaged_text(random, name.uri), odd_text(random)):
        if not refused(lambda text=text: names.parse_uri(text)):
            assert names.parse_uri(text).uri == text
        refused(lambda text=text: names.check_id(text))
        refused(lambda text=text: names.server_name(text, text))


def certificate_names(random: Random) -> None:
    """Names in any number and kind, in a certificate that is good otherwise."""
    good = (forge.uri(forge.NODE.uri), forge.dns(names.server_name(forge.MESH, forge.NODE.id)))
    others: list[Callable[[], x509.GeneralName]] = [
        lambda: good[0],
        lambda: good[1],
        lambda: forge.uri(Name(label(random), random.choice(ROLES), label(random)).uri),
        lambda: forge.uri(ascii(damaged_text(random, forge.NODE.uri))[1:-1]),
        lambda: forge.dns(names.server_name(label(random), label(random))),
        lambda: forge.dns("*." + forge.MESH),
        lambda: x509.RFC822Name("a@example"),
        lambda: x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
    given = [random.choice(others)() for _ in range(random.randrange(4))]
    chain = MESH.forged(names=given, key=KEY)
    if not refused(lambda: certificates.verify_chain(chain, [MESH.root], NOW)):
        assert certificates.read_leaf(chain[0]).name == forge.NODE
        assert sorted(map(repr, given)) == sorted(map(repr, good))


def certificate_bytes(random: Random) -> None:
    chain = [LEAF, BETWEEN]
    at = random.randrange(2)
    chain[at] = damaged(random, chain[at])
    refused(lambda: certificates.parse(chain[at]))
    refused(lambda: certificates.verify_issuer(chain[at], [MESH.root], NOW))
    if not refused(lambda: certificates.verify_chain(chain, [MESH.root], NOW, forge.MESH)):
        facts = certificates.verify_chain(chain, [MESH.root], NOW)
        assert facts[:-1] == GOOD[:-1], "what was signed is as it was"


def chain_order(random: Random) -> None:
    known = [LEAF, BETWEEN, MESH.root, OTHER.root, OTHER.intermediate, OTHER.chain()[0]]
    chain = [random.choice(known) for _ in range(random.randrange(6))]
    roots = [random.choice(known[2:4]) for _ in range(random.randrange(3))]
    if not refused(lambda: certificates.verify_chain(chain, roots, NOW)):
        mine = chain == [LEAF, BETWEEN] and MESH.root in roots
        theirs = chain == [known[5], OTHER.intermediate] and OTHER.root in roots
        assert mine or theirs


def request_bytes(random: Random) -> None:
    der = damaged(random, REQUEST)
    if not refused(lambda: certificates.read_request(der)):
        assert certificates.read_request(der) == KEY.public_key()


def pem_bytes(random: Random) -> None:
    pem = certificates.der_to_pem([LEAF, BETWEEN])
    refused(lambda: certificates.pem_to_der(damaged(random, pem)))
    refused(lambda: certificates.key_from_pem(damaged(random, certificates.key_to_pem(KEY))))


def trust_bytes(random: Random) -> None:
    signed = SignedTrust()
    signed.CopyFrom(SIGNED)
    field = random.choice(("trust", "signature", "signer"))
    setattr(signed, field, damaged(random, getattr(signed, field)))
    knowns: list[dict[str, Any]] = [
        {"previous": BEFORE},
        {"root_sha256": trust.root_key_sha256(MESH.root)},
    ]
    for known in knowns:
        if not refused(lambda known=known: trust.read_trust(signed, NOW, **known)):
            assert trust.read_trust(signed, NOW, **known) == DOCUMENT
    refused(lambda: trust.stored_trust(damaged(random, SIGNED.SerializeToString())))


def trust_values(random: Random) -> None:
    """Signed as it should be, and odd inside."""
    document = Trust()
    document.CopyFrom(DOCUMENT)
    change: list[Callable[[], Any]] = [
        lambda: setattr(document, "mesh", _encodable(odd_text(random))),
        lambda: setattr(document, "authority", _encodable(odd_text(random))),
        lambda: setattr(document, "version", random.choice((0, 1, 2, 3, 2**64 - 1))),
        lambda: setattr(document, "issued_at", random.choice((float("nan"), float("inf"), -1e300))),
        lambda: document.revoked.add(name=_encodable(odd_text(random))),
        lambda: document.revoked.add(name="worker/a", revoked_at=float("-inf")),
        lambda: document.roots.append(random.choice((LEAF, BETWEEN, OTHER.root, b""))),
        lambda: document.ClearField("roots"),
    ]
    random.choice(change)()
    signed = trust.sign_trust(document, MESH.key, MESH.intermediate)
    if not refused(lambda: trust.read_trust(signed, NOW, BEFORE)):
        assert document.mesh == BEFORE.mesh
        assert document.version >= 2
        assert set(document.roots) == {MESH.root}


def mandate_bytes(random: Random) -> None:
    """Whatever was changed, what still counts says what was signed."""
    other = damaged(random, MANDATE)
    verifier = mandate.Verifier(forge.MESH, [MESH.root], {})
    if not refused(lambda: verifier.verify(other, NOW)):
        assert verifier.verify(other, NOW) == verifier.verify(MANDATE, NOW)
    refused(lambda: mandate.audience_of(other))
    refused(lambda: mandate.read_manifest(other, NOW))


def mandate_values(random: Random) -> None:
    """Signed as it should be, and odd inside."""
    manifest = Manifest.FromString(Mandate.FromString(MANDATE).manifest)
    text = _encodable(odd_text(random))
    change: list[Callable[[], Any]] = [
        lambda: setattr(manifest, "mesh", text),
        lambda: setattr(manifest, "audience", text),
        lambda: setattr(manifest, "request_id", text),
        lambda: setattr(manifest, "issued_at", random.choice((float("nan"), -1e300, 1e300, NOW))),
        lambda: setattr(manifest, "expires_at", random.choice((float("inf"), NOW - 1, NOW + 1))),
        lambda: manifest.groups.add(demand=random.randbytes(9), calls=random.randbytes(33)),
        lambda: setattr(manifest.groups[0], "calls", random.randbytes(random.choice((0, 31, 64)))),
        lambda: setattr(manifest.groups[0], "demand", random.randbytes(random.randrange(70_000))),
        lambda: manifest.ClearField("groups"),
    ]
    random.choice(change)()
    signed = mandate.sign_mandate(manifest, KEY, [LEAF, BETWEEN])
    verifier = mandate.Verifier(forge.MESH, [MESH.root], {})
    if not refused(lambda: verifier.verify(signed, NOW)):
        said = verifier.verify(signed, NOW)
        assert said.submitter == forge.NODE
        assert said.expires_at <= min(manifest.expires_at, GOOD.not_after)
        assert manifest.mesh == forge.MESH


def policy_rule(random: Random) -> None:
    good = f"submitter {label(random)[:20]}.* zone={label(random)}"
    assert str(policy.parse_rule(good)) == good
    for text in (damaged_text(random, good), odd_text(random)):
        if not refused(lambda text=text: policy.parse_rule(text)):
            rule = policy.parse_rule(text)
            assert policy.parse_rule(str(rule)) == rule
            assert policy.may(rule.role, policy.Right.SUBMIT)


def gossip_bytes(random: Random) -> None:
    """What is let in can be passed on, and then says the same."""
    data = damaged(random, MEMBER)
    try:
        pb = mesh_pb2.Member.FromString(data)
    except DecodeError:
        return
    if not refused(lambda: member_from_pb(pb)):
        member, again = member_from_pb(pb), mesh_pb2.Member()
        member_to_pb(member, again)
        assert member_from_pb(again) == member


def _encodable(text: str) -> str:
    return text.replace("\ud800", "")


CASES: dict[str, Callable[[Random], None]] = {
    case.__name__: case
    for case in (
        token_text,
        name_text,
        certificate_names,
        certificate_bytes,
        chain_order,
        request_bytes,
        pem_bytes,
        trust_bytes,
        trust_values,
        mandate_bytes,
        mandate_values,
        policy_rule,
        gossip_bytes,
    )
}


def check(name: str, seed: int) -> None:
    try:
        CASES[name](Random(seed))
    except Exception as error:
        error.add_note(f"repeat: CASES[{name!r}](Random({seed}))")
        raise


@pytest.mark.parametrize("name", CASES)
def test_readers_of_identity_refuse_with_a_typed_error(name: str) -> None:
    for seed in range(500):
        check(name, seed)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_readers_of_identity_for_ten_minutes() -> None:
    until = time.monotonic() + 600
    seed = 1_000
    while time.monotonic() < until:
        for name in CASES:
            check(name, seed)
        seed += 1


def test_an_authority_lets_nobody_in_by_a_damaged_token(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "authority", "example", "node-a")
    token = authority.create_token("worker")
    for seed in range(60):
        random = Random(seed)
        text, csr, node = (
            random.choice((token.text, damaged_text(random, token.text))),
            random.choice((REQUEST, damaged(random, REQUEST))),
            random.choice(("node-b", damaged_text(random, "node-b"))),
        )
        if text.strip() == token.text and csr == REQUEST and node == "node-b":
            continue
        if not refused(lambda t=text, c=csr, n=node: authority.enroll(t, c, n)):
            # damaged into another good id or an equal request: let in as that, once
            assert text.strip() == token.text
            token = authority.create_token("worker")
        for member in authority.issued():
            assert names.parse_short("example", member.name)
