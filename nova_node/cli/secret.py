"""`secret`: what this node keeps for capabilities. Values come from stdin or a prompt, never from the
command line, and are never shown."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_node.cli.authority import data_dir_of, data_dir_options
from nova_node.cli.noted import noted
from nova_node.core.errors import Invalid

if TYPE_CHECKING:
    from nova_node.secrets.store import Secret, Store

SUBMITTERS = ("admin", "submitter")
_PATTERN_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.*?[]!")


@click.group()
def secret() -> None:
    """Keep passwords and keys for the tasks that this node runs.

    A task names one as secret:NAME and the capability reads it with secret(); its value does not
    leave this machine, and is kept out of logs, results and error messages.
    """


@secret.command("set")
@click.argument("name")
@click.option(
    "--capability",
    "capabilities",
    metavar="PATTERN",
    multiple=True,
    help="Only for these, such as db.query or 'db.*'. Repeatable.  [default: any]",
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(SUBMITTERS),
    multiple=True,
    help="Only for tasks that such a person submitted. Repeatable.  [default: any]",
)
@data_dir_options
def set_(
    name: str,
    capabilities: tuple[str, ...],
    roles: tuple[str, ...],
    data_dir: str | None,
    config_path: str | None,
) -> None:
    """Store a secret, or replace one and its rules. The value is read from stdin, or asked for."""
    from nova_node.secrets.store import Secret

    for pattern in capabilities:
        if not pattern or set(pattern) - _PATTERN_SIGNS:
            raise Invalid(f"{pattern[:80]!r} matches no capability", "for example 'db.*'")
    folder = data_dir_of(data_dir, config_path)
    store = _store(folder)
    store.set(Secret(name, _value(name), capabilities, roles, time.time()))
    noted(folder, "secret.set", name)
    click.echo(f"stored; tasks name it secret:{name}", err=True)


@secret.command()
@click.argument("name")
@data_dir_options
def rotate(name: str, data_dir: str | None, config_path: str | None) -> None:
    """Give a secret a new value, which the next attempts see; its rules stay."""
    folder = data_dir_of(data_dir, config_path)
    _store(folder).rotate(name, _value(name), time.time())
    noted(folder, "secret.rotate", name)
    click.echo(f"replaced; attempts that start from now on get the new value of {name}", err=True)


@secret.command()
@click.argument("name")
@data_dir_options
def rm(name: str, data_dir: str | None, config_path: str | None) -> None:
    """Remove a secret."""
    folder = data_dir_of(data_dir, config_path)
    _store(folder).remove(name)
    noted(folder, "secret.rm", name)
    click.echo(f"removed {name}", err=True)


@secret.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_options
def list_(as_json: bool, data_dir: str | None, config_path: str | None) -> None:
    """Show the names of the secrets, for what they are, and when they were set."""
    secrets = _store(data_dir_of(data_dir, config_path)).secrets()
    if as_json:
        rows = [
            {
                "name": each.name,
                "capabilities": each.capabilities,
                "roles": each.roles,
                "set_at": each.set_at,
            }
            for each in secrets
        ]
        click.echo(json.dumps({"schema": 1, "secrets": rows}, indent=2))
    elif secrets:
        _show(secrets)
    else:
        click.echo("no secrets; store one with nova-node secret set NAME", err=True)


def _show(secrets: list[Secret]) -> None:
    titles = ("NAME", "CAPABILITIES", "ROLES", "SET")
    rows = [
        (
            each.name,
            ", ".join(each.capabilities) or "any",
            ", ".join(each.roles) or "any",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(each.set_at)),
        )
        for each in secrets
    ]
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(3)]
    for *cells, last in (titles, *rows):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        click.echo("  ".join([*padded, last]))


def _store(data_dir: Path) -> Store:
    from nova_node.secrets.store import Store

    return Store(data_dir / "secrets")


def _value(name: str) -> str:
    """Raises Invalid."""
    from nova_node.secrets.redact import BYTES_MAX
    from nova_node.secrets.sources import without_newline

    if sys.stdin.isatty():
        text: str = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True)
        return text
    data = sys.stdin.buffer.read(BYTES_MAX + 3)
    try:
        return without_newline(data.decode())
    except UnicodeDecodeError:
        raise Invalid("the value is not text in UTF-8", "store it as base64") from None
