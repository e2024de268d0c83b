"""`user add`: a person of the mesh, without a token."""

from __future__ import annotations

from pathlib import Path

import click

from nova_node.cli.authority import (
    admit,
    at,
    authority_of,
    data_dir_of,
    data_dir_options,
    json_option,
    refusals,
    say,
)
from nova_node.cli.noted import noted
from nova_node.core.errors import Refused

ROLES = ("submitter", "observer", "admin")


@click.group()
def user() -> None:
    """The persons of the mesh, and programs that act for themselves."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="submitter", show_default=True)
@click.option("--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path))
@data_dir_options
@json_option
def add(
    name: str,
    role: str,
    out: Path | None,
    data_dir: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Make a certificate for NAME: for you on this machine, or into the folder --out."""
    from nova_proto.identity import folder, names, person

    with refusals():
        data = data_dir_of(data_dir, config_path)
        authority = authority_of(data)
        who = names.Name(authority.mesh, role, names.check_id(name))
        where = out or person.folder_of(authority.mesh)
        known = next((m for m in authority.issued() if m.name == who.short), None)
        if known is not None and known.revoked_at is None:
            raise Refused(
                f"{who.short} is a member already",
                f"choose another name, or end that one: nova-node revoke {who.short}",
            )
        if folder.exists(where):
            raise Refused(
                f"{where} holds an identity already",
                "name another folder with --out, or delete that one",
            )
        made = admit(authority, where, who)
    noted(data, "user.add", who.short)
    lines = [f"{who.short} of mesh {who.mesh}: until {at(made.not_after)}, in {where}"]
    if out is None:
        lines.append("next: nova nodes")
    else:
        lines.append(f"next, for that person: put it at {_own_place(who.mesh)}, then nova nodes")
    document = {"name": who.short, "mesh": who.mesh, "expires_at": made.not_after}
    say(as_json, {**document, "identity": str(where)}, lines)


def _own_place(mesh: str) -> str:
    return f"nova/identity/{mesh} in the config folder (on Linux ~/.config), files 0600"
