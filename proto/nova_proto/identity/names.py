"""Names of members: `spiffe://<mesh>/<role>/<id>`, and the DNS name a node's server is pinned to."""

from __future__ import annotations

import re
from typing import NamedTuple

from nova_proto.identity.errors import IdentityError, shown

ROLES = ("admin", "submitter", "worker", "observer")
"""A worker is a node; the others are persons or their programs."""

NODE_ROLE = "worker"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_WORDS = "1 to 63 lower-case letters, digits and hyphens, no hyphen first or last"
_URI = re.compile(r"spiffe://([^/]+)/([^/]+)/([^/]+)")
_URI_MAX = 256


class Name(NamedTuple):
    mesh: str
    role: str
    id: str

    @property
    def uri(self) -> str:
        return f"spiffe://{self.mesh}/{self.role}/{self.id}"

    @property
    def short(self) -> str:
        return f"{self.role}/{self.id}"


def parse_uri(text: str) -> Name:
    """Raises IdentityError: identity_malformed."""
    match = _URI.fullmatch(text) if len(text) <= _URI_MAX else None
    if match is None:
        raise IdentityError("identity_malformed", f"{shown(text)} is not the name of a member")
    return Name(check_mesh(match[1]), check_role(match[2]), check_id(match[3]))


def parse_short(mesh: str, text: str) -> Name:
    """`<role>/<id>` of a mesh. Raises IdentityError: identity_malformed."""
    role, _, member = text.partition("/")
    return Name(check_mesh(mesh), check_role(role), check_id(member))


def server_name(mesh: str, node_id: str) -> str:
    """What a channel to this node expects in its certificate."""
    return f"{check_id(node_id)}.node.{check_mesh(mesh)}.nova"


def check_mesh(text: str) -> str:
    """The text itself. Raises IdentityError: identity_malformed."""
    return _check_label("mesh name", text)


def check_id(text: str) -> str:
    """The text itself. Raises IdentityError: identity_malformed."""
    return _check_label("id", text)


def check_role(text: str) -> str:
    """The text itself. Raises IdentityError: identity_malformed."""
    if text not in ROLES:
        raise IdentityError(
            "identity_malformed", f"{shown(text)} is not a role", f"use one of {', '.join(ROLES)}"
        )
    return text


def _check_label(what: str, text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise IdentityError(
            "identity_malformed", f"{shown(text)} is not a valid {what}", f"use {_LABEL_WORDS}"
        )
    return text
