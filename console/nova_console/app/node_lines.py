"""What the console tells of one node, as lines. Pure."""

from __future__ import annotations

from functools import lru_cache

from nova_client import Status, event
from nova_client.model import NodeView

from nova_console.app import looks
from nova_console.app.canvas import Line
from nova_console.app.links import suspected_by
from nova_console.app.model import World
from nova_console.cli.output import escape_line, size, span

LISTED_MAX = 8


def node_lines(world: World, view: NodeView, now: float, width: int) -> list[Line]:
    look = looks.of_node(world, view, now)
    lines: list[Line] = [
        [
            (escape_line(view.name or view.node[:8]), "title"),
            (f"  {look.glyph} {look.word}", look.style),
        ],
        [(_place(view), "")],
        [(_build(view), "dim")],
        [
            (f"slots {view.slots - view.slots_free}/{view.slots}", ""),
            (f" · {view.queued} queued", ""),
        ],
    ]
    lines += _doubts(world, view)
    lines += [_odd(one) for one in world.odd.get(view.node, ())]
    lines += _load(world, view, width)
    lines += _tasks(world, world.tasks_turn, view.node)
    if view.labels:
        labels = " ".join(f"{name}={value}" for name, value in sorted(view.labels.items()))
        lines.append([("labels ", "dim"), (escape_line(labels), "")])
    if view.skew:
        lines.append([("work refused: " + escape_line(view.skew), "down")])
    lines += [[("! " + escape_line(warning), "suspect")] for warning in view.warnings]
    lines += _capabilities(view, width)
    lines.append([("id ", "dim"), (view.node, "dim")])
    return lines


def _place(view: NodeView) -> str:
    if view.self:
        return f"{view.address}  the node asked"
    rtt = f"rtt {view.rtt_ms:.1f} ms" if view.rtt_ms else "rtt not measured"
    return f"{view.address}  {rtt} · heard {span(view.age_s)} ago"


def _build(view: NodeView) -> str:
    if not view.cpus:
        return f"v{view.version}  its card is not known"
    memory = size(view.memory_bytes)
    return escape_line(
        f"v{view.version}  {view.platform}  {view.cpus} cpu  {memory}  py {view.python}"
    )


def _doubts(world: World, view: NodeView) -> list[Line]:
    lines: list[Line] = []
    doubters = suspected_by(world, view.node)
    if doubters:
        names = ", ".join(escape_line(world.name(node)) for node in doubters[:LISTED_MAX])
        lines.append([(f"{looks.SUSPECT.glyph} doubted by {names}", "suspect")])
    eye = world.eyes.get(view.node)
    if eye is not None:
        seen = [f"{escape_line(world.name(n))} {s}" for n, s in eye.states.items() if s != "alive"]
        if seen and not eye.why:
            lines.append([(f"it sees {', '.join(seen[:LISTED_MAX])}", "suspect")])
        if eye.why:
            lines.append([("its own view: " + escape_line(eye.why), "dim")])
    return lines


def _odd(anomaly: event.Anomaly) -> Line:
    said = f"{anomaly.series} is {anomaly.value:.4g}, was about {anomaly.median:.4g}"
    return [(f"{looks.ODD} {escape_line(said)}", "suspect")]


def _load(world: World, view: NodeView, width: int) -> list[Line]:
    samples = world.samples.get(view.node, ())
    if not samples:
        return [[("no samples yet", "dim")]]
    room = max(8, width - 22)
    return [
        [(f"{name:<6}", "dim"), (looks.sparkline(values, room), "spark"), (f" {text}", "")]
        for name, values, text in (
            ("load", [s.load for s in samples], f"{samples[-1].load:.0%}"),
            ("queue", [float(s.queued) for s in samples], f"{samples[-1].queued}"),
            ("lag", [float(s.lag_ms) for s in samples], f"{samples[-1].lag_ms} ms"),
        )
    ]


@lru_cache(maxsize=2)
def _tasks(world: World, turn: int, node: str) -> list[Line]:
    """Kept while no task changes: a mesh at rest costs nothing."""
    rows = [row for row in world.tasks.values() if row.node == node and not row.grown]
    running = [row for row in rows if row.status is Status.RUNNING]
    done = sum(row.status is Status.DONE for row in rows)
    failed = sum(row.status is Status.FAILED for row in rows)
    style = "down" if failed else ""
    lines: list[Line] = [
        [
            (f"tasks {len(running)} running · {done} done · ", ""),
            (f"{failed} failed", style),
            ("  of those kept here", "dim"),
        ]
    ]
    for row in running[:LISTED_MAX]:
        lines.append(
            [("  ▶ ", "running"), (row.id, ""), (f"  {escape_line(row.capability)}", "dim")]
        )
    if len(running) > LISTED_MAX:
        lines.append([(f"  and {len(running) - LISTED_MAX} more", "dim")])
    return lines


def _capabilities(view: NodeView, width: int) -> list[Line]:
    lines: list[Line] = []
    text = ""
    for name in view.capabilities:
        name = escape_line(name)
        if text and len(text) + len(name) + 5 > width:
            lines.append([("can ", "dim"), (text, "")])
            text = ""
        text = f"{text} {name}".strip()
    return [*lines, [("can ", "dim"), (text, "")]] if text else lines
