"""nova logs"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="logs")
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Until the task ends.")
@with_client
async def command(client: Client, out: Output, id: str, follow: bool) -> None:
    """Print what task ID and its shards wrote."""
    empty = True
    async for line in client.logs(id, follow):
        empty = False
        if out.as_json:
            out.json(line)
        else:
            out.line(line.text.rstrip("\n") if line.id == id else f"[{line.id}] {line.text}")
    if empty:
        hint = "" if follow else f"; wait for more with: nova logs -f {id}"
        out.note(f"task {id} has written nothing{hint}")
