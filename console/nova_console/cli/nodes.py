"""nova nodes"""

from __future__ import annotations

import click
from nova_client import Client
from nova_client.model import NodeView

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="nodes")
@with_client
async def command(client: Client, out: Output) -> None:
    """List the nodes of the mesh as the node asked sees them."""
    found = await client.nodes()
    if out.as_json:
        out.json(found)
        return
    titles = ("NAME", "ID", "STATE", "FREE", "QUEUED", "RTT", "ADDRESS", "VERSION", "NOTE")
    out.table(titles, [_row(node) for node in found.nodes])
    if len(found.nodes) <= 1:
        out.note("no other node; start one with `nova-node start`, or see `nova-node doctor`")


def _row(node: NodeView) -> tuple[str, ...]:
    notes = [*node.warnings]
    notes += [f"refused: {node.skew}"] if node.skew else []
    notes += ["draining"] if node.draining else []
    notes += ["this node"] if node.self else []
    return (
        node.name,
        node.node[:8],
        node.state,
        f"{node.slots_free}/{node.slots}",
        str(node.queued),
        "-" if node.self else f"{node.rtt_ms:.1f} ms",
        node.address,
        node.version,
        "; ".join(notes),
    )
