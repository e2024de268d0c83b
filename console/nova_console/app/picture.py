"""The topology as a widget: draws the picture, moves the selection from node to node."""

from __future__ import annotations

from typing import ClassVar

from nova_client.filters import Filter
from textual.binding import Binding, BindingType
from textual.events import Click

from nova_console.app import bars, looks
from nova_console.app.canvas import Line
from nova_console.app.lines import Page
from nova_console.app.tab import Scene
from nova_console.app.topology import Sight, draw, order, spot

ROW_WEIGHT = 2
"""A cell is twice as high as wide."""


class Picture(Page):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "steer(0,-1)", "Up", show=False),
        Binding("down,j", "steer(0,1)", "Down", show=False),
        Binding("left,h", "steer(-1,0)", "Left", show=False),
        Binding("right,l", "steer(1,0)", "Right", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="topology", cursor=False)
        self.selected = ""
        self._scene: Scene | None = None
        self._filter = Filter()
        self._lines: list[Line] = []

    def show(self, scene: Scene, wanted: Filter) -> None:
        nodes = scene.world.nodes
        if self.selected not in nodes:
            self.selected = scene.world.home if scene.world.home in nodes else next(iter(nodes), "")
        self._scene, self._filter = scene, wanted
        sight = self._sight()
        dense = f" · dense: {len(nodes)} nodes, links hidden" if sight.dense else ""
        legend = " ".join(f"{look.glyph} {look.word}" for look in looks.NODE_LOOKS)
        self.label(f"Topology{dense}", f"{legend} ╌ lost")
        before = self._lines
        self._draw(sight)
        self.repaint(before, self._lines)

    def _draw(self, sight: Sight) -> None:
        there = sight.world.nodes and sight.width and sight.height
        self._lines = draw(sight) if there else []

    def _sight(self) -> Sight:
        assert self._scene is not None
        size, scene = self.size, self._scene
        return Sight(
            scene.world,
            scene.places,
            size.width,
            size.height,
            scene.now,
            self.selected,
            self._filter,
        )

    def fit(self) -> None:
        if self._scene is not None:
            self._draw(self._sight())

    def count(self) -> int:
        return len(self._lines)

    def line(self, index: int, width: int) -> Line:
        return self._lines[index]

    def empty(self) -> list[Line]:
        hint = "start one with nova-node start"
        return bars.plight(self._scene, "nodes", hint) if self._scene else []

    # ------------------------------------------------------------ selection

    def action_steer(self, dx: int, dy: int) -> None:
        """To the nearest node in that direction, sideways counting double."""
        scene = self._scene
        if scene is None or self.selected not in scene.world.nodes:
            return
        sight = self._sight()
        x0, y0 = spot(sight, self.selected)
        best, found = 0.0, ""
        for view in order(sight):
            x, y = spot(sight, view.node)
            along = (x - x0) * dx + (y - y0) * dy * ROW_WEIGHT
            across = abs((x - x0) * dy) + abs((y - y0) * dx * ROW_WEIGHT)
            cost = along + 2 * across
            if along > 0 and (not found or cost < best):
                best, found = cost, view.node
        if found:
            self._select(found)

    def action_first(self) -> None:
        self._step_to(0)

    def action_last(self) -> None:
        self._step_to(-1)

    def _step_to(self, index: int) -> None:
        if self._scene is not None and self._scene.world.nodes:
            self._select(order(self._sight())[index].node)

    def _select(self, node: str) -> None:
        self.selected = node
        self.post_message(self.Opened(self, -1))

    def action_open(self) -> None:
        if self.selected:
            self.post_message(self.Opened(self, 0))

    def on_click(self, event: Click) -> None:
        if self._scene is None or not self._scene.world.nodes:
            return
        sight = self._sight()

        def distance(node: str) -> int:
            x, y = spot(sight, node)
            return abs(x - event.x) + ROW_WEIGHT * abs(y - event.y)

        self._select(min(self._scene.world.nodes, key=distance))
