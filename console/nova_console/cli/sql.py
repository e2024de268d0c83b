"""nova sql"""

from __future__ import annotations

import click
from nova_client import Client
from nova_client.metrics import Table

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, to_json

_CELL_CHARS = 60


@click.command(name="sql")
@click.argument("query")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.001, 60), default=5.0, show_default=True,
    metavar="SECONDS", help="For the query on each node.",
)  # fmt: skip
@click.option(
    "--rows", type=click.IntRange(1, 100_000), default=1_000, show_default=True,
    help="Of each node, at most.",
)  # fmt: skip
@click.option("--here", is_flag=True, help="Ask this node only.")
@with_client
async def command(
    client: Client, out: Output, query: str, timeout_s: float, rows: int, here: bool
) -> None:
    """Run one SELECT on each node and print all that they answer.

    Tables: samples, rates, tasks, events, members. The column `node` comes first. Each node
    aggregates its own rows only. See docs/metrics.md.
    """
    found = await client.metrics.sql(query, timeout_s=timeout_s, rows_max=rows, local_only=here)
    show(found, rows, out)


def show(found: Table, rows: int, out: Output) -> None:
    """`rows` is how many were asked for of each node."""
    if out.as_json:
        out.json(found)
        return
    out.table(found.columns, [[_cell(value) for value in row] for row in found.rows])
    for name in found.truncated:
        out.note(f"{name} has more than {rows:,} rows; see more with --rows")
    for one in found.missing:
        out.note(f"did not answer: {one.name}: {one.message}")


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case str():
            text = value
        case float():
            text = f"{value:.6g}"
        case _:
            text = to_json(value)
    return text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 3] + "..."
