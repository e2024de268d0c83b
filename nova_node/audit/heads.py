"""How far audit logs have come, signed by their nodes: the own one, and those that peers hand over.

A log on one disk can be cut, or written anew with a chain that fits. Who does that cannot take back
the heads that peers keep.
Rule: a kept head only ever goes forward; one that goes back is refused, and told.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nova_node.core.errors import Corrupt, Invalid, Overloaded, Refused, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from nova_proto.v1.identity_pb2 import AuditHead

FOLDER = "audit_heads"
HEADS_MAX = 4096
HASH_BYTES = 32
CHAIN_MAX = 4
CERTIFICATE_MAX_BYTES = 8 << 10
SIGNATURE_MAX_BYTES = 128
FILE_MAX_BYTES = 128 << 10

_NODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

log = logging.getLogger("nova.audit")

Who = Callable[[Sequence[bytes], float], str]
"""Whose chain this is, as "<role>/<id>", at that time. Raises NovaError."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a node's log at some time. `chain` is DER, the node's certificate first."""

    node: str
    count: int
    sha256: str
    time: float
    signature: bytes = b""
    chain: tuple[bytes, ...] = ()

    def message(self) -> bytes:
        """What is signed."""
        return f"{self.node} {self.count} {self.sha256} {self.time:.3f}".encode()


def sign(head: Head, key: EllipticCurvePrivateKey, chain: Sequence[bytes]) -> Head:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    signature = key.sign(head.message(), ec.ECDSA(hashes.SHA256()))
    return replace(head, signature=signature, chain=tuple(chain))


def verify(head: Head, leaf: bytes) -> None:
    """Raises Refused when it is not signed with the key of that certificate."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = x509.load_der_x509_certificate(leaf).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(head.signature, head.message(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise _not_signed(head.node) from None


def member_of(mesh: str, roots: Callable[[], Sequence[bytes]]) -> Who:
    """Checks chains against what the mesh trusts."""
    from nova_proto.identity.certificates import verify_chain
    from nova_proto.identity.errors import IdentityError

    def who(chain: Sequence[bytes], at: float) -> str:
        try:
            return verify_chain(chain, roots(), at, mesh).name.short
        except IdentityError as error:
            raise Refused(error.message, error.fix, error.code) from None

    return who


def _not_signed(node: str) -> Refused:
    return Refused(
        f"the head of the audit log of {node} is not signed by that node", "look at who sent it"
    )


# ---------------------------------------------------------------- as messages and files


def head_to_pb(head: Head, pb: AuditHead) -> None:
    pb.node, pb.count, pb.time = head.node, head.count, head.time
    pb.hash = bytes.fromhex(head.sha256)
    pb.signature = head.signature
    pb.chain.extend(head.chain)


def head_from_pb(pb: AuditHead) -> Head:
    """Raises Invalid."""
    chain = tuple(pb.chain)
    if (
        not _NODE.fullmatch(pb.node)
        or len(pb.hash) != HASH_BYTES
        or not 0 < len(pb.signature) <= SIGNATURE_MAX_BYTES
        or not 1 <= len(chain) <= CHAIN_MAX
        or max(map(len, chain)) > CERTIFICATE_MAX_BYTES
        or not math.isfinite(pb.time)
    ):
        raise Invalid("this is no head of an audit log", "see proto/nova_proto/v1/identity.proto")
    return Head(pb.node, pb.count, pb.hash.hex(), pb.time, pb.signature, chain)


def read_head(path: Path) -> Head:
    """Of a file that Heads keeps. Raises Corrupt, and Unavailable when it cannot be read."""
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise ValueError("too large")
        values: Any = json.loads(path.read_bytes())
        head = Head(
            str(values["node"]),
            int(values["count"]),
            bytes.fromhex(values["sha256"]).hex(),
            float(values["time"]),
            bytes.fromhex(values["signature"]),
            tuple(bytes.fromhex(each) for each in values["chain"]),
        )
        if not _NODE.fullmatch(head.node) or len(head.sha256) != 2 * HASH_BYTES or not head.chain:
            raise ValueError("not a head")
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}", "check its permissions") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Corrupt(
            f"{path} does not hold a head of an audit log: {error}", "get it again from a peer"
        ) from None
    return head


class Heads:
    """In the folder `audit_heads` of a data directory; one file a node. From any thread."""

    def __init__(self, data_dir: Path, who: Who) -> None:
        self._folder = data_dir / FOLDER
        self._who = who
        self._lock = Lock()

    def put_head(self, pb: AuditHead) -> None:
        """Keep what a peer handed over. Raises Invalid, Refused, Overloaded, Unavailable."""
        head = head_from_pb(pb)
        if self._who(head.chain, head.time) != f"worker/{head.node}":
            raise _not_signed(head.node)
        verify(head, head.chain[0])
        self.keep(head)

    def keep(self, head: Head) -> None:
        """Raises Refused when it does not follow what is known; Overloaded, Unavailable."""
        with self._lock:
            path = self._folder / f"{head.node}.json"
            if path.exists():
                self._check_follows(path, head)
            elif self._folder.exists() and len(os.listdir(self._folder)) >= HEADS_MAX:
                raise Overloaded(
                    f"{HEADS_MAX} heads are kept already",
                    f"remove those of nodes that are gone from {self._folder}",
                )
            _write(path, head)

    def _check_follows(self, path: Path, head: Head) -> None:
        try:
            known = read_head(path)
        except Corrupt as error:
            log.error("%s; it was set aside", error)
            os.replace(path, path.with_suffix(".damaged"))
        else:
            _check_follows(known, head)

    def all(self) -> list[Head]:
        """Those that can be read."""
        found: list[Head] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(read_head(path))
            except (Corrupt, Unavailable) as error:
                log.warning("%s", error)
        return found


def _check_follows(known: Head, head: Head) -> None:
    went_back = head.count < known.count
    if went_back or (head.count == known.count and head.sha256 != known.sha256):
        how = f"went back from line {known.count} to {head.count}" if went_back else "was rewritten"
        log.error("the audit log of %s %s", head.node, how)
        raise Refused(
            f"the audit log of {head.node} {how}",
            f"on that node: nova-node audit verify --head with this node's"
            f" {FOLDER}/{head.node}.json",
        )


def _write(path: Path, head: Head) -> None:
    values = {
        "node": head.node,
        "count": head.count,
        "sha256": head.sha256,
        "time": head.time,
        "signature": head.signature.hex(),
        "chain": [each.hex() for each in head.chain],
    }
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(json.dumps(values))
            out.flush()
            os.fsync(handle)
        os.replace(draft, path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error}", "check the disk") from error
