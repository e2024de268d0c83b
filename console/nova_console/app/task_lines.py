"""Tasks as table rows and as a page about one of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from nova_client import BlobRef, Event, event
from nova_client.filters import task_fields
from nova_client.model import Explanation, LogLine, TaskView

from nova_console.app import looks
from nova_console.app.canvas import Line
from nova_console.app.model import World
from nova_console.app.task_row import TaskRow
from nova_console.cli.output import escape, escape_line, size, span, to_json
from nova_console.cli.watch import describe

SHOWN_LINES = 200
JSON_LINES = 16
EVENTS_SHOWN = 50

SORTS = ("newest", "status", "capability", "node", "longest")


def fields(world: World, row: TaskRow) -> dict[str, str]:
    """What a filter can ask of a task."""
    view = world.nodes.get(row.node)
    return task_fields(
        id=row.id,
        status=row.status.value,
        capability=row.capability,
        phase=row.phase,
        node=row.node,
        name=view.name if view else "",
        code=row.code,
        why=row.why,
    )


def took_s(row: TaskRow, now: float) -> float:
    """Of its run so far, 0 before."""
    return max(0.0, (row.ended_at or now) - row.started_at) if row.started_at else 0.0


def ordered(rows: Sequence[TaskRow], sort: str, now: float) -> list[TaskRow]:
    """By one of SORTS; what is equal stays newest first."""
    newest = sorted(rows, key=lambda row: row.accepted_at)
    newest.reverse()
    match sort:
        case "status":
            return sorted(newest, key=lambda row: row.status.value)
        case "capability":
            return sorted(newest, key=lambda row: row.capability)
        case "node":
            return sorted(newest, key=lambda row: row.node)
        case "longest":
            return sorted(newest, key=lambda row: took_s(row, now), reverse=True)
        case _:
            return newest


class Columns(NamedTuple):
    """Widths; `took` and `tries` are shown where there is room."""

    capability: int
    node: int
    wide: bool


def columns(width: int) -> Columns:
    return Columns(20, 16, True) if width >= 100 else Columns(15, 8, False)


def heading(width: int) -> Line:
    at = columns(width)
    wide = f"{'TOOK':<8} {'TRIES':<5} " if at.wide else ""
    named = f"{'CAPABILITY':<{at.capability}} {'AGE':<7} {'NODE':<{at.node}} "
    return [(f"   {'ID':<14} {'STATUS':<9} {named}{wide}WHY", "head")]


def row_line(world: World, row: TaskRow, now: float, width: int) -> Line:
    look, at = looks.TASK_LOOKS[row.status], columns(width)
    node = escape_line(world.name(row.node)) if row.node else "-"
    part = "" if not row.parent else " shard" if row.phase == "run" else f" {row.phase}"
    capability = escape_line(row.capability) + part
    line: Line = [
        (f" {look.glyph} ", look.style),
        (f"{row.id:<14.20} ", ""),
        (f"{look.word:<9} ", look.style),
        (f"{capability:<{at.capability}.{at.capability}} ", ""),
        (f"{span(now - row.accepted_at):<7.7} ", "dim"),
        (f"{node:<{at.node}.{at.node}} ", ""),
    ]
    if at.wide:
        took = span(took_s(row, now)) if row.started_at else "-"
        line.append((f"{took:<8.8} {row.attempt or '-':<5} ", ""))
    progress = f"{row.children_done}/{row.children} parts  " if row.children else ""
    volatile = "volatile  " if row.volatile else ""
    line.append((f"{progress}{volatile}{escape_line(row.why)}", "down" if row.why else "dim"))
    return line


# ---------------------------------------------------------------- one task


def page(
    world: World,
    view: TaskView,
    explanation: Explanation | None,
    output: Sequence[LogLine],
    now: float,
    width: int,
) -> list[Line]:
    """All that is known of a task, in sections."""
    lines = _facts(world, view, now)
    lines += _section("attempts", _attempts(world, view, now, width))
    lines += _section("result", _result(view))
    lines += _section("arguments", _json(view.args) if view.args else [[("none", "dim")]])
    written = [
        [("e " if line.stderr else "  ", "suspect"), (escape(line.text).rstrip("\n"), "")]
        for line in output[-SHOWN_LINES:]
    ]
    lines += _section("output", written or [[("nothing written yet", "dim")]])
    lines += _section("explain", _explained(explanation))
    return lines + _section("events", _events(world, view))


def past_page(world: World, view: TaskView, now: float, width: int) -> list[Line]:
    """All that the history knows of a task that its owner forgot."""
    gone = "no longer kept: its owner forgot this task, and the history has no "
    lines = _facts(world, view, now)
    lines += _section("attempts", _attempts(world, view, now, width))
    if view.failure is not None:
        code = escape_line(view.failure.code)
        lines += _section("why", [[(code, "down"), (" (docs/errors.md)", "dim")]])
    return lines + _section("arguments, result, output", [[(f"{gone}more of it", "suspect")]])


def _section(title: str, lines: list[Line]) -> list[Line]:
    return [[("", "")], [(title.upper(), "head")], *lines]


def _facts(world: World, view: TaskView, now: float) -> list[Line]:
    look = looks.TASK_LOOKS[view.status]
    took = span((view.ended_at or now) - view.accepted_at)
    lines: list[Line] = [
        [(view.id, "title"), (f"  {look.glyph} {look.word}", look.style), (f"  {took}", "")],
        [("capability  ", "dim"), (escape_line(view.capability), "")],
        [("owner       ", "dim"), (escape_line(world.name(view.owner)), "")],
    ]
    more = [
        ("node        ", escape_line(world.name(view.node)) if view.node else ""),
        ("submitter   ", escape_line(view.submitter)),
        ("parent      ", f"{view.parent} ({view.phase})" if view.parent else ""),
        ("inputs      ", escape_line(", ".join(view.inputs))),
        ("durability  ", view.options.durability),
    ]
    lines += [[(name, "dim"), (text, "")] for name, text in more if text]
    if view.children_total:
        text = f"{view.children_done:,} of {view.children_total:,} done"
        lines.append([("parts       ", "dim"), (text, "")])
    if view.failure:
        lines.append([(f"{view.failure.code}: {escape_line(view.failure.message)}", "down")])
        if view.failure.fix:
            lines.append([("fix: ", "dim"), (escape_line(view.failure.fix), "")])
    return lines


def _attempts(world: World, view: TaskView, now: float, width: int) -> list[Line]:
    """Each on the same time line, from acceptance to the end."""
    if not view.attempts:
        return [
            [("of its parts: w shows their flow" if view.children_total else "none yet", "dim")]
        ]
    room = max(10, width - 44)
    begin, end = view.accepted_at, view.ended_at or now
    scale = room / max(0.001, end - begin)
    lines: list[Line] = []
    for one in view.attempts:
        look = looks.TASK_LOOKS[one.status]
        started = one.started_at or begin
        before = max(0, min(room - 1, int((started - begin) * scale)))
        long = max(1, min(room - before, round(((one.ended_at or end) - started) * scale)))
        name = escape_line(world.name(one.node))[:14] if one.node else "-"
        took = span((one.ended_at or end) - started)
        lines.append(
            [
                (f"{one.attempt:>3} {look.glyph} ", look.style),
                (f"{name:<15}", ""),
                (" " * before + "━" * long, look.style),
                (f" {took}", "dim"),
            ]
        )
        if one.failure:
            lines.append(
                [(f"      {one.failure.code}: {escape_line(one.failure.message)}", "down")]
            )
    return lines


def _result(view: TaskView) -> list[Line]:
    match view.value:
        case BlobRef(id=id, size_bytes=size_bytes):
            return [[(f"blob {id}, {size(size_bytes)}", "")]]
        case bytes():
            return [[(f"{len(view.value):,} bytes", "")]]
        case _ if view.status == "done":
            return _json(view.value)
        case _:
            trace = view.failure.traceback if view.failure else ""
            lines: list[Line] = [[(text, "dim")] for text in escape(trace).splitlines()]
            return lines or [[("none yet" if not view.ended_at else "none", "dim")]]


def _json(value: Any) -> list[Line]:
    text = json.dumps(json.loads(to_json(value)), indent=2, ensure_ascii=False).splitlines()
    lines: list[Line] = [[(escape_line(part), "")] for part in text[:JSON_LINES]]
    if len(text) > JSON_LINES:
        more = f"… {len(text) - JSON_LINES:,} more lines: nova show --json"
        lines.append([(more, "dim")])
    return lines


def _explained(explanation: Explanation | None) -> list[Line]:
    if explanation is None:
        return [[("asking …", "dim")]]
    lines: list[Line] = []
    if explanation.waits_for:
        lines.append([(f"waits for {escape_line(explanation.waits_for)}", "")])
    lines += [[("→ ", "dim"), (escape_line(fix), "")] for fix in explanation.unblock]
    for place in explanation.ranking:
        mark, style = ("✔", "up") if place.fits else ("✖", "down")
        name = escape_line(place.name or place.node[:8])
        lines.append(
            [
                (f"{mark} ", style),
                (f"{name:<16.16} {place.score:7.3f}  ", ""),
                (escape_line("; ".join(place.reasons)), "dim"),
            ]
        )
    return lines or [[("nothing to explain", "dim")]]


def _events(world: World, view: TaskView) -> list[Line]:
    found = [happened for happened in world.events if about(happened, view.id)]
    if not found:
        return [[("none kept here; nova watch --from-seq N reads older ones", "dim")]]
    return [
        [
            (f"{happened.seq:>8}  +{span(happened.time - view.accepted_at):<8}", "dim"),
            (_told(happened), ""),
        ]
        for happened in found[-EVENTS_SHOWN:]
    ]


def _told(happened: Event) -> str:
    return escape_line(describe(happened))


def about(happened: Event, id: str) -> bool:
    """Whether the event tells of the task."""
    match happened.fact:
        case event.Accepted(first=first):
            return first == id
        case event.Assigned(tasks=tasks):
            return id in tasks
        case event.Retried(outcome=outcome):
            return outcome.id == id
        case event.Grown(parent=parent):
            return parent == id
        case event.Finished(outcomes=outcomes):
            return any(outcome.id == id for outcome in outcomes)
        case event.Output(task=task):
            return task == id
        case event.Requeued(tasks=tasks):
            return id in tasks
        case event.PeerChanged() | event.Anomaly():
            return False
