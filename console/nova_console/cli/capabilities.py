"""nova capabilities"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.args import signature
from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="capabilities")
@with_client
async def command(client: Client, out: Output) -> None:
    """List what the mesh can do, with the parameters that `nova run` takes."""
    offered = await client.capabilities()
    if out.as_json:
        out.json({"capabilities": offered})
        return
    if not offered:
        out.note("no node offers anything; see `nova nodes` for warnings")
        return
    rows = [
        (signature(item), item.version, len(item.nodes), item.doc.partition("\n")[0])
        for item in offered
    ]
    out.table(("CAPABILITY", "VERSION", "NODES", "WHAT"), rows)
