"""The picture of the mesh: nodes, links, tasks on their way; and the dense one for many nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nova_client.filters import Filter
from nova_client.model import NodeView

from nova_console.app import looks
from nova_console.app.canvas import Canvas, Line
from nova_console.app.layout import Place
from nova_console.app.links import Link, links
from nova_console.app.model import Move, World, load
from nova_console.cli.output import escape_line

DENSE_FROM = 50
NAME_CHARS = 16
CELLS_A_NODE = 60
TRAVEL_S = 1.2
RTT_LINKS_MAX = 15
TILE_CHARS = NAME_CHARS + 10


@dataclass(frozen=True, slots=True)
class Sight:
    """What of the mesh is to be drawn, and how large."""

    world: World
    places: Mapping[str, Place]
    width: int
    height: int
    now: float
    selected: str = ""
    filter: Filter = Filter()

    @property
    def dense(self) -> bool:
        nodes = len(self.world.nodes)
        return nodes >= DENSE_FROM or nodes * CELLS_A_NODE > self.width * self.height


def fields(world: World, view: NodeView, now: float) -> dict[str, str]:
    """What a filter can ask of a node."""
    return {
        "name": view.name,
        "id": view.node,
        "state": looks.of_node(world, view, now).word,
        "address": view.address,
        "version": view.version,
        "can": " ".join(view.capabilities),
        "label": " ".join(f"{name}={value}" for name, value in view.labels.items()),
    }


def draw(sight: Sight) -> list[Line]:
    return _tiles(sight) if sight.dense else _graph(sight)


def order(sight: Sight) -> list[NodeView]:
    """In which the dense picture lists nodes: what the filter asks for, those in trouble first, then
    by name."""
    world, now = sight.world, sight.now

    def key(view: NodeView) -> tuple[bool, bool, str]:
        look = looks.of_node(world, view, now)
        wanted = sight.filter.passes(fields(world, view, now))
        return not wanted, look not in (looks.DOWN, looks.SUSPECT), view.name or view.node

    return sorted(world.nodes.values(), key=key)


def spot(sight: Sight, node: str) -> tuple[int, int]:
    """The cell of a node's middle, or of its tile's first."""
    if sight.dense:
        columns = max(1, sight.width // TILE_CHARS)
        index = [view.node for view in order(sight)].index(node)
        return (index % columns) * TILE_CHARS, index // columns
    x, y = sight.places.get(node, (0.5, 0.5))
    margin = min(12, sight.width // 4)
    return (
        margin + round(x * max(0, sight.width - 2 * margin - 1)),
        round(y * max(0, sight.height - 1)),
    )


def _graph(sight: Sight) -> list[Line]:
    canvas = Canvas(sight.width, sight.height)
    world = sight.world
    shown = links(world, sight.now)
    cells = _label_cells(sight)
    for link in sorted(shown, key=lambda link: (link.state != "ok", link.active)):
        canvas.edge(cells[link.a], cells[link.b], _style(link), dashed=link.state != "ok")
    for node, view in world.nodes.items():
        _label(canvas, sight, view, cells[node])
    if len(shown) <= RTT_LINKS_MAX:
        for link in shown:
            _note(canvas, link, cells[link.a], cells[link.b])
    for link in shown:
        if link.state == "one_way":
            other = link.b if link.blind == link.a else link.a
            x, y = _between(cells[link.blind], cells[other], 0.35)
            canvas.text(x, y, "⊘", "suspect")
    for move in world.moves:
        _pulse(canvas, move, cells, sight.now)
    return canvas.lines()


def _style(link: Link) -> str:
    match link.state:
        case "lost":
            return "down"
        case "one_way":
            return "suspect"
        case "ok":
            return "active" if link.active else "link"


def _label_text(world: World, view: NodeView, chars: int = NAME_CHARS) -> str:
    name = escape_line(view.name or view.node[:8])
    short = name if len(name) <= chars else name[: chars - 1] + "…"
    odd = looks.ODD if world.odd.get(view.node) else ""
    return f"{short} {looks.bar(load(view))}{looks.percent(view)}{odd}"


def _label_cells(sight: Sight) -> dict[str, tuple[int, int]]:
    """Middles of the labels, moved off each other: a row of its own, or room beside."""
    trial = Canvas(sight.width, sight.height)
    cells: dict[str, tuple[int, int]] = {}
    for node, view in sight.world.nodes.items():
        width = len(_label_text(sight.world, view)) + 4
        x, y = spot(sight, node)
        left = max(0, min(sight.width - width, x - width // 2))
        rows = sorted(range(sight.height), key=lambda row: abs(row - y))
        y = next((row for row in rows if trial.is_free(left, row, width)), y)
        trial.text(left, y, "#" * width, "x")
        cells[node] = (left + width // 2, y)
    return cells


def _label(canvas: Canvas, sight: Sight, view: NodeView, cell: tuple[int, int]) -> None:
    look = looks.of_node(sight.world, view, sight.now)
    text = f" {look.glyph} {_label_text(sight.world, view)} "
    left = cell[0] - len(text) // 2
    style = look.style
    if sight.filter and not sight.filter.passes(fields(sight.world, view, sight.now)):
        style = "dim"
    if view.node == sight.selected:
        style, text = f"selected {look.style}", f"▸{text[1:]}"
    canvas.text(left, cell[1], text, style)


def _note(canvas: Canvas, link: Link, a: tuple[int, int], b: tuple[int, int]) -> None:
    text = f"{link.rtt_ms:.1f} ms" if link.rtt_ms else ""
    x, y = _between(a, b, 0.5)
    x -= len(text) // 2
    if text and canvas.is_free(x, y, len(text)):
        canvas.text(x, y, text, "dim")


def _pulse(canvas: Canvas, move: Move, cells: Mapping[str, tuple[int, int]], now: float) -> None:
    share = (now - move.at) / TRAVEL_S
    if 0 <= share < 1 and move.source in cells and move.target in cells:
        x, y = _between(cells[move.source], cells[move.target], share)
        if canvas.is_free(x, y, 1):
            canvas.text(x, y, "○" if move.back else "●", "pulse")


def _between(a: tuple[int, int], b: tuple[int, int], share: float) -> tuple[int, int]:
    return round(a[0] + (b[0] - a[0]) * share), round(a[1] + (b[1] - a[1]) * share)


def _tiles(sight: Sight) -> list[Line]:
    """As many as there is room for; the last line says how many there is none for."""
    columns = max(1, sight.width // TILE_CHARS)
    views = order(sight)
    rows = -(-len(views) // columns)
    canvas = Canvas(sight.width, sight.height)
    room = sight.height if rows <= sight.height else sight.height - 1
    for index, view in enumerate(views[: room * columns]):
        x, y = (index % columns) * TILE_CHARS, index // columns
        look = looks.of_node(sight.world, view, sight.now)
        style = look.style
        if sight.filter and not sight.filter.passes(fields(sight.world, view, sight.now)):
            style = "dim"
        chosen = view.node == sight.selected
        mark = "▸" if chosen else " "
        text = f"{mark}{look.glyph} {_label_text(sight.world, view)}"
        canvas.text(x, y, text, f"selected {style}" if chosen else style)
    hidden = len(views) - room * columns
    if hidden > 0:
        canvas.text(1, sight.height - 1, f"{hidden} more: enlarge, f, or filter with /", "dim")
    return canvas.lines()
