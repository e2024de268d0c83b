"""nova console"""

from __future__ import annotations

import os
import sys

import click
from nova_client import Invalid, NovaError

from nova_console.cli.frame import USAGE, exit_code
from nova_console.cli.output import Output


@click.command(name="console")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="HOST:PORT",
    help="A node of the mesh to show; once for each mesh. The local one by default.",
)
@click.pass_context
def command(ctx: click.Context, nodes: tuple[str, ...]) -> None:
    """Watch and steer the mesh on the whole terminal: ? shows the keys."""
    root_node, as_json = ctx.obj or (None, False)
    out = Output(as_json)
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        out.error(
            Invalid("the console needs a terminal", "without one: nova nodes, nova watch --json")
        )
        ctx.exit(USAGE)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core would write on the screen
    given = nodes or ((root_node,) if root_node else ("",))
    try:
        ctx.exit(_run(given))
    except NovaError as error:
        out.error(error)
        ctx.exit(exit_code(error))


def _run(nodes: tuple[str, ...]) -> int:
    from nova_console.app import actions, settings, themes  # loads Textual
    from nova_console.app.app import Console

    ids = [action.id for action in actions.ACTIONS]
    app = Console(nodes, settings.read(settings.path(), themes.NAMES, ids))
    app.run()
    return app.return_code or 0
