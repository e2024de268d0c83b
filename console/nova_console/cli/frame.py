"""What every command shares: --node and --json, an open client, and errors as exit codes."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec

import click
from nova_client import Client, Invalid, NovaError, Refused, Timeout, Unreachable

from nova_console.cli.output import Output

OK, FAILED, USAGE, UNREACHABLE, TIMEOUT, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

_EXITS: tuple[tuple[type[NovaError], int], ...] = (
    (Unreachable, UNREACHABLE),
    (Timeout, TIMEOUT),
    (Refused, REFUSED),
    (Invalid, USAGE),
)

P = ParamSpec("P")
Body = Callable[Concatenate[Client, Output, P], Awaitable[None]]


def with_client(body: Body[P]) -> Callable[..., None]:
    """Makes a click callback of a coroutine that takes an open client and the output first."""

    @click.option("--node", metavar="HOST:PORT", help="The node to ask; the local one by default.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_context
    @functools.wraps(body)
    def callback(ctx: click.Context, node: str | None, as_json: bool, **given: Any) -> None:
        root_node, root_json = ctx.obj or (None, False)
        out = Output(as_json or root_json)
        ctx.exit(_run(body, node or root_node, out, given))

    return callback


def _run(body: Body[...], node: str | None, out: Output, given: dict[str, Any]) -> int:
    async def work() -> None:
        async with Client(node) as client:
            await body(client, out, **given)

    try:
        asyncio.run(work())
    except NovaError as error:
        out.error(error)
        return exit_code(error)
    except KeyboardInterrupt:
        out.note(out.farewell or "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has had enough; keep the interpreter from flushing into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return OK


def exit_code(error: NovaError) -> int:
    return next((code for kind, code in _EXITS if isinstance(error, kind)), FAILED)
