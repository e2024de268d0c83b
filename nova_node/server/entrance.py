"""How a node is entered, and how it enters others: by certificates, or by the local key of its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from nova_node.adapters.access import Access, LocalAccess, OpenAccess
from nova_node.adapters.local_nodes import local_key_in, nodes_dir
from nova_node.address import Address
from nova_node.server.gate import Gate, LocalGate, MemberGate, OpenGate

if TYPE_CHECKING:
    from nova_node.identity.live import Identity

CONNECTION_LIVES = 1.25
"""A connection may last so many times what a certificate does. By then it was replaced, or whoever
keeps it has a certificate that lasts longer than a node's, and connects again."""
CONNECTION_MORE_S = 60.0


class Entrance(NamedTuple):
    gate: Gate
    access: Access
    #: None: plaintext
    credentials: grpc.ServerCredentials | None = None
    #: of the server
    options: tuple[tuple[str, Any], ...] = ()


def entrance_without_identity(listen: Address) -> Entrance:
    """Raises Refused when the folder of the local key is not this user's own."""
    if not listen.is_loopback:
        return Entrance(OpenGate(), OpenAccess())
    folder = nodes_dir()
    return Entrance(LocalGate(local_key_in(folder)), LocalAccess(folder))


def entrance_of(identity: Identity) -> Entrance:
    from nova_node.identity.access import MemberAccess

    age_s = CONNECTION_LIVES * identity.life_s + CONNECTION_MORE_S
    options = (
        ("grpc.max_connection_age_ms", int(age_s * 1e3)),
        ("grpc.max_connection_age_grace_ms", int(CONNECTION_MORE_S * 1e3)),
    )
    return Entrance(
        MemberGate(identity), MemberAccess(identity), identity.server_credentials(), options
    )
