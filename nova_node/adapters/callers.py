"""As whom a tool on this machine talks to a node: the person who runs it, else the node that runs here.

Rule: beyond this machine nothing is sent in plaintext, and no member is taken for another. All of it
blocks.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from nova_proto import local_key
from nova_proto.identity import person

from nova_node.adapters.local_nodes import LocalNode, key_for, nodes_dir, running
from nova_node.address import parse_address
from nova_node.core.errors import Refused, Unavailable

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 16 << 20))
PROBE_TIMEOUT_S = 3.0


class Caller(NamedTuple):
    """Who calls, and the id of the node that must answer."""

    credentials: Credentials
    node: str


@contextmanager
def channel_to(address: str, own: Credentials | None = None) -> Generator[Any]:
    """What takes a channel's place where stubs are made; `own` calls instead of the person.

    Raises Refused and Unavailable."""
    caller = caller_at(address, own)
    if caller is None:
        with grpc.insecure_channel(address, OPTIONS) as channel:
            key = key_for(address, nodes_dir())
            yield local_key.Keyed(channel, key) if key else channel
        return
    from nova_proto.identity import tls

    options = (*OPTIONS, *tls.pin(caller.credentials.name.mesh, caller.node))
    credentials = tls.channel_credentials(caller.credentials)
    with grpc.secure_channel(address, credentials, options) as channel:
        yield channel


def caller_at(address: str, own: Credentials | None = None) -> Caller | None:
    """None: in plaintext, on this machine. Raises Refused and Unavailable."""
    local = next((n for n in running(nodes_dir()) if n.is_at(address)), None)
    if local is not None and not local.secure:
        return None
    held = [own] if own is not None else _held(local)
    if local is not None and held:
        return Caller(held[0], local.node)
    if held:
        return _probe(address, held)
    if local is None and parse_address(address).is_loopback:
        return None
    raise Refused(
        f"you have no identity of the mesh of {address}",
        "nova login, or `nova-node user add` where the mesh was made",
        "identity_missing",
    )


def _held(local: LocalNode | None) -> list[Credentials]:
    """Those of this person; then of the node, which this user could read anyway."""
    folders = [f for f in person.folders() if local is None or f.name == local.mesh]
    if local is not None:
        folders.append(Path(local.data_dir) / "identity")
    if not folders:
        return []
    from nova_proto.identity import folder
    from nova_proto.identity.errors import IdentityError

    held: list[Credentials] = []
    for each in folders:
        with suppress(IdentityError):
            held.append(folder.load(each))
    return held


def _probe(address: str, held: list[Credentials]) -> Caller | None:
    from nova_proto.identity import tls
    from nova_proto.identity.errors import IdentityError

    host, port = parse_address(address)
    refused: IdentityError | None = None
    for credentials in held:
        try:
            return Caller(credentials, tls.node_at(host, port, credentials, PROBE_TIMEOUT_S))
        except IdentityError as error:
            if error.code == "unavailable":
                raise Unavailable(f"no node answers at {address}", error.fix) from None
            if error.code == "identity_missing" and parse_address(address).is_loopback:
                return None
            refused = refused or error
    assert refused is not None
    raise Refused(refused.message, refused.fix, refused.code)
