"""nova console"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from nova_client import Invalid, NovaError

from nova_console.cli.frame import INTERRUPTED, USAGE, exit_code
from nova_console.cli.output import Output, escape_line, span

if TYPE_CHECKING:
    from nova_console.web.serve import Started
    from nova_console.web.sign_in import Asked

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(name="console")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="HOST:PORT",
    help="A node of the mesh to show; once for each mesh. The local one by default.",
)
@click.option("--web", is_flag=True, help="Serve it to browsers instead.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:7680",
    show_default=True,
    help="With --web: beyond this machine members sign in, over TLS.",
)
@click.option("--cert", type=_FILE, help="With --web: a PEM certificate that browsers trust.")
@click.option("--key", type=_FILE, help="With --web: its key.")
@click.option("--share", is_flag=True, help="With --web or --web-link: a link that only shows.")
@click.option(
    "--may-act",
    "actors",
    multiple=True,
    metavar="ROLE/ID",
    help="With --web: another member who may act as you here; the rest only look.",
)
@click.option("--web-link", is_flag=True, help="Print another link to your running --web.")
@click.option(
    "--web-sign-in",
    "sign_in",
    metavar="CODE@HOST:PORT",
    help="Let the browser in that shows this code.",
)
@click.pass_context
def command(
    ctx: click.Context,
    nodes: tuple[str, ...],
    web: bool,
    listen: str,
    cert: Path | None,
    key: Path | None,
    share: bool,
    actors: tuple[str, ...],
    web_link: bool,
    sign_in: str | None,
) -> None:
    """Watch and steer the mesh on the whole terminal: ? shows the keys.

    --web serves the same to browsers, --web-link and --web-sign-in let one in.
    """
    root_node, as_json = ctx.obj or (None, False)
    out = Output(as_json)
    given = nodes or ((root_node,) if root_node else ("",))
    try:
        if sign_in:
            _sign_in(out, sign_in)
        elif web_link:
            _link(out, share)
        elif web:
            _serve(out, given, listen, cert, key, share, frozenset(actors))
        elif not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
            out.error(
                Invalid(
                    "the console needs a terminal", "without one: nova nodes, nova watch --json"
                )
            )
            ctx.exit(USAGE)
        else:
            ctx.exit(run_app(given))
    except NovaError as error:
        out.error(error)
        ctx.exit(exit_code(error))
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)


def run_app(nodes: tuple[str, ...]) -> int:
    """The console itself, here; its exit code. Raises NovaError."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core would write on the screen
    from nova_console.app import hangup, sweep

    hangup.begin()
    sweep.begin()
    from nova_console.app import actions, settings, themes  # loads Textual
    from nova_console.app.app import Console

    ids = [action.id for action in actions.ACTIONS]
    app = Console(nodes, settings.read(settings.path(), themes.NAMES, ids))
    app.run()
    return app.return_code or 0


# ------------------------------------------------------------ in browsers


def _serve(
    out: Output,
    nodes: tuple[str, ...],
    listen: str,
    cert: Path | None,
    key: Path | None,
    share: bool,
    actors: frozenset[str],
) -> None:
    from nova_console.web import serve  # loads aiohttp

    options = serve.Options(nodes, listen, cert, key, share, actors)

    def started(now: Started) -> None:
        if out.as_json:
            out.json(now._asdict())
        else:
            _tell_started(out, now)
        sys.stdout.flush()

    def tell(what: str) -> None:
        out.note(f"{time.strftime('%H:%M:%S')} {what}")

    serve.serve(options, started, tell)


def _tell_started(out: Output, now: Started) -> None:
    out.line(f"the console is at {now.url}")
    out.line(f"open, once: {now.link}")
    if now.mesh:
        out.line(f"members of {now.mesh} sign in there; they look, and you act")
    if now.share:
        out.line(f"only shows, for 8 h: {now.share}")
    if now.fingerprint:
        out.line("browsers will ask about its certificate, which has this SHA-256 fingerprint:")
        out.line(f"  {now.fingerprint}")
    out.line("another link: nova console --web-link; ctrl+c ends it")


def _link(out: Output, share: bool) -> None:
    from nova_console.web import control

    url, expires_at = control.ask_link(share)
    if out.as_json:
        out.json({"link": url, "expires_at": expires_at, "share": share})
        return
    what = "only shows, for" if share else "open, once, within"
    out.line(f"{what} {span(expires_at - time.time())}: {url}")


def _sign_in(out: Output, target: str) -> None:
    from nova_console.web import sign_in  # loads cryptography

    who, acts = sign_in.sign_in(target, _approve)
    if out.as_json:
        out.json({"who": who, "acts": acts})
    else:
        out.line(f"the browser is {who} now and {'may act' if acts else 'only looks'}")


def _approve(asked: Asked) -> bool:
    lines = (
        f"code          {asked.code}",
        f"browser       {asked.browser}, at {asked.remote}, asked {span(asked.asked_s)} ago",
        f"console       {asked.server}, served by {asked.starter}",
        f"fingerprint   {asked.fingerprint}",
    )
    for line in lines:
        click.echo(escape_line(line), err=True)
    return click.confirm(f"let it in as {asked.me}?", default=False, err=True)
