"""nova costs"""

from __future__ import annotations

import time
from typing import cast

import click
from nova_client import Client
from nova_client.costs import By, Cost, Costs, costs

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, dollars

_WAYS = ("person", "capability", "model", "day")


@click.command(name="costs")
@click.option(
    "--by", type=click.Choice(_WAYS), default="capability", show_default=True, help="One row each."
)
@click.option(
    "--days", type=click.FloatRange(0.001, 3660), default=30.0, show_default=True,
    help="Back from now.",
)  # fmt: skip
@with_client
async def command(client: Client, out: Output, by: str, days: float) -> None:
    """Tell what models cost: by person, capability, model or day.

    Sums come from the recorded history of all nodes. Attempts whose price nobody knows are counted
    beside the money, not in it.
    """
    now = time.time()
    show(await costs(client.metrics, cast("By", by), now - days * 86_400, now), by, out)


def show(found: Costs, by: str, out: Output) -> None:
    if out.as_json:
        out.json(found)
        return
    for gone in found.missing:
        out.note(f"did not answer: {gone.name}: {gone.message}")
    if not found.rows:
        out.note("no model was used in that time; try one: nova run llm.chat --arg prompt=Hello")
        return
    titles = (by.upper(), "ATTEMPTS", "CACHED", "TOKENS IN", "TOKENS OUT", "SPENT", "NO PRICE")
    out.table(titles, [*map(_row, found.rows), ("all", *_row(found.all)[1:])])


def _row(cost: Cost) -> tuple[str, ...]:
    return (
        cost.key or "-",
        f"{cost.attempts:,}",
        f"{cost.cached:,}",
        f"{cost.input_tokens:,}",
        f"{cost.output_tokens:,}",
        dollars(cost.spent_uusd),
        f"{cost.unpriced:,}" if cost.unpriced else "-",
    )
