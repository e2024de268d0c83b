"""The first view: topology, the selected node beside it, and the newest flow below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from nova_console.app import keys
from nova_console.app.canvas import Line, wrap
from nova_console.app.flow_pane import Chart
from nova_console.app.lines import Page, Still
from nova_console.app.node_lines import node_lines
from nova_console.app.pane import Pane
from nova_console.app.picture import Picture
from nova_console.app.tab import Scene
from nova_console.app.task_steps import split_tasks

ONE_PANE_BELOW = (100, 30)
"""Of the terminal; the bars take four rows of it."""


class MeshPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings("mesh")
    DEFAULT_CSS = """
    MeshPane { layout: grid; grid-size: 3 2; grid-rows: 2fr 1fr; }
    MeshPane #topology { column-span: 2; }
    MeshPane #mesh-flow { column-span: 3; }
    MeshPane.small { grid-size: 1 1; grid-rows: 1fr; }
    MeshPane.small #topology { column-span: 1; }
    MeshPane.small #node, MeshPane.small #mesh-flow { display: none; }
    """

    def __init__(self) -> None:
        super().__init__("mesh")
        self._scene: Scene | None = None

    def compose(self) -> ComposeResult:
        yield Picture()
        yield Still(id="node")
        yield Chart("mesh-flow")

    def on_mount(self) -> None:
        self.query_one("#node", Still).label("Node (enter)")

    def on_resize(self, event: Resize) -> None:
        size = self.screen.size
        width, height = ONE_PANE_BELOW
        self.set_class(size.width < width or size.height < height, "small")

    def show(self, scene: Scene) -> None:
        self._scene = scene
        self.query_one(Picture).show(scene, self.filter)
        self._show_node()
        row = next(iter(split_tasks(scene.world)), None)
        chart = self.query_one(Chart)
        chart.label(f"Task flow · {row.id} {row.capability}" if row else "Task flow")
        chart.show(scene, row)

    def _show_node(self) -> None:
        assert self._scene is not None
        detail = self.query_one("#node", Still)
        view = self._scene.world.nodes.get(self.selected)
        world, now = self._scene.world, self._scene.now

        def make(width: int) -> list[Line]:
            return wrap(node_lines(world, view, now, width), width) if view else []

        detail.show(make)

    @property
    def selected(self) -> str:
        return self.query_one(Picture).selected

    def command(self) -> tuple[str, ...]:
        return ("nodes",)

    def on_page_opened(self, message: Page.Opened) -> None:
        """From the picture a move or enter, from the chart enter on a step."""
        message.stop()
        if isinstance(message.page, Chart):
            if message.page.selected:
                self.desk.open_task(message.page.selected)
        elif message.index >= 0:
            self.desk.open_node(self.selected)
        elif self._scene is not None:
            self.show(self._scene)

    def do_drain(self) -> None:
        if self.selected:
            self.desk.ask_drain(self.selected)

    def do_resume(self) -> None:
        if self.selected:
            self.desk.ask_resume(self.selected)
