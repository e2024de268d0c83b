"""`start`, `demo` and `config`: what begins with a config on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from nova_node.cli.options import config_options, load_config


@click.command()
@config_options
@click.option("--verbose", is_flag=True, help="Say more.")
@click.option(
    "--adopt", is_flag=True, help="Take over a data directory that was moved or restored."
)
def start(verbose: bool, adopt: bool, **given: Any) -> None:
    """Run a node until it is stopped (Ctrl-C, SIGTERM, or nova-node drain)."""
    import logging

    loaded = load_config(given)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for chatty in ("asyncio", "_cygrpc", "grpc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    config = loaded.config
    click.echo(
        f"node {config.name} of mesh {config.mesh}: {config.listen}, data in"
        f" {config.storage.data_dir}",
        err=True,
    )
    from nova_node import node

    try:
        sys.exit(node.run(config, adopt))
    except KeyboardInterrupt:
        sys.exit(130)


@click.command()
@click.option("--path", metavar="FOLDER", help="Files to work on.  [default: made for the demo]")
@click.option(
    "--no-console", is_flag=True, help="Do not show it in the console at the end, on a terminal."
)
def demo(path: str | None, no_console: bool) -> None:
    """Three nodes on this machine find each other and share a task; all is removed after."""
    from nova_node import demo as show

    try:
        sys.exit(show.run(path, not no_console))
    except KeyboardInterrupt:
        sys.exit(130)


@click.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def config(as_json: bool, **given: Any) -> None:
    """Print each setting, its value, and where the value came from."""
    loaded = load_config(given)
    from nova_node.settings import SETTINGS_BY_KEY

    if as_json:
        settings = [
            {
                "key": key,
                "value": _plain(key, value),
                "origin": origin,
                "doc": SETTINGS_BY_KEY[key].doc,
            }
            for key, value, origin in loaded.given
        ]
        document = {"schema": 1, "settings": settings, "warnings": loaded.warnings}
        click.echo(json.dumps(document, indent=2))
        return
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    shown = [(k, json.dumps(_plain(k, value)), origin) for k, value, origin in loaded.given]
    width_key, width_value = (max(len(row[i]) for row in shown) for i in (0, 1))
    for key, value, origin in shown:
        click.echo(f"{key:<{width_key}}  {value:<{width_value}}  {origin}")


def _plain(key: str, value: Any) -> Any:
    """As JSON and TOML write it."""
    from nova_node.address import Address
    from nova_node.core.policy import CapabilityRule

    if key == "labels":
        return dict(value)
    if value is None:
        return ""
    if isinstance(value, Address | CapabilityRule | Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain("", item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
