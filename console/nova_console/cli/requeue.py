"""nova requeue"""

from __future__ import annotations

import click
from nova_client import Client, Status
from nova_client.model import Requeued

from nova_console.cli import args as typed
from nova_console.cli.frame import FAILED, with_client
from nova_console.cli.output import Output

_ALL_AT_ONCE = 1_000


@click.command(name="requeue")
@click.argument("ids", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every dead letter of the mesh.")
@click.option("--capability", default="", help="With --all: only of this capability.")
@click.option("--arg", "pairs", multiple=True, metavar="NAME=VALUE", help="Another argument.")
@click.option("--json-args", metavar="JSON", help="Other arguments, as a JSON object.")
@with_client
async def command(
    client: Client,
    out: Output,
    ids: tuple[str, ...],
    all_: bool,
    capability: str,
    pairs: tuple[str, ...],
    json_args: str | None,
) -> None:
    """Give the dead letters IDS fresh attempts of the same call.

    With other arguments a new task is submitted in the place of one, since the old call was signed as
    it is; the new one tells which it was made from."""
    if bool(ids) == all_:
        raise click.UsageError("name tasks, or --all")
    if pairs or json_args is not None:
        if len(ids) != 1:
            raise click.UsageError("arguments are edited of one task at a time")
        await _edited(client, out, ids[0], pairs, json_args)
        return
    if all_:
        found = await client.list_tasks(
            statuses=[Status.FAILED], capability=capability, limit=_ALL_AT_ONCE, journaled=True
        )
        ids = tuple(view.id for view in found.tasks)
        if found.total > len(ids):
            out.note(f"{len(ids):,} of {found.total:,}; run it again for the others")
    _tell(out, await client.requeue_many(ids))


def _tell(out: Output, asked: tuple[Requeued, ...]) -> None:
    if out.as_json:
        out.json({"tasks": asked})
    for one in () if out.as_json else asked:
        if one.failure is None:
            out.line(f"{one.id} {one.status.value}")
        else:
            out.note(f"{one.id}: {one.failure.message}; {one.failure.fix}")
    if not asked and not out.as_json:
        out.note("no dead letters")
    if any(one.failure for one in asked):
        raise click.exceptions.Exit(FAILED)


async def _edited(
    client: Client, out: Output, id: str, pairs: tuple[str, ...], json_args: str | None
) -> None:
    old = await client.get(id)
    cards = {card.name: card for card in await client.capabilities()}
    if old.capability not in cards:
        raise click.UsageError(f"no node offers {old.capability} now")
    changes = typed.edit(cards[old.capability], pairs, json_args)
    task = await client.submit_again(id, {**old.args, **changes})
    if out.as_json:
        out.json({"id": task.id, "again_of": id})
    else:
        out.line(task.id)
