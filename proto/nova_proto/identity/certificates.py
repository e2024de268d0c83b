"""Keys, requests and certificates of a mesh, and whether a chain leads to a root of it.

Rule: only what our own authority makes is accepted. Keys are P-256, signatures ECDSA with SHA-256,
a leaf holds exactly one URI name and, of a node, its DNS name; nothing else is looked past.
Certificates are DER unless a name says PEM. Times are unix seconds.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from nova_proto.identity import names
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name

BACKDATE_S = 300
"""Certificates begin this long before they are issued, for clocks that are slow."""

CERTIFICATE_BYTES_MAX = 8 << 10
CHAIN_MAX = 3
"""Certificates in a chain, the root not counted."""

_KNOWN_EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
}
_CLOCK_FIX = "see that the clocks of both machines are right"

T = TypeVar("T")


class Facts(NamedTuple):
    """Of a leaf, as it was read."""

    name: Name
    serial: str  # hexadecimal
    not_before: float
    not_after: float
    public_key_sha256: bytes
    der: bytes

    @property
    def issued_at(self) -> float:
        return self.not_before + BACKDATE_S


# ------------------------------------------------------------ keys and requests


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises IdentityError: identity_malformed."""
    key = _parsed(lambda: serialization.load_pem_private_key(pem, None), "private key")
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _malformed("the private key is not a P-256 key")
    _check_key(key.public_key())
    return key


def public_key_sha256(key: ec.EllipticCurvePublicKey) -> bytes:
    """Of its DER SubjectPublicKeyInfo, 32 bytes."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).digest()


def request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS #10 request without a name: the authority decides on that. DER."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def read_request(der: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a request whose sender holds it. Raises IdentityError: identity_malformed."""
    _check_size(der, "request")

    def read() -> tuple[Any, bool]:
        parsed = x509.load_der_x509_csr(der)
        if parsed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
            raise ValueError("not signed with ECDSA and SHA-256")
        return parsed.public_key(), parsed.is_signature_valid

    key, is_signed = _parsed(read, "request")
    if not is_signed:
        raise _malformed("the request is not signed by its own key")
    return _check_key(key)


# ------------------------------------------------------------ certificates


def read_leaf(der: bytes) -> Facts:
    """What a member's certificate says; who signed it, and when it counts, is not looked at.

    Raises IdentityError: identity_malformed."""
    return _leaf_facts(parse(der), der)


def parse(der: bytes) -> x509.Certificate:
    """A certificate for a P-256 key. Raises IdentityError: identity_malformed."""
    _check_size(der, "certificate")

    def read() -> x509.Certificate:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is not x509.Version.v3:
            raise ValueError("not of version 3")
        _check_key(certificate.public_key())
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _KNOWN_EXTENSIONS:
                raise ValueError("a critical extension that is not known")
        return certificate

    return _parsed(read, "certificate")


