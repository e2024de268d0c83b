"""An identity on disk: key.pem, chain.pem and trust.pb, for their user only.

Rule: each file is replaced as a whole. A renewed certificate keeps its key, so no two files have
to change at once.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from nova_proto.identity import certificates
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name

FILE_BYTES_MAX = 1 << 20
KEY, CHAIN, TRUST = "key.pem", "chain.pem", "trust.pb"

_JOIN_FIX = "join the mesh: `nova-node join` for a node, `nova login` for a person"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody shows to others, and whom they trust."""

    name: Name
    key_pem: bytes = field(repr=False)
    #: DER, own certificate first, no root
    chain: tuple[bytes, ...] = field(repr=False)
    #: a SignedTrust as bytes
    trust: bytes = field(repr=False)


def exists(folder: Path) -> bool:
    return (folder / CHAIN).exists()


def load(folder: Path) -> Credentials:
    """Also when they have expired: that is for who uses them.

    Raises IdentityError: identity_missing, identity_malformed."""
    if not exists(folder):
        raise IdentityError("identity_missing", f"no identity in {folder}", _JOIN_FIX)
    try:
        chain = certificates.pem_to_der(_read(folder / CHAIN))
        key_pem = _read(folder / KEY)
        facts = certificates.read_leaf(chain[0])
        key = certificates.key_from_pem(key_pem).public_key()
        if certificates.public_key_sha256(key) != facts.public_key_sha256:
            raise IdentityError("identity_malformed", "the key is not of the certificate")
        return Credentials(facts.name, key_pem, chain, _read(folder / TRUST))
    except OSError as error:
        raise _unusable(folder, str(error)) from error
    except IdentityError as error:
        raise _unusable(folder, error.message, error.fix) from error


def save(folder: Path, credentials: Credentials) -> None:
    """Raises IdentityError: identity_malformed, when the folder cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        replace_file(folder / KEY, credentials.key_pem)
        replace_file(folder / TRUST, credentials.trust)
        replace_file(folder / CHAIN, certificates.der_to_pem(credentials.chain))
    except OSError as error:
        raise _unusable(folder, str(error), "check its permissions and room") from error


def replace_file(path: Path, content: bytes) -> None:
    """All of the new content or all of the old, also after a power cut. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(handle)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise IdentityError(
                "identity_malformed", f"others can read {path}", f"chmod 600 {path}"
            )
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise IdentityError("identity_malformed", f"{path} is too large")
    return data


def _unusable(folder: Path, why: str, fix: str = "") -> IdentityError:
    return IdentityError(
        "identity_malformed", f"the identity in {folder} cannot be used: {why}", fix or _JOIN_FIX
    )
