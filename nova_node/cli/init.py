"""`init`: the first machine of a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_node.cli.authority import (
    admit,
    at,
    data_dir_options,
    json_option,
    keep_data_keys,
    refusals,
    require_outsider,
    say,
    settings_of,
    user_name,
)
from nova_node.cli.noted import noted
from nova_node.core.errors import Refused

if TYPE_CHECKING:
    from nova_proto.identity.certificates import Facts


@click.command()
@click.option("--mesh", metavar="NAME", help="What to call it.  [default: nova]")
@data_dir_options
@json_option
def init(mesh: str | None, data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """Make a mesh: its authority, this node's identity, an admin certificate for you."""
    settings = settings_of(data_dir, config_path, mesh)
    mesh, folder = settings["mesh"], settings["data_dir"]
    with refusals():
        node, you, kept = _make(folder, settings["mesh"], settings["node_certificate_s"])
    noted(folder, "init", settings["mesh"], node=node)
    authority = folder / "authority"
    document = {
        "mesh": mesh,
        "node": node,
        "you": you.name.short,
        "expires_at": you.not_after,
        "authority": str(authority),
        "identity": str(kept),
    }
    lines = [
        f"mesh {mesh}: made, with this machine as node {node}",
        f"authority: {authority} (keep a copy of it in a safe place)",
        f"you: {you.name.short}, until {at(you.not_after)} and renewed as you use it ({kept})",
        "next: nova-node start",
    ]
    say(as_json, document, lines)


def _make(folder: Path, mesh: str, node_s: float) -> tuple[str, Facts, Path]:
    """The node's id, the person's certificate, and the folder it is kept in."""
    from nova_proto.identity import names, person
    from nova_proto.identity.folder import exists

    from nova_node.adapters.data_dir import DataDir
    from nova_node.identity.authority import Authority

    names.check_mesh(mesh)
    require_outsider(folder)
    kept = person.folder_of(mesh)
    if exists(kept):
        raise Refused(
            f"you already belong to a mesh named {mesh}: {kept}",
            f"give this one another name with --mesh; or, if that mesh is gone, delete {kept}",
        )
    data = DataDir(folder)
    try:
        authority = Authority.create(folder / "authority", mesh, data.node)
        keep_data_keys(folder / "identity", authority.data_keys())
        you = admit(authority, kept, names.Name(mesh, "admin", user_name()))
        me = names.Name(mesh, names.NODE_ROLE, data.node)
        admit(authority, folder / "identity", me, node_s)
        return data.node, you, kept
    finally:
        data.close()
