"""Whether a member who approves a sign-in is one, and what they may do here.

Rule: what the mesh trusts is asked of the mesh first, so that who was just revoked stays out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from nova_client import Client, Invalid, NovaError
from nova_client.find import Access
from nova_client.identity import to_error
from nova_proto.identity import folder, names
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials

from nova_console.web import statement
from nova_console.web.doors import Session, rights_of

ASK_TIMEOUT_S = 5.0


class Approval:
    """`way` is how the starter reaches a node; `leaf_sha256` is of the certificate browsers are shown;
    `actors` are the names of others who may act as the starter."""

    def __init__(self, way: Access, leaf_sha256: str, actors: frozenset[str]) -> None:
        """Raises Invalid, for a name that nobody can have."""
        assert way.identity is not None
        for actor in actors:
            _check_name(way.identity.name.mesh, actor)
        self.mesh = way.identity.name.mesh
        self.starter = way.identity.name.short
        self._way = way
        self._identity = way.identity
        self._leaf_sha256 = leaf_sha256
        self._actors = actors

    def prove(self, code: str, nonce: str) -> str:
        """That this server is its starter's. Raises NovaError."""
        return statement.sign(self._own(), statement.SERVES, code, self._leaf_sha256, nonce)

    async def verify(self, code: str, signed: str) -> tuple[Facts, frozenset[str]]:
        """Who signed it, and their rights here. Raises NovaError."""
        with suppress(NovaError):  # an open client keeps what it hears of trust
            async with Client(self._way.address, timeout_s=ASK_TIMEOUT_S):
                pass
        facts = statement.verify(signed, self._own(), statement.SIGNS_IN, code, self._leaf_sha256)
        name = facts.name
        return facts, rights_of(name.short, name.role, self.starter, self._actors)

    def still_counts(self, session: Session) -> bool:
        return statement.still_counts(session.who, session.issued_at, self._own())

    def _own(self) -> Credentials:
        """As it is on disk now: renewed, and with what the mesh trusts. Raises NovaError."""
        kept_in: Path | None = self._way.kept_in
        if kept_in is None:
            return self._identity
        try:
            return folder.load(kept_in)
        except IdentityError as error:
            raise to_error(error) from None


def _check_name(mesh: str, actor: str) -> None:
    try:
        names.parse_short(mesh, actor)
    except IdentityError as error:
        raise Invalid(
            error.message, "name a member as nova-node members does: submitter/bob"
        ) from None
