"""nova tasks"""

from __future__ import annotations

import time

import click
from nova_client import Client, Status
from nova_client.model import TaskView

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, span

_STATUSES = [status.value for status in Status if status is not Status.UNKNOWN]


@click.command(name="tasks")
@click.option("--dead", is_flag=True, help="Dead letters only: tasks that failed for good.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these."
)
@click.option("--capability", default="", help="Only of this capability.")
@click.option("--children", is_flag=True, help="Shards too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@with_client
async def command(
    client: Client,
    out: Output,
    dead: bool,
    statuses: tuple[str, ...],
    capability: str,
    children: bool,
    limit: int,
) -> None:
    """List the tasks of the mesh, newest first."""
    wanted = {Status(word) for word in statuses}
    if dead:
        wanted.add(Status.FAILED)
    found = await client.list_tasks(
        statuses=sorted(wanted), capability=capability, limit=limit, children=children
    )
    if out.as_json:
        out.json(found)
        return
    now = time.time()
    if found.tasks:
        rows = [_row(task, now) for task in found.tasks]
        out.table(("ID", "STATUS", "CAPABILITY", "AGE", "NODE", "WHY"), rows)
    elif wanted or capability:
        out.note("no task matches; `nova tasks` lists them all")
    else:
        out.note("no tasks yet; run one: nova run core.sleep --arg seconds=1")
    if found.total > len(found.tasks):
        out.note(f"{len(found.tasks):,} of {found.total:,}; see more with --limit")
    if found.missing:
        out.note(f"did not answer: {', '.join(found.missing)}; see `nova nodes`")


def _row(task: TaskView, now: float) -> tuple[str, ...]:
    why = task.failure.message if task.failure else ""
    if task.options.durability == "volatile":
        why = f"volatile {why}".strip()
    age = span(now - task.accepted_at)
    return task.id, task.status, task.capability, age, task.node[:8], why[:60]
