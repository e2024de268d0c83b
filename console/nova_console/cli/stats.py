"""nova stats"""

from __future__ import annotations

import time

import click
from nova_client import Client
from nova_client.metrics import Sums

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, span

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
    if out.as_json:
        out.json(found)
        return
    rows = [_row(node.name, node) for node in sorted(found.nodes, key=lambda n: (n.name, n.node))]
    out.table(_TITLES, [*rows, _row("all", found.all)])
    for gone in found.missing:
        out.note(f"did not answer: {gone.name}: {gone.message}")


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
