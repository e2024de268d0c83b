"""nova library"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import click
from nova_client import Client, NovaError

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, escape, escape_line

LABEL = "library.on"
WAIT_S = 60.0
ABOUT_CHARS = 60


@dataclass(frozen=True)
class Answer:
    """Of the library of one node: its functions, or why there are none."""

    node: str
    rows: tuple[dict[str, Any], ...] = ()
    error: str = ""


@click.command(name="library")
@click.argument("query", default="")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--source", is_flag=True, help="Print the code too.")
@with_client
async def command(client: Client, out: Output, query: str, limit: int, source: bool) -> None:
    """List functions that models wrote for you and that passed their checks, or find some by what
    they are for.

    Each node keeps those that were written through it. Nothing is run by this.
    """
    nodes = sorted(
        {label for node in (await client.nodes()).nodes if (label := node.labels.get(LABEL))}
    )
    answers = await asyncio.gather(*(_ask(client, node, query, limit) for node in nodes))
    rows: list[dict[str, Any]] = [
        {"node": answer.node, **row} for answer in answers for row in answer.rows
    ]
    rows.sort(key=lambda row: (-row["likeness"], -row["made_at"]))
    show(rows[:limit], [answer for answer in answers if answer.error], source, out)


async def _ask(client: Client, node: str, query: str, limit: int) -> Answer:
    args: dict[str, Any] = {"limit": limit} | ({"query": query} if query else {})
    name = "library.find" if query else "library.list"
    try:
        task = await client.submit(
            name, args, labels={LABEL: node}, durability="volatile", deadline_s=WAIT_S
        )
        found: Any = await task.result(WAIT_S)
    except NovaError as error:
        return Answer(node, error=error.message)
    return Answer(node, tuple(found))


def show(rows: list[dict[str, Any]], silent: list[Answer], source: bool, out: Output) -> None:
    if out.as_json:
        missing = [{"node": each.node, "message": each.error} for each in silent]
        out.json({"functions": rows, "missing": missing})
        return
    for each in silent:
        out.note(f"did not answer: {each.node}: {each.error}")
    if not rows:
        out.note("no functions yet; code.solve keeps those that pass their checks")
        return
    if source:
        for row in rows:
            out.line(f"# {escape_line(row['node'])}: {escape_line(row['about'])}")
            out.line(escape(row["source"]))
        return
    titles = ("FUNCTION", "NODE", "PASSED", "ALIKE", "ABOUT")
    out.table(titles, [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    about = row["about"]
    return (
        row["signature"],
        row["node"],
        f"{row['passed']:,}",
        f"{row['likeness']:.2f}" if row["likeness"] else "-",
        about if len(about) <= ABOUT_CHARS else f"{about[: ABOUT_CHARS - 3]}...",
    )
