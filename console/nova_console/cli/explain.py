"""nova explain"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="explain")
@click.argument("id")
@with_client
async def command(client: Client, out: Output, id: str) -> None:
    """Tell why task ID is where it is: what it waits for, and how nodes were ranked for it."""
    found = await client.explain(id)
    if out.as_json:
        out.json(found)
        return
    waits = f", waits for {found.waits_for}" if found.waits_for else ""
    out.line(f"{found.id} is {found.status}{waits}")
    for step in found.unblock:
        out.line(f"to unblock: {step}")
    if found.durability:
        out.line(f"durability: {found.durability}")
    if found.ranking:
        rows = [
            (
                item.name or item.node[:8],
                "yes" if item.fits else "no",
                f"{item.score:.3g}",
                "; ".join(item.reasons),
            )
            for item in found.ranking
        ]
        out.table(("NODE", "FITS", "SCORE", "REASONS"), rows)
