"""nova tasks"""

from __future__ import annotations

import time

import click
from nova_client import Client, Status, filters
from nova_client.model import TaskView

from nova_console.cli.found import Found, Wanted, find_all, find_kept
from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, span

_STATUSES = [status.value for status in Status if status is not Status.UNKNOWN]


@click.command(name="tasks")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option(
    "--history", is_flag=True, help="Also those that ended and are kept no longer: as recorded."
)
@click.option(
    "--dead", is_flag=True, help="Dead letters only: what failed for good, and is not volatile."
)
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these."
)
@click.option("--capability", default="", help="Only of this capability.")
@click.option("--children", is_flag=True, help="Shards too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--before", default="", metavar="MARK", help="The next page of --history.")
@with_client
async def command(
    client: Client,
    out: Output,
    words: tuple[str, ...],
    history: bool,
    dead: bool,
    statuses: tuple[str, ...],
    capability: str,
    children: bool,
    limit: int,
    before: str,
) -> None:
    """List the tasks of the mesh, newest first.

    WORDs must all occur, !WORD must not, NAME:WORD asks one field: id, status, cap, node, why, phase.
    """
    if before and not history:
        raise click.UsageError("--before goes on in --history; give both")
    chosen = {Status(word) for word in statuses} | ({Status.FAILED} if dead else set[Status]())
    wanted = Wanted(
        filters.parse(" ".join(words)), frozenset(chosen), capability, children, limit, before, dead
    )
    found = await (find_all if history else find_kept)(client, wanted)
    if out.as_json:
        out.json(found.told())
        return
    narrowed = bool(words or chosen or capability)
    _show(found, narrowed, out)


def _show(found: Found, narrowed: bool, out: Output) -> None:
    now = time.time()
    if found.tasks:
        rows = [_row(task, now) for task in found.tasks]
        out.table(("ID", "STATUS", "CAPABILITY", "AGE", "NODE", "WHY"), rows)
    elif narrowed:
        out.note("no task matches; `nova tasks` lists them all")
    else:
        out.note("no tasks yet; run one: nova run core.sleep --arg seconds=1")
    if found.total > len(found.tasks):
        more = f"the next page: --before {found.next}" if found.next else "see more with --limit"
        out.note(f"{len(found.tasks):,} of {found.total:,}; {more}")
    if found.unseen:
        out.note(f"{found.unseen:,} older ones were not looked at; narrow with status: or cap:")
    if found.missing:
        out.note(f"did not answer: {', '.join(found.missing)}; see `nova nodes`")


def _row(task: TaskView, now: float) -> tuple[str, ...]:
    failure = task.failure
    why = (failure.message or failure.code) if failure else ""
    if task.options.durability == "volatile":
        why = f"volatile {why}".strip()
    age = span(now - task.accepted_at)
    return task.id, task.status, task.capability, age, task.node[:8], why[:60]
