"""nova run"""

from __future__ import annotations

import asyncio
import difflib
from typing import Any

import click
from nova_client import Client, NotFound, NovaError, Task, TaskCancelled, TaskFailed
from nova_client.model import Capability, Files, SubmitOptions

from nova_console.cli import args
from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, escape, size
from nova_console.cli.progress import Bar
from nova_console.cli.run_models import (
    CHAT,
    Asked,
    ModelFlags,
    budgeted,
    directed,
    estimate,
    model_options,
    past_of,
    show_estimate,
)
from nova_console.cli.spoken import Spoken

LAST_LINES_S = 1.0
NAMES_SHOWN = 5
LABEL_CHARS = 63
IN_SANDBOX = ("python.run", "python.map", "shell.run")


@click.command(name="run")
@click.argument("capability")
@click.option("--arg", "pairs", multiple=True, metavar="NAME=VALUE", help="An argument.")
@click.option("--json-args", metavar="JSON", help="All arguments as one object.")
@click.option(
    "--input", "inputs", multiple=True, metavar="[NAME=]PATH", help="A file or folder to put in."
)
@click.option("--out", "folder", metavar="FOLDER", help="Save the files that come with the result.")
@click.option("--detach", is_flag=True, help="Print the task's id and leave it running.")
@click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Wait no longer.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="The node must have.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 (last) to 9 (first).")
@click.option("--shards", type=click.IntRange(1), help="Into how many parts to split.")
@click.option("--volatile", is_flag=True, help="Skip the journal: faster, lost in a crash.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME=REF", help="Resolved where it runs."
)
@click.option("--sensitive", is_flag=True, help="Encrypt its inputs and results on every disk.")
@click.option("--max-attempts", type=click.IntRange(1, 100), help="Tries before it is set aside.")
@model_options
@with_client
async def command(
    client: Client,
    out: Output,
    capability: str,
    pairs: tuple[str, ...],
    json_args: str | None,
    inputs: tuple[str, ...],
    folder: str | None,
    detach: bool,
    timeout_s: float | None,
    labels: tuple[str, ...],
    priority: int | None,
    shards: int | None,
    volatile: bool,
    secrets: tuple[str, ...],
    sensitive: bool,
    max_attempts: int | None,
    **model_flags: Any,
) -> None:
    """Run CAPABILITY on the mesh and print its result.

    Arguments are typed by the capability's parameters; `nova capabilities` lists them.
    A secret is given by reference, such as secret:NAME or env:NAME, never by its value.
    Ctrl-C leaves the task running and tells how to follow it.
    """
    options: SubmitOptions = {
        "durability": "volatile" if volatile else "journaled",
        "priority": priority,
        "labels": _pairs("--label", labels),
        "secrets": _pairs("--secret", secrets),
        "sensitive": sensitive,
        "shards": shards or 0,
        "max_attempts": max_attempts,
    }
    flags = ModelFlags(**model_flags)
    card = await _card(client, flags.capability(capability))
    given, bound = args.parse(card, pairs, json_args, inputs)
    if card.name in IN_SANDBOX and given.get("image"):
        options["labels"] = _has_image(str(given["image"])) | _pairs("--label", labels)
    asked = await directed(client, Asked(card, given, bound, options), flags)
    if flags.estimate:
        past = await past_of(client.metrics, card.name)
        show_estimate(out, await estimate(client, asked, past), past)
        return
    if flags.budget_usd is not None:
        asked = await budgeted(client, asked, flags.budget_usd)
    spoken = Spoken(out) if card.name == CHAT and not out.as_json and not detach else None
    task = await client.submit(
        card.name,
        asked.args,
        inputs=asked.inputs,
        hear=spoken.hear if spoken else None,
        **asked.options,
    )
    if detach:
        _print_id(out, task)
        return
    out.farewell = (
        f"task {task.id} goes on\n"
        f"follow it: nova logs -f {task.id}    stop it: nova cancel {task.id}"
    )
    await (_listen(task, spoken, timeout_s) if spoken else _follow(out, task, timeout_s))
    outcome = task.outcome
    if outcome is not None and outcome.files.extents:
        await _save(client, out, outcome.files, folder)


def _has_image(image: str) -> dict[str, str]:
    """The label of a node that has it; longer ones no node carries."""
    label = f"sandbox.image.{image}"
    return {label: "yes"} if len(label) <= LABEL_CHARS else {}


async def _save(client: Client, out: Output, files: Files, folder: str | None) -> None:
    if folder is not None:
        await client.get_files(files, folder)
    names = ", ".join(extent.name for extent in files.extents[:NAMES_SHOWN])
    more = len(files.extents) - NAMES_SHOWN
    names += f" and {more} more" if more > 0 else ""
    where = f"saved in {folder}" if folder else "save them with --out FOLDER"
    out.note(f"files: {names} ({size(files.size_bytes)}); {where}")


async def _listen(task: Task, spoken: Spoken, timeout_s: float | None) -> None:
    """It prints itself, word by word."""
    value = await task.result(timeout_s)
    outcome = task.outcome
    assert outcome is not None
    spoken.end(outcome, value)


async def _follow(out: Output, task: Task, timeout_s: float | None) -> None:
    bar = Bar(lambda: task.progress)
    lines = asyncio.create_task(_relay(task, bar))
    drawing = asyncio.create_task(bar.run())
    try:
        value = await task.result(timeout_s)
        await asyncio.wait([lines], timeout=LAST_LINES_S)
    except (TaskFailed, TaskCancelled):
        await asyncio.wait([lines], timeout=LAST_LINES_S)
        if out.as_json:
            _print_outcome(out, task, None)
        raise
    finally:
        for helper in (lines, drawing):
            helper.cancel()
        await asyncio.gather(lines, drawing, return_exceptions=True)
    if out.as_json:
        _print_outcome(out, task, value)
    else:
        out.value(value)


async def _relay(task: Task, bar: Bar) -> None:
    """What the task writes, to stderr as it comes. The result does not depend on it."""
    try:
        async for line in task.logs(follow=True):
            bar.clear()
            click.echo(escape(line.text).rstrip("\n"), err=True)
    except NovaError:
        return


def _print_id(out: Output, task: Task) -> None:
    if out.as_json:
        out.json({"id": task.id})
    else:
        out.line(task.id)


def _print_outcome(out: Output, task: Task, value: Any) -> None:
    outcome = task.outcome
    assert outcome is not None
    out.json(
        {
            "id": task.id,
            "status": outcome.status,
            "value": value,
            "failure": outcome.failure,
            "attempt": outcome.attempt,
            "node": outcome.node,
            "elapsed_us": outcome.elapsed_us,
            "files": outcome.files.extents,
        }
    )


async def _card(client: Client, name: str) -> Capability:
    """Raises NotFound, with names that look alike."""
    offered = {item.name: item for item in await client.capabilities()}
    if name in offered:
        return offered[name]
    alike = difflib.get_close_matches(name, offered, n=3)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    raise NotFound(
        f"no node of the mesh offers {name}", f"{hint}see what there is: nova capabilities"
    )


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {pair!r}")
        pairs[name] = value
    return pairs
