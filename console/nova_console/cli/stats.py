"""nova stats"""

from __future__ import annotations

import time
from dataclasses import fields

import click
from nova_client import Client, NovaError
from nova_client.costs import Saving, saving
from nova_client.metrics import Stats, Sums

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, dollars, span

_TITLES = ("NODE", "TASKS", "PER HOUR", "FAILED", "RECOVERY", "BUSY", "SHARED")


@click.command(name="stats")
@click.option(
    "--hours", type=click.FloatRange(0.01, 24 * 3660), default=24.0, show_default=True,
    help="Back from now.",
)  # fmt: skip
@with_client
async def command(client: Client, out: Output, hours: float) -> None:
    """Tell how the mesh did over a while.

    \b
    PER HOUR  tasks that people asked for and that ended
    FAILED    the part of them that became dead letters
    RECOVERY  mean time from a first failed attempt to the end, of tasks that still were done
    BUSY      the part of the slots' time that was in use
    SHARED    collaboration: the part of the attempts that ran away from their owner
    """
    now = time.time()
    found = await client.metrics.stats(now - hours * 3600, now)
    saved = await _saving(client, found)
    if out.as_json:
        plain = {field.name: getattr(found, field.name) for field in fields(found)}
        out.json({**plain, "models": saved})
        return
    rows = [_row(node.name, node) for node in sorted(found.nodes, key=lambda n: (n.name, n.node))]
    out.table(_TITLES, [*rows, _row("all", found.all)])
    if saved is not None and saved.calls:
        out.line(told(saved))
    for gone in found.missing:
        out.note(f"did not answer: {gone.name}: {gone.message}")


async def _saving(client: Client, found: Stats) -> Saving | None:
    """None: the nodes do not record it, or what their models cost."""
    try:
        return await saving(client.metrics, found.begin, found.end)
    except NovaError:
        return None


def told(saved: Saving) -> str:
    money = ""
    if saved.cached:
        money = (
            ", at unknown prices"
            if saved.saved_uusd is None
            else f", about {dollars(saved.saved_uusd)} saved"
        )
    return (
        f"models: {saved.calls:,} calls, {saved.cached:,} of them answered by the cache"
        f" ({saved.hit_rate:.1%}){money}"
    )


def _row(name: str, sums: Sums) -> tuple[str, ...]:
    return (
        name,
        f"{sums.tasks:,}",
        f"{sums.tasks_an_hour:,.1f}",
        _share(sums.error_rate),
        "-" if sums.recovery_s is None else span(sums.recovery_s),
        _share(sums.utilisation),
        _share(sums.collaboration),
    )


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"
