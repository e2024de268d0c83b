"""Who gets in: with identity the members of the mesh, by their role's rights; without, callers that
hold this user's local key.

Rule: what `core/policy` does not name is denied.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nova_proto import local_key

from nova_node.core.errors import Overloaded, Refused
from nova_node.core.policy import METHODS, may
from nova_node.server.rates import Rates

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

    from nova_node.identity.live import Identity


class Shown(NamedTuple):
    """What a caller showed when its call began."""

    method: str
    name: Name | None = None
    #: PEM: its certificate, and those between that and a root
    leaf: bytes = b""
    rest: bytes = b""


class Gate(Protocol):
    def enter(self, method: str, context: Any) -> Shown:
        """At the beginning of each call. Raises NovaError."""
        ...

    def check(self, shown: Shown) -> None:
        """While a stream is open, again and again. Raises NovaError."""
        ...


class OpenGate:
    """For tests on other than loopback addresses."""

    def enter(self, method: str, context: Any) -> Shown:
        return Shown(method)

    def check(self, shown: Shown) -> None:
        pass


class LocalGate:
    """Whoever can read a file of this user may do everything."""

    def __init__(self, key: str) -> None:
        self._key = key

    def enter(self, method: str, context: Any) -> Shown:
        for name, value in context.invocation_metadata() or ():
            if name == local_key.METADATA_KEY:
                given = value if isinstance(value, bytes) else str(value).encode()
                if hmac.compare_digest(given, self._key.encode()):
                    return Shown(method)
        raise Refused(
            "this node serves its own user only, and the call does not show that user's local key",
            f"as that user, send what {local_key.FILE} in the runtime folder holds as metadata"
            f" {local_key.METADATA_KEY}, which nova does (docs/local-nodes.md); for other users and"
            " machines, make a mesh with identity: nova-node init",
            "unauthenticated",
        )

    def check(self, shown: Shown) -> None:
        pass


class MemberGate:
    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._rates = Rates(clock)

    def enter(self, method: str, context: Any) -> Shown:
        auth = context.auth_context()
        leaf = auth.get("x509_pem_cert", (b"",))[0]
        rest = auth.get("x509_pem_cert_chain", (b"",))[0]
        name = self._admit(method, leaf, rest)
        if not self._rates.take(name.uri):
            raise Overloaded(f"{name.short} makes too many calls", "submit many tasks in one call")
        return Shown(method, name, leaf, rest)

    def check(self, shown: Shown) -> None:
        self._admit(shown.method, shown.leaf, shown.rest)

    def _admit(self, method: str, leaf: bytes, rest: bytes) -> Name:
        if not leaf:
            raise Refused(
                "no certificate was shown",
                "join the mesh: nova-node join for a node, nova login for a person",
                "unauthenticated",
            )
        name = self._identity.check(leaf, rest)
        right = METHODS.get(method)
        if right is None or not may(name.role, right):
            raise Refused(
                f"{name.short} may not call {method.rpartition('/')[2]}: its role has no right to"
                f" {right or 'do that'}",
                "ask an admin of the mesh for a certificate with another role",
                "forbidden",
            )
        return name
