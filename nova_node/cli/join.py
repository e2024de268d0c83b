"""`join`: one machine more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from nova_node.cli.authority import (
    at,
    data_dir_of,
    data_dir_options,
    json_option,
    keep_data_keys,
    own_credentials,
    read_token,
    refusals,
    require_no_authority,
    say,
)
from nova_node.cli.noted import noted
from nova_node.core.errors import Refused, Unavailable

if TYPE_CHECKING:
    from nova_proto.identity.enrol import Enrolled
    from nova_proto.identity.token import Token

    from nova_node.address import Address

LOOK_S = 6.0
LOOK_EVERY_S = 0.05
ENROLL_S = 5.0


@click.command()
@click.option(
    "--peer", metavar="HOST:PORT", help="The node that made the mesh, if mDNS is not heard."
)
@click.option("--token-file", type=click.File(), help="Holds the token; - is stdin.")
@click.option("--interface", multiple=True, help="Network interface for mDNS. Repeatable.")
@data_dir_options
@json_option
def join(
    peer: str | None,
    token_file: IO[str] | None,
    interface: tuple[str, ...],
    data_dir: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Let this machine into a mesh, with a token from the machine where it was made.

    The token is asked for, or read from a pipe or --token-file.
    """
    folder = data_dir_of(data_dir, config_path)
    with refusals():
        from nova_proto.identity.token import parse_token

        require_no_authority(folder)
        token = parse_token(read_token(token_file))
        node, mesh, until, seen_at = _join(folder, token, peer, interface)
    noted(folder, "join", mesh, node=node)
    lines = [
        f"this machine is node {node} of mesh {mesh}, until {at(until)} and renewed by itself",
        "next: nova-node start",
    ]
    document = {"mesh": mesh, "node": node, "expires_at": until, "peer": seen_at}
    say(as_json, document, lines)


def _join(
    data_dir: Path, token: Token, peer: str | None, interfaces: tuple[str, ...]
) -> tuple[str, str, float, str]:
    """The node's id, its mesh, until when it may stay, and the node it knows there ("": none)."""
    import asyncio

    from nova_proto.identity import certificates, folder

    from nova_node.adapters.data_dir import DataDir

    data = DataDir(data_dir)
    try:
        key_pem = _kept_key(data_dir, token)
        if peer is None:
            (credentials, keys), seen_at = asyncio.run(
                _enroll_by_mdns(token, data.node, key_pem, interfaces)
            )
        else:
            (credentials, keys), seen_at = _enroll_at(peer, token, data.node, key_pem)
        keep_data_keys(data_dir / "identity", keys)
        folder.save(data_dir / "identity", credentials)
        if seen_at:
            data.save_peers([seen_at, *data.load_peers()])
        until = certificates.read_leaf(credentials.chain[0]).not_after
        return data.node, credentials.name.mesh, until, seen_at
    finally:
        data.close()


def _kept_key(data_dir: Path, token: Token) -> bytes | None:
    """Of who was a member before: only the same mesh may be joined again. Raises Refused."""
    own = own_credentials(data_dir)
    if own is None:
        return None
    from nova_proto.identity.trust import root_key_sha256, stored_trust

    if token.root_sha256 in map(root_key_sha256, stored_trust(own.trust).roots):
        return own.key_pem
    raise Refused(
        f"this node belongs to the mesh {own.name.mesh}, and the token is of another",
        f"to leave that mesh, delete {data_dir / 'identity'}; to be in both, give the second node"
        " a --data-dir and a port of its own",
    )


def _enroll_at(
    peer: str, token: Token, node_id: str, key_pem: bytes | None
) -> tuple[Enrolled, str]:
    from nova_proto.identity import joining

    from nova_node.address import parse_address

    address = parse_address(peer)
    port = address.port if peer.endswith(f":{address.port}") else 0
    enrolled = joining.enroll_near(address.host, port, token, node_id, key_pem)
    near = joining.node_near(address.host, port, enrolled[0])
    return enrolled, near.address if near else ""


async def _enroll_by_mdns(
    token: Token, node_id: str, key_pem: bytes | None, interfaces: tuple[str, ...]
) -> tuple[Enrolled, str]:
    """At the first node whose root is the token's; others are told nothing."""
    import asyncio
    from contextlib import aclosing

    from nova_proto.identity import enrol
    from nova_proto.identity.errors import IdentityError

    click.echo(f"looking for the mesh, for at most {LOOK_S:g} s ...", err=True)
    last: IdentityError | None = None
    async with aclosing(_listeners(interfaces)) as found:
        async for door, node in found:
            try:
                enrolled = await asyncio.to_thread(
                    enrol.enroll, str(door), token, node_id, ENROLL_S, key_pem
                )
            except IdentityError as error:
                if error.code.startswith("token_"):
                    raise
                last = error
            else:
                return enrolled, node
    if last is not None and last.code != "identity_untrusted":
        raise last
    raise Unavailable(
        "no node that lets others in was heard on this network"
        if last is None
        else "the meshes that were heard on this network are not the one of the token",
        "see that the node which made the mesh runs; or name it: nova-node join --peer HOST:PORT",
    )


async def _listeners(interfaces: tuple[str, ...]) -> AsyncGenerator[tuple[Address, str]]:
    """Where one can join, beside the address of the node there, as they are heard."""
    import asyncio
    import uuid

    from nova_node.adapters.discovery_mdns import MdnsDiscovery
    from nova_node.address import Address, parse_address
    from nova_node.ports import Found

    # of no mesh: whoever is heard is a stranger
    me = Found(f"join-{uuid.uuid4().hex}", str(Address("0.0.0.0")), "", "0")
    discovery = MdnsDiscovery(interfaces, advertise=False)
    await discovery.start(me, lambda _: None)
    try:
        told: set[str] = set()
        for _ in range(round(LOOK_S / LOOK_EVERY_S)):
            for node in [*discovery.strangers.values()]:
                if node.join and node.node not in told:
                    told.add(node.node)
                    yield Address(parse_address(node.address).host, node.join), node.address
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await discovery.stop()
