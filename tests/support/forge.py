"""Certificates that no authority of ours would make, one thing wrong with each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from nova_proto.identity import certificates
from nova_proto.identity.names import Name, server_name

from nova_node.identity import issuing

NOW = 1_800_000_000.0
MESH = "example"
HOUR_S = 3_600.0
NODE = Name(MESH, "worker", "node-a")
PERSON = Name(MESH, "submitter", "ada")

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def dns(text: str) -> x509.GeneralName:
    return x509.DNSName(text)


@dataclass
class Mesh:
    """A root and an intermediate below it, with their keys at hand."""

    mesh: str = MESH
    now: float = NOW
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=certificates.new_key)
    key: ec.EllipticCurvePrivateKey = field(default_factory=certificates.new_key)

    def __post_init__(self) -> None:
        self.root = issuing.make_root(self.mesh, self.root_key, self.now)
        self.intermediate = issuing.make_intermediate(
            self.mesh, self.key.public_key(), self.root_key, self.root, self.now
        )

    def chain(
        self, name: Name = NODE, key: ec.EllipticCurvePrivateKey | None = None
    ) -> tuple[bytes, bytes]:
        """A good one, for an hour."""
        public = (key or certificates.new_key()).public_key()
        ends = self.now + HOUR_S
        leaf = issuing.make_leaf(name, public, self.key, self.intermediate, self.now, ends)
        return leaf, self.intermediate

    def forged(self, **wrong: Any) -> tuple[bytes, bytes]:
        """A chain whose leaf is as `forge` makes it, signed by the intermediate."""
        return forge(self.key, self.intermediate, **wrong), self.intermediate


def forge(
    signing_key: Any,
    issuer: bytes | None,
    *,
    names: Sequence[x509.GeneralName] | None = None,
    key: Any = None,
    begins: float = NOW - HOUR_S,
    ends: float = NOW + HOUR_S,
    ca: bool = False,
    path_length: int | None = None,
    signs_certificates: bool | None = None,
    digital_signature: bool = True,
    purposes: Sequence[x509.ObjectIdentifier] | None = (CLIENT, SERVER),
    basic: bool = True,
    hash_algorithm: Any = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer_name: x509.Name | None = None,
) -> bytes:
    """By default a good leaf of a node. `issuer` None is self-signed; `names` () is none."""
    public = (key or certificates.new_key()).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")])
    above = x509.load_der_x509_certificate(issuer).subject if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or above)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(begins))
        .not_valid_after(_utc(ends))
        .add_extension(_usage(digital_signature, signs_certificates or False), critical=True)
    )
    if basic:
        constraints = x509.BasicConstraints(ca=ca, path_length=path_length)
        builder = builder.add_extension(constraints, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names is None:
        names = (uri(NODE.uri), dns(server_name(NODE.mesh, NODE.id)))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(signing_key, hash_algorithm or hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def forged_issuer(signing_key: Any, issuer: bytes | None, key: Any, **wrong: Any) -> bytes:
    """By default a good intermediate."""
    given: dict[str, Any] = {
        "names": (),
        "purposes": None,
        "ca": True,
        "path_length": 0,
        "signs_certificates": True,
    }
    return forge(signing_key, issuer, key=key, **{**given, **wrong})


def _usage(digital_signature: bool, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
