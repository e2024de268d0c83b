"""`nova-sandbox pool`: the containers of all sandboxes on this engine, and the orphans among them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import click

from nova_sandbox import lease
from nova_sandbox.cli.fault import printable
from nova_sandbox.cli.options import engine_option, json_option
from nova_sandbox.container import reap
from nova_sandbox.engine import Engine, Found


@click.command()
@click.option("--reap", "do_reap", is_flag=True, help="Remove the containers that nobody holds.")
@engine_option
@json_option
def pool(do_reap: bool, engine: str, as_json: bool) -> None:
    """Show the containers of all sandboxes on this engine, and who holds them."""
    for row in asyncio.run(_rows(engine, do_reap)):
        if as_json:
            click.echo(json.dumps(row))
        else:
            mark = "orphan" if row["orphan"] else f"pid {row['pid']}"
            click.echo(
                f"{row['name']}  {row['state']:<8} {row['age_s']:>6} s  {mark:<12} "
                f"{printable(str(row['node']))}"
            )


async def _rows(url: str, do_reap: bool) -> list[dict[str, Any]]:
    engine = Engine(url)
    me = lease.new_owner()
    try:
        if do_reap:
            for name in await reap(engine, me):
                click.echo(f"removed {name}", err=True)
        return [_row(found, me) for found in await engine.containers(lease.LABEL)]
    finally:
        await engine.close()


def _row(found: Found, me: lease.Owner) -> dict[str, Any]:
    owner = lease.read_owner(found.labels.get(lease.OWNER, ""))
    return {
        "name": found.name,
        "state": found.state,
        "image": found.image_id,
        "age_s": int(time.time() - found.made),
        "node": found.labels.get(lease.NODE, ""),
        "pid": owner.pid if owner else None,
        "orphan": lease.is_orphan(found.labels, me),
    }
