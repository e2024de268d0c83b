"""nova show: what the owner knows of a task, or, when that forgot it, what nodes recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import fields

import click
from nova_client import BlobRef, Client, NotFound, NovaError
from nova_client.model import TaskView

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, size, span, to_json

_SHOWN_CHARS = 2000
_SHOWN_FILES = 100


@click.command(name="show")
@click.argument("id")
@with_client
async def command(client: Client, out: Output, id: str) -> None:
    """Show all that is known of task ID."""
    try:
        task, kept = await client.get(id), True
    except NotFound as unknown:
        task, kept = await _recorded(client, unknown, id), False
    if out.as_json:
        out.json({**{f.name: getattr(task, f.name) for f in fields(task)}, "kept": kept})
        return
    if not kept:
        out.note(
            "its owner keeps it no longer: this is what was recorded, without arguments or result"
        )
    for name, text in _facts(task) if kept else _recorded_facts(task):
        out.line(f"{name + ':':<13}{text}")
    if len(task.attempts) > 0:
        rows = [
            (one.attempt, one.status, one.node[:8], one.failure.message if one.failure else "")
            for one in task.attempts
        ]
        out.table(("ATTEMPT", "STATUS", "NODE", "WHY"), rows)
    if task.failure and task.failure.traceback:
        out.line(task.failure.traceback.rstrip("\n"))


async def _recorded(client: Client, unknown: NotFound, id: str) -> TaskView:
    """The latest end of it. Raises `unknown` when no history that answers has one."""
    try:
        page = await client.metrics.ends(id)
    except NovaError:
        raise unknown from None
    for task in page.tasks:
        return task.view()
    raise unknown


def _recorded_facts(task: TaskView) -> Iterator[tuple[str, str]]:
    unknown = {"args", "value", "error"}
    yield from (fact for fact in _facts(task) if fact[0] not in unknown)
    if task.failure:
        yield "error", task.failure.code


def _facts(task: TaskView) -> list[tuple[str, str]]:
    facts = [
        ("task", task.id),
        ("status", task.status.value),
        ("capability", task.capability),
        ("args", _cut(to_json(task.args))),
        ("durability", task.options.durability),
        ("accepted", f"{span(time.time() - task.accepted_at)} ago"),
    ]
    if task.submitter:
        facts.append(("submitter", task.submitter))
    if task.inputs:
        facts.append(("inputs", ", ".join(task.inputs)))
    if task.options.again_of:
        facts.append(("again of", task.options.again_of))
    if task.parent:
        facts.append(("parent", f"{task.parent} ({task.phase})"))
    if task.children_total:
        facts.append(("parts", f"{task.children_done:,} of {task.children_total:,} done"))
    if task.ended_at:
        facts.append(("took", span(task.ended_at - task.accepted_at)))
    if task.node:
        facts.append(("node", task.node))
    if task.failure:
        facts += [("error", f"{task.failure.code}: {task.failure.message}")]
        facts += [("fix", task.failure.fix)] if task.failure.fix else []
    if task.status == "done":
        facts.append(("value", _value(task.value)))
    files = task.files.extents
    facts += [("file", f"{file.name}, {size(file.size_bytes)}") for file in files[:_SHOWN_FILES]]
    if len(files) > _SHOWN_FILES:
        facts.append(("files", f"{len(files):,} (all of them with --json)"))
    return facts


def _value(value: object) -> str:
    match value:
        case BlobRef():
            return f"blob {value.id}, {size(value.size_bytes)}"
        case bytes():
            return size(len(value))
        case _:
            return _cut(to_json(value))


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARS:
        return text
    return f"{text[:_SHOWN_CHARS]}... ({len(text):,} characters; all of it with --json)"
