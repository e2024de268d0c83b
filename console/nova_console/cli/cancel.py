"""nova cancel"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="cancel")
@click.argument("id")
@with_client
async def command(client: Client, out: Output, id: str) -> None:
    """Ask for the end of task ID and its shards; prints its status."""
    status = await client.cancel(id)
    if out.as_json:
        out.json({"id": id, "status": status})
    else:
        out.line(status)
