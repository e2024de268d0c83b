"""nova resume"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output
from nova_console.cli.there import client_of


@click.command(name="resume")
@click.argument("name", default="")
@with_client
async def command(client: Client, out: Output, name: str) -> None:
    """End the drain of the node called NAME (by default the one asked): it takes work again."""
    async with client_of(client, name) as there:
        was_draining = await there.resume()
        if out.as_json:
            out.json({"node": there.node, "was_draining": was_draining})
        else:
            out.line("takes work again" if was_draining else "it was not draining")
