"""nova login"""

from __future__ import annotations

import os
import sys
import time
from typing import IO

import click
from nova_client import Invalid, NovaError

from nova_console.cli.frame import exit_code
from nova_console.cli.output import Output

TOKEN_MAX_CHARS = 4_096


@click.command(name="login")
@click.option("--node", metavar="HOST[:PORT]", help="The node where the mesh was made.")
@click.option("--token-file", type=click.File(), help="Holds the token; - is stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context, node: str | None, token_file: IO[str] | None, as_json: bool
) -> None:
    """Become a member of a mesh, with a token from the machine where it was made.

    The token is asked for, or read from a pipe or --token-file.
    """
    root_node, root_json = ctx.obj or (None, False)
    out = Output(as_json or root_json)
    try:
        _login(node or root_node or os.environ.get("NOVA_NODE"), token_file, out)
    except NovaError as error:
        out.error(error)
        ctx.exit(exit_code(error))


def _login(address: str | None, token_file: IO[str] | None, out: Output) -> None:
    if not address:
        raise Invalid(
            "where is the mesh?",
            "name the node that made it, as `nova-node status` shows it there:"
            " nova login --node HOST",
        )
    token = _read_token(token_file)
    from nova_client import identity  # loads cryptography and grpc

    done = identity.login(address, token)
    name = done.identity.name
    if out.as_json:
        out.json(
            {
                "mesh": name.mesh,
                "name": name.short,
                "expires_at": done.expires_at,
                "identity": str(done.kept_in),
                "node": done.node.address if done.node else None,
            }
        )
        return
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(done.expires_at))
    out.line(f"you are {name.short} of mesh {name.mesh}, until {until} and renewed as you use it")
    out.line("next: nova nodes" if done.node else "next: nova --node HOST:PORT nodes")


def _read_token(file: IO[str] | None) -> str:
    if file is None and sys.stdin.isatty():
        text = str(click.prompt("token", hide_input=True, err=True))
    else:
        text = (file or sys.stdin).read(TOKEN_MAX_CHARS)
    if not text.strip():
        raise Invalid(
            "no token was given",
            "make one where the mesh was made: nova-node token create --role submitter --id NAME",
        )
    return text.strip()
