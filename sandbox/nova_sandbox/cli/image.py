"""`nova-sandbox image`: make images without a registry, list and remove them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from nova_sandbox import image as images
from nova_sandbox.cli.fault import Fault
from nova_sandbox.cli.options import engine_option, json_option
from nova_sandbox.engine import Engine

T = TypeVar("T")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def image() -> None:
    """Images that programs run in."""


@image.command()
@click.option("--from-host", is_flag=True, help="From this machine's own Python. No internet.")
@click.option("--name", default=images.DEFAULT, show_default=True)
@click.option(
    "--label", "pairs", multiple=True, metavar="KEY=VALUE", help="For placement; repeat it."
)
@click.option("--requirements", type=FILE, help="Packages to add, as pip reads them.")
@click.option(
    "--wheels", type=FOLDER, help="Take wheels from this folder alone, not from an index."
)
@engine_option
@json_option
def build(
    from_host: bool,
    name: str,
    pairs: tuple[str, ...],
    requirements: Path | None,
    wheels: Path | None,
    engine: str,
    as_json: bool,
) -> None:
    """Make an image."""
    if not from_host:
        raise Fault("say what the image is to be made from", "add --from-host", 2)
    if wheels and not requirements:
        raise Fault("--wheels without --requirements adds nothing", "add --requirements FILE", 2)
    if any("=" not in pair for pair in pairs):
        raise Fault("a label is KEY=VALUE", "write it so", 2)
    labels = dict(pair.split("=", 1) for pair in pairs)
    click.echo("packing this machine's Python ...", err=True)
    made = _with(engine, lambda e: images.build_from_host(e, name, labels, requirements, wheels))
    _show(made, as_json)


@image.command("list")
@engine_option
@json_option
def list_(engine: str, as_json: bool) -> None:
    """Show the images made here."""
    for found in _with(engine, images.listed):
        _show(found, as_json)


@image.command()
@click.argument("name")
@engine_option
def remove(name: str, engine: str) -> None:
    """Remove an image that nobody runs."""
    _with(engine, lambda e: e.remove_image(images.reference(name)))


def _with(url: str, work: Callable[[Engine], Awaitable[T]]) -> T:
    async def main() -> T:
        engine = Engine(url)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def _show(found: images.Image, as_json: bool) -> None:
    if as_json:
        fields = {"name": found.name, "id": found.id, "labels": found.labels}
        click.echo(json.dumps({**fields, "size_bytes": found.size_bytes}))
    else:
        labels = " ".join(f"{k}={v}" for k, v in found.labels.items())
        click.echo(f"{found.name}  {found.id}  {found.size_bytes / 1e6:.0f} MB  {labels}".rstrip())
