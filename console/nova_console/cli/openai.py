"""nova openai"""

from __future__ import annotations

from pathlib import Path

import click
from nova_client import Client, Invalid

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output

KEY_MAX_BYTES = 4_096


@click.command(name="openai")
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:7640", show_default=True,
    help="Serve here; port 0 takes a free one.",
)  # fmt: skip
@click.option("--key-file", type=click.Path(path_type=Path), help="Ask for the key in it.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM; for other machines.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM.")
@click.option("--local-only", is_flag=True, help="Only models of the mesh's own machines.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(1, 86_400), default=600.0, show_default=True,
    metavar="SECONDS", help="How long a request may take.",
)  # fmt: skip
@click.option("--until-eof", is_flag=True, hidden=True)
@with_client
async def command(
    client: Client,
    out: Output,
    listen: str,
    key_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    local_only: bool,
    timeout_s: float,
    until_eof: bool,
) -> None:
    """Offer the mesh's models to any client of OpenAI's protocol.

    Point it at the address that is printed, with any key. Use `nova-node start --openai` to have a
    node do so while it runs.
    """
    from nova_console.openai.serve import Plan, check, serve  # loads aiohttp

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Invalid(f"{listen!r} is not HOST:PORT", "for example --listen 127.0.0.1:7640")
    if (tls_cert is None) != (tls_key is None):
        raise Invalid("--tls-cert and --tls-key belong together", "give both")
    plan = Plan(
        host.strip("[]"),
        int(port),
        _read_key(key_file) if key_file else "",
        (tls_cert, tls_key) if tls_cert and tls_key else None,
        local_only,
        timeout_s,
        until_eof,
    )
    check(plan)

    def say(address: str) -> None:
        if out.as_json:
            out.json({"address": address})
        else:
            out.line(f"the models of this mesh: {address}")

    await serve(client, plan, say)


def _read_key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            key = file.read(KEY_MAX_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read the key in {path}: {error}", "a line of ASCII text") from None
    if not key:
        raise Invalid(f"there is no key in {path}", "write one: openssl rand -hex 32 > FILE")
    return key
