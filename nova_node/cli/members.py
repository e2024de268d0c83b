"""`members`: who belongs to the mesh, as its authority knows."""

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
    names_known,
    refusals,
    say,
    table,
)

if TYPE_CHECKING:
    from nova_node.identity.authority_files import Member


@click.command()
@data_dir_options
@json_option
def members(data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """List everybody who has a certificate of the mesh: nodes, persons, programs."""
    folder = data_dir_of(data_dir, config_path)
    with refusals():
        authority = authority_of(folder)
        found, mesh, holder = authority.issued(), authority.mesh, authority.node
    node_names = {f"worker/{node}": name for node, name in names_known(folder)}
    now = time.time()
    shown = [
        {
            "name": member.name,
            "state": _state(member, now),
            "serial": member.serial,
            "issued_at": member.issued_at,
            "expires_at": member.expires_at,
            "revoked_at": member.revoked_at,
            "authority": member.name == f"worker/{holder}",
            "node_name": node_names.get(member.name),
        }
        for member in found
    ]
    rows = [
        (
            member.name,
            _state(member, now),
            at(member.issued_at),
            at(member.expires_at),
            node_names.get(member.name, ""),
            "holds the authority" if member.name == f"worker/{holder}" else "",
        )
        for member in found
    ]
    lines = table(("NAME", "STATE", "ISSUED", "EXPIRES", "NODE", "NOTE"), rows)
    say(as_json, {"mesh": mesh, "members": shown}, lines)


def _state(member: Member, now: float) -> str:
    if member.revoked_at is not None:
        return "revoked"
    return "expired" if now >= member.expires_at else "valid"
