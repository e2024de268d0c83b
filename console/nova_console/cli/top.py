"""nova top"""

from __future__ import annotations

import asyncio
import sys

import click
from nova_client import Client
from nova_client.metrics import Load, Top

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, escape, size, span

PERIOD_S = 1.0
_BARS = "▁▂▃▄▅▆▇█"
_SPARK = 20
_TITLES = ("NODE", "CPU", "MEMORY", "BUSY", "QUEUED", "TASKS/S", "ERRORS/S", "LAG", "LAST 20 S")


@click.command(name="top")
@click.option("--once", is_flag=True, help="Print it once instead of following it.")
@with_client
async def command(client: Client, out: Output, once: bool) -> None:
    """Show the load of the nodes, every second until interrupted.

    With --once or --json, or when the output is no terminal, once.
    """
    if once or out.as_json or not sys.stdout.isatty():
        show(await client.metrics.top(), out)
        return
    out.farewell = " "
    while True:
        found = await client.metrics.top()
        sys.stdout.write("\x1b[H\x1b[2J")
        show(found, out)
        sys.stdout.flush()
        await asyncio.sleep(PERIOD_S)


def show(found: Top, out: Output) -> None:
    if out.as_json:
        out.json(found)
        return
    nodes = sorted(found.nodes, key=lambda node: (node.name, node.node))
    out.table(_TITLES, [_row(node) for node in nodes])
    for node in nodes:
        for one in node.capabilities:
            out.line(
                f"  {node.name}: {one.capability}  {one.rate:,.0f}/s"
                f"  failed {one.failed_rate:,.0f}/s  mean {span(one.elapsed_s)}"
                f"  max {span(one.elapsed_max_s)}"
            )
        for pool in node.pools or ():
            out.line(
                f"  {node.name}: sandbox {pool.image}  warm {pool.warm}  busy {pool.busy}"
                f"  refilling {pool.refilling}  waiting {pool.waiting}"
            )
        for odd in node.anomalies:
            out.line(
                f"! {node.name}: {odd.series} is {odd.value:.4g}, ordinarily {odd.median:.4g}"
                f" ({odd.z:+.1f} sigmas)"
            )
    for gone in found.missing:
        out.line(f"? {gone.name} did not answer: {gone.message}")


def _row(node: Load) -> tuple[str, ...]:
    if not node.at:
        return (node.name, *["-"] * (len(_TITLES) - 1))
    return (
        node.name,
        f"{node.cpu:.0%}",
        size(node.memory_bytes),
        f"{node.slots - node.slots_free}/{node.slots}",
        str(node.queued),
        f"{node.rate:,.1f}",
        f"{node.error_rate:,.1f}",
        f"{node.lag_ms:.0f} ms",
        spark(node.recent_rate[-_SPARK:]),
    )


def spark(values: tuple[float, ...]) -> str:
    """Bars from 0 to the highest."""
    top = max(values, default=0.0)
    if not top:
        return escape(_BARS[0] * len(values))
    return "".join(_BARS[min(7, int(value / top * 7.999))] for value in values)
