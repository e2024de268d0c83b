"""The certificates an authority makes: a root, an intermediate below it, leaves below that.

Rule: whoever holds a key says nothing about its name; that is an argument here. Times are unix
seconds, certificates DER.
"""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from nova_proto.identity import names
from nova_proto.identity.certificates import BACKDATE_S, parse
from nova_proto.identity.names import Name

DAY_S = 86_400.0
ROOT_S = 3_652 * DAY_S
INTERMEDIATE_S = 365 * DAY_S


def make_root(mesh: str, key: ec.EllipticCurvePrivateKey, now: float) -> bytes:
    subject = _subject(mesh, key.public_key(), "root")
    builder = _builder(subject, subject, key.public_key(), now, now + ROOT_S)
    return _sign(_authority(builder, key.public_key(), key.public_key(), 1), key)


def make_intermediate(
    mesh: str,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    root: bytes,
    now: float,
) -> bytes:
    """`key` is of the root."""
    issuer = parse(root)
    ends = min(now + INTERMEDIATE_S, ends_at(root))
    builder = _builder(_subject(mesh, public, "intermediate"), issuer.subject, public, now, ends)
    return _sign(_authority(builder, public, key.public_key(), 0), key)


def make_leaf(
    name: Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    intermediate: bytes,
    issued_at: float,
    ends: float,
) -> bytes:
    """`key` is of the intermediate; nothing lasts longer than that does."""
    issuer = parse(intermediate)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name.mesh),
            x509.NameAttribute(NameOID.COMMON_NAME, name.id),
        ]
    )
    known_as: list[x509.GeneralName] = [x509.UniformResourceIdentifier(name.uri)]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if name.role == names.NODE_ROLE:
        known_as.append(x509.DNSName(names.server_name(name.mesh, name.id)))
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(subject, issuer.subject, public, issued_at, min(ends, ends_at(intermediate)))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(known_as), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer_key(key.public_key()), critical=False)
    )
    return _sign(builder, key)


def ends_at(certificate: bytes) -> float:
    return parse(certificate).not_valid_after_utc.timestamp()


def _subject(mesh: str, public: ec.EllipticCurvePublicKey, what: str) -> x509.Name:
    """Its own for each key: otherwise a verifier with two roots has to guess."""
    key_id = x509.SubjectKeyIdentifier.from_public_key(public).digest.hex()[:16]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, mesh),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Nova {what} {key_id}"),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issued_at: float,
    ends: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(issued_at - BACKDATE_S))
        .not_valid_after(_utc(ends))
    )


def _authority(
    builder: x509.CertificateBuilder,
    public: ec.EllipticCurvePublicKey,
    issuer: ec.EllipticCurvePublicKey,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(True, path_length), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
    )


def _issuer_key(issuer: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    """Both kinds sign: a member its mandates, an authority what its mesh trusts."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
