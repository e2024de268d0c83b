"""The certificate that browsers are shown beyond this machine: the person's own choice, or one made here.

A member's certificate of the mesh is for calling nodes, and browsers take no such; so one is made for
the name of this machine, kept, and told by its fingerprint.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from nova_client import Invalid

LIFE = datetime.timedelta(days=365)
RENEWED = datetime.timedelta(days=30)
"""Before its end."""
FILE_BYTES_MAX = 256 << 10


class Shown(NamedTuple):
    context: ssl.SSLContext
    leaf_sha256: str
    #: whether browsers will ask about it
    is_own: bool

    @property
    def fingerprint(self) -> str:
        """As browsers show it."""
        return ":".join(self.leaf_sha256[at : at + 2] for at in range(0, 64, 2)).upper()


def given(cert: Path, key: Path) -> Shown:
    """Raises Invalid."""
    try:
        leaf = x509.load_pem_x509_certificate(_read(cert))
        return Shown(_context(cert, key), _sha256(leaf), is_own=False)
    except (OSError, ValueError) as error:
        raise Invalid(
            f"{cert} and {key} cannot be used: {error}",
            "give the PEM files of a certificate with its chain, and of its key",
        ) from None


def own(folder: Path, names: list[str]) -> Shown:
    """For these host names and addresses, made or made again when it has to be. Raises Invalid."""
    path = folder / "web.pem"
    try:
        leaf = _kept(path, names)
        if leaf is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path, names)
            leaf = x509.load_pem_x509_certificate(_read(path))
        return Shown(_context(path, path), _sha256(leaf), is_own=True)
    except (OSError, ValueError) as error:
        raise Invalid(
            f"no certificate can be kept at {path}: {error}",
            f"remove {path}, or give --cert and --key",
        ) from None


def _kept(path: Path, names: list[str]) -> x509.Certificate | None:
    try:
        leaf = x509.load_pem_x509_certificate(_read(path))
    except FileNotFoundError:
        return None
    known = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.datetime.now(datetime.UTC)
    late = now + RENEWED > leaf.not_valid_after_utc
    return None if late or list(known) != _alternatives(names) else leaf


def _make(path: Path, names: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Nova console {names[0]}"[:64])])
    now = datetime.datetime.now(datetime.UTC)
    leaf = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + leaf.public_bytes(serialization.Encoding.PEM)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    draft.replace(path)


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def _sha256(leaf: x509.Certificate) -> str:
    return hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).hexdigest()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)
