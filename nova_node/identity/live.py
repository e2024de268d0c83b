"""Who the running node is, whom it trusts, and whether a caller is a member of its mesh.

Rule: gRPC asks for credentials on threads of its own, so what it is handed is made beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from nova_proto.identity import certificates, tls
from nova_proto.identity import folder as disk
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import NODE_ROLE, Name
from nova_proto.identity.trust import check_not_revoked, read_trust, revocations, stored_trust
from nova_proto.v1 import identity_pb2

from nova_node.core.errors import NovaError, Refused
from nova_node.identity.data_keys import DataKeys

if TYPE_CHECKING:
    from nova_proto.identity.enrol import Enrolled

KNOWN_MAX = 4_096
DATA_KEYS = "data_keys"

_PASSING = frozenset({"identity_expired", "identity_not_yet_valid"})
"""Refusals that time, or a corrected clock, may change."""


def refused(error: IdentityError) -> NovaError:
    """As an error of the node, with the same code."""
    return Refused(error.message, error.fix, error.code)


class _Known(NamedTuple):
    """A certificate that was looked at."""

    name: Name
    not_after: float
    refusal: NovaError | None = None


class Identity:
    """Of the node whose credentials lie in `folder`. On the event loop's thread, but for `enrolled`
    of an expired node before it starts. `changed` hears of every change.

    Raises IdentityError when they cannot be read."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._known: dict[bytes, _Known] = {}
        self._listeners: list[Callable[[], None]] = []
        self.data_keys = DataKeys(folder / DATA_KEYS)
        self._take(disk.load(folder))

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> Name:
        return self.credentials.name

    @property
    def mesh(self) -> str:
        return self.credentials.name.mesh

    @property
    def life_s(self) -> float:
        return self.facts.not_after - self.facts.issued_at

    @property
    def expired(self) -> bool:
        return self._now() >= self.facts.not_after

    @property
    def signed_trust(self) -> identity_pb2.SignedTrust:
        return identity_pb2.SignedTrust.FromString(self.credentials.trust)

    @property
    def under_newest_root(self) -> bool:
        """Whether its own certificate will outlast the older roots."""
        newest = max(
            self.trust.roots, key=lambda r: certificates.parse(r).not_valid_before_utc.timestamp()
        )
        try:
            certificates.verify_chain(self.credentials.chain, [newest], self._now())
        except IdentityError as error:
            return error.code != "identity_untrusted"
        return True

    # ------------------------------------------------------------ what changes

    def on_change(self, changed: Callable[[], None]) -> None:
        self._listeners.append(changed)

    def enrolled(self, enrolled: Enrolled) -> None:
        """Take what the authority gave, durable on return. Raises IdentityError and NovaError."""
        credentials, keys = enrolled
        given = identity_pb2.SignedTrust.FromString(credentials.trust)
        if stored_trust(credentials.trust).version < self.trust.version:
            given = self.signed_trust  # the answer was on its way when a newer one came
        self.add_data_keys(keys)
        credentials = replace(credentials, trust=given.SerializeToString())
        disk.save(self._folder, credentials)
        self._take(credentials)
        self._tell()

    def add_data_keys(self, keys: Iterable[identity_pb2.DataKey]) -> None:
        """Raises NovaError."""
        known = self.data_keys.numbers()
        for key in keys:
            if key.no not in known:
                self.data_keys.add(key.no, key.key)

    def take_trust(self, signed: identity_pb2.SignedTrust) -> bool:
        """Whether it was newer than what is known; durable on return. Raises IdentityError."""
        if stored_trust(signed.SerializeToString()).version <= self.trust.version:
            return False
        read_trust(signed, self._now(), previous=self.trust)
        credentials = replace(self.credentials, trust=signed.SerializeToString())
        disk.save(self._folder, credentials)
        self._take(credentials)
        self._tell()
        return True

    def _take(self, credentials: Credentials) -> None:
        self.trust = stored_trust(credentials.trust)
        self.credentials = credentials
        self.facts: Facts = certificates.read_leaf(credentials.chain[0])
        self._revoked = revocations(self.trust)
        self._known.clear()
        self._readmitted: set[str] = set()
        self.channel_credentials = tls.channel_credentials(credentials)
        pair = (credentials.key_pem, certificates.der_to_pem(credentials.chain))
        roots = certificates.der_to_pem(self.trust.roots)
        self._for_members = grpc.ssl_server_certificate_configuration([pair], roots)
        self._for_anybody = grpc.ssl_server_certificate_configuration([pair])

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    # ------------------------------------------------------------ who calls, and whom to call

    def check(self, leaf: bytes, rest: bytes = b"") -> Name:
        """Whose certificate this is; `rest` are those between it and a root. PEM.

        Raises Refused: the codes of identity."""
        known = self._known.get(leaf)
        if known is None:
            known = self._look_at(leaf, rest)
        if known.refusal is not None:
            raise known.refusal
        if self._now() >= known.not_after:
            raise Refused(
                f"the certificate of {known.name.short} has expired",
                "it renews itself while its node reaches the authority's; else join again",
                "identity_expired",
            )
        return known.name

    def _look_at(self, leaf: bytes, rest: bytes) -> _Known:
        try:
            chain = certificates.pem_to_der(leaf)
            chain += (
                tuple(d for d in certificates.pem_to_der(rest) if d not in chain) if rest else ()
            )
            facts = certificates.verify_chain(chain, self.trust.roots, self._now(), self.mesh)
            check_not_revoked(facts, self._revoked)
            known = _Known(facts.name, facts.not_after)
            self._readmitted.add(facts.name.short)
        except IdentityError as error:
            if error.code in _PASSING:
                raise refused(error) from None
            known = _Known(self.name, 0.0, refused(error))
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
            self._readmitted.clear()
        self._known[leaf] = known
        return known

    def is_revoked(self, node: str) -> bool:
        """Whether to keep away from a node. Who calls it does not see how old its certificate is; so
        one that joined again has to show that by calling first."""
        name = f"{NODE_ROLE}/{node}"
        return name in self._revoked and name not in self._readmitted

    def server_credentials(self) -> grpc.ServerCredentials:
        """For members only; a handshake sees the latest certificate and roots."""
        return self._dynamic(lambda: self._for_members, True)

    def join_credentials(self) -> grpc.ServerCredentials:
        """For callers that have no certificate yet."""
        return self._dynamic(lambda: self._for_anybody, False)

    def _dynamic(self, current: Callable[[], Any], of_members: bool) -> grpc.ServerCredentials:
        used = current()

        def fetch() -> Any:
            """None: as before."""
            nonlocal used
            before, used = used, current()
            return None if used is before else used

        return grpc.dynamic_ssl_server_credentials(used, fetch, of_members)
