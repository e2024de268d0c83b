"""A plan of steps as a graph in a few lines and as a Gantt chart by place. Pure.

The chart is made of rows first and of lines only where somebody looks: ten thousand steps are ten
thousand rows, and a screen of lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nova_console.app import looks
from nova_console.app.canvas import Line
from nova_console.app.steps import Plan, Step
from nova_console.cli.output import escape_line, span

NAME_CHARS = 14
LABEL_CHARS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A step, or the heading of a place with how busy it was (0 to 1)."""

    place: str
    step: Step | None = None
    busy: float = 0.0


class Gantt:
    """Rows of a plan by place, drawn from the first start to the end, known or foretold."""

    def __init__(self, plan: Plan, now: float, name: Callable[[str], str]) -> None:
        self._name = name
        self._now = now
        self.plan = plan
        self.path = frozenset(plan.critical_path(now))
        self.forecast = plan.forecast(now)
        starts = [step.started_at for step in plan.steps if step.started_at]
        ends = [step.ended_at or now for step in plan.steps if step.started_at]
        self.begin = min(starts, default=now)
        self.end = max([*ends, self.forecast.ends_at if self.forecast else 0.0, self.begin + 0.001])
        self.rows = self._rows()

    def _rows(self) -> list[Row]:
        rows: list[Row] = []
        long = max(0.001, min(self._now, self.end) - self.begin)
        for place, steps in sorted(self.plan.lanes().items(), key=lambda lane: self._name(lane[0])):
            worked = sum((step.ended_at or self._now) - step.started_at for step in steps)
            rows.append(Row(place, busy=worked / long))
            rows += [Row(place, step) for step in steps]
        waiting = [step for step in self.plan.steps if not step.place]
        if waiting:
            rows.append(Row(""))
            rows += [Row("", step) for step in waiting]
        return rows

    def line(self, index: int, width: int) -> Line:
        row = self.rows[index]
        if row.step is None:
            if not row.place:
                return [("waiting for a node", "head")]
            name = escape_line(self._name(row.place))
            return [
                (f"{name:<{NAME_CHARS}.{NAME_CHARS}}", "head"),
                (f" {row.busy:.1f} at a time", "dim"),
            ]
        step = row.step
        style = looks.STEP_STYLES[step.state]
        critical = step.id in self.path
        line: Line = [
            ("◀ " if critical else "  ", "critical"),
            (
                f"{escape_line(step.label):<{LABEL_CHARS}.{LABEL_CHARS}} ",
                "title" if critical else "",
            ),
        ]
        if not step.started_at:
            return [*line, (escape_line(step.note or step.state), "dim")]
        room = max(8, width - LABEL_CHARS - 24)
        scale = room / (self.end - self.begin)
        before = max(0, min(room - 1, int((step.started_at - self.begin) * scale)))
        took_s = (step.ended_at or self._now) - step.started_at
        long = max(1, min(room - before, round(took_s * scale)))
        tries = f" try {step.tries}" if step.tries > 1 else ""
        bar = ("━" if step.ended_at else "╍") * long
        return [
            *line,
            (" " * before + bar, f"critical {style}" if critical else style),
            (f" {span(took_s)}{tries} {escape_line(step.note)}", "dim"),
        ]


def summary(gantt: Gantt, now: float) -> list[Line]:
    """Progress, critical path and forecast."""
    plan = gantt.plan
    states = Counter(step.state for step in plan.steps)
    done, count = states["done"], len(plan.steps) - states["cancelled"]
    filled = round(20 * done / max(1, count))
    path = [plan.by_id[id] for id in plan.critical_path(now)]
    on_path_s = sum((s.ended_at or now) - s.started_at for s in path if s.started_at)
    lines: list[Line] = [
        [
            ("█" * filled, "up"),
            ("░" * (20 - filled), "dim"),
            (f" {done:,} of {count:,} steps", ""),
            (f"  {states['running']} running", "running"),
            (f"  {states['failed']} failed", "down" if states["failed"] else "dim"),
            (f"  {states['cancelled']} cancelled" if states["cancelled"] else "", "dim"),
        ],
        [("critical ", "dim"), (_chain(path), "critical"), (f"  {span(on_path_s)}", "dim")],
    ]
    forecast = gantt.forecast
    if forecast is not None:
        left, error = span(max(0.0, forecast.ends_at - now)), span(forecast.error_s)
        lines.append([("forecast ", "dim"), (f"ends in {left} ± {error}", "")])
    elif plan.is_over:
        lines.append([("took     ", "dim"), (span(gantt.end - gantt.begin), "")])
    else:
        lines.append([("forecast ", "dim"), ("none until a step has ended", "dim")])
    return lines


def _chain(path: list[Step]) -> str:
    labels = [escape_line(step.label) for step in path]
    return " → ".join(labels if len(labels) <= 6 else [*labels[:3], "…", *labels[-2:]])


def graph(plan: Plan, width: int) -> list[Line]:
    """One box a level: kinds of step, how many, how many are done; then the next level."""
    line: Line = []
    lines = [line]
    used = 0
    for level in plan.levels():
        kinds = Counter(step.kind for step in level)
        for kind, count in kinds.items():
            same = [step for step in level if step.kind == kind]
            done = sum(step.state == "done" for step in same)
            wanted = count - sum(step.state == "cancelled" for step in same)
            text = f"[ {escape_line(kind)} ×{wanted}  {done}/{wanted} ]"
            arrow = " ─▶ " if used else ""
            if used and used + len(text) + len(arrow) > width:
                line = []
                lines.append(line)
                used, arrow = 0, "  └▶ "
            line += [(arrow, "link"), (text, _worst(same))]
            used += len(arrow) + len(text)
    return lines


def _worst(steps: list[Step]) -> str:
    states = {step.state for step in steps}
    for state in ("failed", "running", "waiting", "cancelled"):
        if state in states:
            return looks.STEP_STYLES[state]
    return looks.STEP_STYLES["done"]
