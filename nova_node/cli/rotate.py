"""`rotate`: new keys for the mesh, while it works."""

from __future__ import annotations

import click

from nova_node.cli.authority import (
    authority_of,
    data_dir_of,
    data_dir_options,
    json_option,
    refusals,
    say,
)
from nova_node.cli.noted import noted


@click.command()
@click.option("--data-key", is_flag=True, help="The key for data at rest instead of the root.")
@data_dir_options
@json_option
def rotate(data_key: bool, data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """Give the mesh a new root, or a new key for data at rest. Nobody has to restart.

    Members change over by themselves; the old root is trusted until all have.
    """
    with refusals():
        folder = data_dir_of(data_dir, config_path)
        authority = authority_of(folder)
        if data_key:
            authority.rotate_data_key()
            no = authority.data_keys()[-1].no
            noted(folder, "rotate", "data key", number=no)
            lines = [
                f"data key {no} is made: nodes use it for what they write from now on",
                "next: nothing; older keys stay for reading",
            ]
            say(as_json, {"data_key": no}, lines)
            return
        authority.rotate()
    noted(folder, "rotate", "root")
    lines = [
        "a new root is made; nodes and persons change over to it by themselves",
        "next: nothing; the old root is dropped when nobody needs it any more",
    ]
    say(as_json, {"rotated": "root"}, lines)