def key_of(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Of one that `parse` gave."""
    return _check_key(certificate.public_key())


def verify_chain(
    chain: Sequence[bytes], roots: Sequence[bytes], now: float, mesh: str = ""
) -> Facts:
    """Of the leaf, which comes first and leads to one of the roots; `mesh` "" is any mesh.

    Raises IdentityError: identity_malformed, identity_wrong_mesh, identity_untrusted,
    identity_not_yet_valid, identity_expired."""
    if not 1 <= len(chain) <= CHAIN_MAX:
        raise _malformed(f"a chain has 1 to {CHAIN_MAX} certificates, not {len(chain)}")
    facts = read_leaf(chain[0])
    if mesh and facts.name.mesh != mesh:
        raise wrong_mesh(facts.name, mesh)
    path = [parse(der) for der in chain]
    for below, (certificate, issuer) in enumerate(pairwise(path)):
        if not is_issued_by(certificate, issuer, below):
            raise untrusted(facts.name.short)
    path.append(_root_of(path[-1], roots, len(path) - 1, facts.name.short))
    for certificate in path:
        check_time(certificate, facts.name.short, now)
    return facts


def verify_issuer(der: bytes, roots: Sequence[bytes], now: float) -> ec.EllipticCurvePublicKey:
    """The key of who may sign for a mesh: a root itself, or an intermediate below one.

    Raises IdentityError: identity_malformed, identity_untrusted, identity_not_yet_valid,
    identity_expired."""
    certificate = parse(der)
    if not is_issuer(certificate, 0):
        raise untrusted("the signer")
    if der not in roots:
        check_time(_root_of(certificate, roots, 1, "the signer"), "the root", now)
    check_time(certificate, "the signer", now)
    return key_of(certificate)


def is_issuer(certificate: x509.Certificate, below: int) -> bool:
    """May it sign certificates, with `below` authorities between it and a leaf?"""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return (
        basic.ca
        and basic.path_length is not None
        and basic.path_length >= below
        and usage.key_cert_sign
    )


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Is its signature of an issuer with `below` authorities between that and the leaf?"""
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        return False
    if not is_issuer(issuer, below):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_time(certificate: x509.Certificate, whose: str, now: float) -> None:
    """Raises IdentityError: identity_not_yet_valid, identity_expired."""
    begins = certificate.not_valid_before_utc.timestamp()
    ends = certificate.not_valid_after_utc.timestamp()
    if now < begins:
        message = f"the certificate of {whose} counts only in {begins - now:.0f} s"
        raise IdentityError("identity_not_yet_valid", message, _CLOCK_FIX)
    if now > ends:
        message = f"the certificate of {whose} ended {now - ends:.0f} s ago"
        fix = f"let it join again with a new token; if it is newer, {_CLOCK_FIX}"
        raise IdentityError("identity_expired", message, fix)


def wrong_mesh(name: Name, mesh: str) -> IdentityError:
    """The error that `name` is not of `mesh`."""
    return IdentityError(
        "identity_wrong_mesh",
        f"{name.short} belongs to the mesh {name.mesh}, not to {mesh}",
        f"let it join {mesh}, or use an identity of {name.mesh} to reach it",
    )


def untrusted(whose: str) -> IdentityError:
    """The error that nobody who is trusted signed for `whose`."""
    return IdentityError(
        "identity_untrusted",
        f"the certificate of {whose} is signed by nobody this mesh trusts",
        "let it join this mesh: `nova-node token create` on the node that made the mesh,"
        " `nova-node join` on the new one",
    )


def pem_to_der(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM text, in order. Raises IdentityError: identity_malformed."""
    found: list[bytes] = []
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for part in pem.split(begin)[1:]:
        body, ended, _ = part.partition(end)
        if not ended:
            raise _malformed("a PEM certificate without an end")
        try:
            found.append(base64.b64decode(b"".join(body.split()), validate=True))
        except ValueError:
            raise _malformed("a PEM certificate that is not base64") from None
    if not found:
        raise _malformed("no PEM certificate")
    return tuple(found)


def der_to_pem(chain: Sequence[bytes]) -> bytes:
    """One PEM text of them all, in order."""
    lines: list[bytes] = []
    for der in chain:
        text = base64.b64encode(der)
        body = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        lines += [b"-----BEGIN CERTIFICATE-----", body, b"-----END CERTIFICATE-----"]
    return b"\n".join(lines) + b"\n"


# ------------------------------------------------------------ how they are read


def _leaf_facts(certificate: x509.Certificate, der: bytes) -> Facts:
    def extension(kind: type[Any]) -> Any:
        return certificate.extensions.get_extension_for_class(kind).value

    def read() -> Facts:
        if extension(x509.BasicConstraints).ca:
            raise ValueError("it is an authority's")
        usage = extension(x509.KeyUsage)
        if not usage.digital_signature or usage.key_cert_sign:
            raise ValueError("its key is not for a member's use")
        name = _read_names(list(extension(x509.SubjectAlternativeName)))
        wanted = {ExtendedKeyUsageOID.CLIENT_AUTH}
        if name.role == names.NODE_ROLE:
            wanted.add(ExtendedKeyUsageOID.SERVER_AUTH)
        if set(extension(x509.ExtendedKeyUsage)) != wanted:
            raise ValueError("it is for another purpose")
        return Facts(
            name,
            f"{certificate.serial_number:x}",
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
            public_key_sha256(key_of(certificate)),
            der,
        )

    return _parsed(read, "certificate")


def _read_names(given: list[Any]) -> Name:
    uris = [n.value for n in given if isinstance(n, x509.UniformResourceIdentifier)]
    dns = [n.value for n in given if isinstance(n, x509.DNSName)]
    if len(uris) != 1 or len(uris) + len(dns) != len(given):
        raise ValueError("it does not hold exactly one URI name")
    name = names.parse_uri(uris[0])
    wanted = [names.server_name(name.mesh, name.id)] if name.role == names.NODE_ROLE else []
    if dns != wanted:
        raise ValueError("its DNS name is not of its URI name")
    return name


def _root_of(
    certificate: x509.Certificate, roots: Sequence[bytes], below: int, whose: str
) -> x509.Certificate:
    for der in roots:
        root = parse(der)
        if is_issued_by(certificate, root, below):
            return root
    raise untrusted(whose)


def _check_key(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise _malformed("the key is not a P-256 key")
    return key


def _check_size(der: bytes, what: str) -> None:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise _malformed(f"a {what} of {len(der)} bytes")


def _parsed(read: Callable[[], T], what: str) -> T:
    """What `read` gives; whatever a parser dislikes is malformed."""
    try:
        return read()
    except IdentityError:
        raise
    except (
        ValueError,
        TypeError,
        Warning,  # where they are errors
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise _malformed(f"the {what} cannot be read: {ascii(str(error))[:200]}") from None


def _malformed(message: str) -> IdentityError:
    return IdentityError("identity_malformed", message, "use one that this mesh's authority made")
