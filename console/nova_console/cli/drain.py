"""nova drain"""

from __future__ import annotations

import click
from nova_client import Client

from nova_console.cli.frame import FAILED, with_client
from nova_console.cli.output import Output
from nova_console.cli.there import client_of


@click.command(name="drain")
@click.argument("name", default="")
@click.option("--stay", is_flag=True, help="Leave the node running, without new work.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for what runs.",
)
@with_client
async def command(client: Client, out: Output, name: str, stay: bool, timeout_s: float) -> None:
    """Let the node called NAME (by default the one asked) finish what it runs and take nothing new;
    then stop it, unless it is to stay."""
    async with client_of(client, name) as there:
        left = await there.drain(stay=stay, timeout_s=timeout_s)
        if out.as_json:
            out.json({"node": there.node, "left_running": left, "stays": stay})
        elif left:
            out.line(f"{left} attempts were still running after {timeout_s:g} s")
        else:
            out.line("drained" if stay else "drained, stopping")
    if left:
        raise click.exceptions.Exit(FAILED)
