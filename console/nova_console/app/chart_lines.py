"""Recorded series as charts: for each series a row a node, on one scale, with what is foretold. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nova_client.metrics import NodeSeries, Series, Top

from nova_console.app import looks
from nova_console.app.canvas import Line
from nova_console.cli.output import escape_line, size

Points = Sequence[tuple[float, float]]

NAME_CHARS = 14
AHEAD_STEPS = 6
AHEAD_CELLS = 6
VALUE_CHARS = 34

SHOWN = ("rate", "errors", "latency", "busy", "queued", "lag", "cpu", "memory")
TITLES = {
    "rate": "tasks that ended",
    "errors": "errors",
    "latency": "run time, mean",
    "busy": "slots in use",
    "queued": "attempts queued",
    "lag": "lag of the event loop",
    "cpu": "cpu of the machine",
    "memory": "memory of the node",
}


@dataclass(frozen=True, slots=True)
class Span:
    """What the charts show: `before` as much time again before it, to compare with."""

    begin: float
    end: float
    before: bool

    def back(self) -> Span:
        return Span(2 * self.begin - self.end, self.begin, False)


@dataclass(frozen=True, slots=True)
class Charts:
    """Answers of the mesh by series; `earlier` are of the time before, when that was asked."""

    span: Span
    series: dict[str, Series]
    earlier: dict[str, Series]
    top: Top


def lines(charts: Charts, width: int) -> list[Line]:
    made = _anomalies(charts.top)
    for name, series in charts.series.items():
        made += _chart(name, series, charts.earlier.get(name), charts.span, width)
    missing = {one.name: one.message for series in charts.series.values() for one in series.missing}
    made += [
        [
            (
                f"{looks.SUSPECT.glyph} {escape_line(name)} did not answer: {escape_line(why)}",
                "suspect",
            )
        ]
        for name, why in sorted(missing.items())
    ]
    return made


def _anomalies(top: Top) -> list[Line]:
    return [
        [
            (f"{looks.ODD} {escape_line(node.name)}: {escape_line(odd.series)} ", "suspect"),
            (f"is {odd.value:.4g}, ordinarily {odd.median:.4g} ({odd.z:+.1f} sigmas)", ""),
        ]
        for node in top.nodes
        for odd in node.anomalies
    ]


def _chart(name: str, series: Series, earlier: Series | None, span: Span, width: int) -> list[Line]:
    before = {each.node: each for each in earlier.nodes} if earlier else {}
    every = [*series.nodes, *before.values()]
    values = [value for each in every for _, value in each.points]
    values += [step.value for each in series.nodes for step in each.ahead]
    top = max(values, default=0.0)
    show = _show(series.unit)
    room = max(8, width - NAME_CHARS - AHEAD_CELLS - VALUE_CHARS - 3)
    made: list[Line] = [[(TITLES.get(name, name).upper(), "head"), (f"  up to {show(top)}", "dim")]]
    for node in sorted(series.nodes, key=lambda each: (each.name, each.node)):
        made.append(_row(node, span, top, room, show))
        if node.node in before:
            bars = _bars(before[node.node].points, span.back(), top, room)
            made.append([(f"{'  before':<{NAME_CHARS}} ", "dim"), (bars, "stale")])
    return [*made, [("", "")]]


def _row(node: NodeSeries, span: Span, top: float, room: int, show: Callable[[float], str]) -> Line:
    name = escape_line(node.name)
    line: Line = [
        (f"{name:<{NAME_CHARS}.{NAME_CHARS}} ", ""),
        (_bars(node.points, span, top, room), "spark"),
    ]
    ahead = node.ahead[:AHEAD_STEPS]
    cells = "".join(looks.bar(step.value / top) if top else looks.bar(0) for step in ahead)
    line.append((f"┊{cells:<{AHEAD_CELLS}} ", "dim"))
    line.append((_latest(node.points, span, show), ""))
    if ahead:
        line.append((f"  → {show(ahead[-1].value)} ± {show(ahead[-1].error)}", "dim"))
    return line


def _latest(points: Points, span: Span, show: Callable[[float], str]) -> str:
    if not points:
        return "nothing recorded"
    at, value = points[-1]
    now = span.end - at <= 2 * _gap(points, span) * (span.end - span.begin)
    return show(value) if now else "nothing lately"


def _bars(points: Points, span: Span, top: float, room: int) -> str:
    """The mean in each cell; a cell in which nothing was recorded is blank."""
    sums, counts = [0.0] * room, [0] * room
    scale = room / max(0.001, span.end - span.begin)
    for at, value in points:
        cell = int((at - span.begin) * scale)
        if 0 <= cell < room:
            sums[cell] += value
            counts[cell] += 1
    reach = room * _gap(points, span)
    last, text = -1, ""
    for cell in range(room):
        last = cell if counts[cell] else last
        held = last >= 0 and cell - last <= reach
        share = sums[last] / counts[last] / top if held and top else 0.0
        text += looks.bar(share) if held else " "
    return text


def _gap(points: Points, span: Span) -> float:
    """The share of the span that one value stands for: half as much again as the usual step."""
    if len(points) < 2:
        return 0.05
    steps = sorted(after[0] - before[0] for before, after in pairwise(points))
    return 1.5 * steps[len(steps) // 2] / max(0.001, span.end - span.begin)


def _show(unit: str) -> Callable[[float], str]:
    match unit:
        case "bytes":
            return size
        case "share":
            return lambda value: f"{value:.0%}"
        case "s":
            return lambda value: f"{value * 1000:,.1f} ms"
        case _:
            return lambda value: f"{value:,.4g} {unit}"
