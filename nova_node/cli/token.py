"""`token create | list | revoke`: what lets somebody into the mesh, once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from nova_node.cli.authority import (
    at,
    authority_of,
    data_dir_of,
    data_dir_options,
    json_option,
    node_here,
    refusals,
    say,
    seconds_of,
    table,
)
from nova_node.cli.noted import noted
from nova_node.core.errors import Invalid

if TYPE_CHECKING:
    from nova_node.adapters.local_nodes import LocalNode
    from nova_node.identity.authority_files import TokenRecord

ROLES = ("worker", "submitter", "observer", "admin")


@click.group()
def token() -> None:
    """Tokens, each of which lets one machine or person into the mesh, once."""


@token.command()
@click.option(
    "--role",
    type=click.Choice(ROLES),
    required=True,
    help="worker: a machine; submitter: runs tasks; observer: looks on; admin: all of that.",
)
@click.option("--ttl", default="15m", show_default=True, metavar="TIME", help="30s, 15m, 2h, 7d.")
@click.option("--id", "name", metavar="NAME", help="Whom it is for; needed unless it is a machine.")
@data_dir_options
@json_option
def create(
    role: str,
    ttl: str,
    name: str | None,
    data_dir: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Print a new token on stdout. Whoever has it can enter: hand it over in confidence."""
    ttl_s = seconds_of(ttl)
    if role != "worker" and name is None:
        raise Invalid(f"whom is the {role}'s token for?", "name the person: --id ada")
    with refusals():
        folder = data_dir_of(data_dir, config_path)
        made = authority_of(folder).create_token(role, ttl_s, name)
    noted(folder, "token.create", made.id, role=role, name=name or "")
    expires_at = time.time() + ttl_s
    if as_json:
        fields = {"token": made.text, "id": made.id, "role": role, "expires_at": expires_at}
        say(True, fields, [])
        return
    click.echo(made.text)
    click.echo(f"token {made.id}: one {role}, once, until {at(expires_at)}", err=True)
    for line in _next(role, node_here(folder)):
        click.echo(line, err=True)


@token.command(name="list")
@data_dir_options
@json_option
def list_(data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """List the tokens of the last day; what they let in with is not kept."""
    with refusals():
        records = authority_of(data_dir_of(data_dir, config_path)).tokens()
    now = time.time()
    shown = [
        {
            "id": record.id,
            "role": record.role,
            "state": _state(record, now),
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "used_at": record.used_at,
        }
        for record in records
    ]
    rows = [(r.id, r.role, _state(r, now), at(r.expires_at)) for r in records]
    lines = table(("ID", "ROLE", "STATE", "EXPIRES"), rows) if rows else ["no tokens"]
    say(as_json, {"tokens": shown}, lines)


@token.command()
@click.argument("id")
@data_dir_options
@json_option
def revoke(id: str, data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """Make the token ID useless; whoever it has let in stays in."""
    with refusals():
        folder = data_dir_of(data_dir, config_path)
        authority_of(folder).revoke_token(id)
    noted(folder, "token.revoke", id)
    lines = [f"token {id} lets nobody in any more", "next: nova-node members shows who is in"]
    say(as_json, {"id": id}, lines)


def _next(role: str, here: LocalNode | None) -> list[str]:
    if here is None:
        missing = ["the node here lets others in, and does not run: nova-node start"]
        address = "HOST"
    else:
        missing, address = [], here.address
    if role == "worker":
        hint = f" (with --peer {address} where mDNS does not reach)"
        return [*missing, f"next, on the other machine: nova-node join{hint}, and paste it there"]
    return [*missing, f"next, for that person: nova login --node {address}, and paste it there"]


def _state(record: TokenRecord, now: float) -> str:
    if record.used_at is not None:
        return "used"
    return "expired" if now >= record.expires_at else "open"
