"""The flow of one split task: progress, critical path, forecast and graph over a Gantt chart by node."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from nova_console.app import bars, keys
from nova_console.app.canvas import Line
from nova_console.app.flow_lines import Gantt, graph, summary
from nova_console.app.lines import Page, Still
from nova_console.app.model import World
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene
from nova_console.app.task_row import TaskRow
from nova_console.app.task_steps import plan_of, split_tasks

HINT = "run one that splits: nova run text.wordcount --input FOLDER"


class Chart(Page):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._gantt: Gantt | None = None
        self._scene: Scene | None = None
        self._mark: tuple[World, str, int] | None = None
        self._said: list[Line] = []

    def show(self, scene: Scene, row: TaskRow | None) -> Gantt | None:
        """Of the task, or of none. A plan that stands still is not made again."""
        self._scene = scene
        world = scene.world
        mark = (world, row.id, world.tasks_turn) if row else None
        said, self._said = self._said, [] if row else self.empty()
        if mark != self._mark or said != self._said or (row and not row.ended):
            self._gantt = (
                Gantt(plan_of(world, row), _moment(scene, row), world.name) if row else None
            )
            self._mark = mark
            self.changed()
        return self._gantt

    @property
    def selected(self) -> str:
        """The id of the step under the cursor, "" on a heading."""
        rows = self._gantt.rows if self._gantt else []
        step = rows[self.cursor].step if self.cursor < len(rows) else None
        return step.id if step else ""

    def count(self) -> int:
        return len(self._gantt.rows) if self._gantt else 0

    def line(self, index: int, width: int) -> Line:
        return self._gantt.line(index, width) if self._gantt else []

    def empty(self) -> list[Line]:
        return bars.plight(self._scene, "task was split yet", HINT) if self._scene else []


def _moment(scene: Scene, row: TaskRow) -> float:
    """A chart of what is over does not grow."""
    return row.ended_at if row.ended and row.ended_at else scene.now


class FlowPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings("flow")
    DEFAULT_CSS = "FlowPane #flow-head { height: 9; }"

    def __init__(self) -> None:
        super().__init__("flow")
        self._chosen = ""
        self._rows: list[TaskRow] = []
        self._scene: Scene | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Still(id="flow-head")
            yield Chart("chart")

    def on_mount(self) -> None:
        head = self.query_one("#flow-head", Still)
        head.can_focus = False
        head.label("Flow")
        self.query_one(Chart).label("By node")

    def enter(self) -> None:
        self.take_focus(self.query_one(Chart))

    def choose(self, id: str) -> None:
        self._chosen = id

    def show(self, scene: Scene) -> None:
        self._scene = scene
        world = scene.world
        split = [
            row
            for row in split_tasks(world)
            if self.filter.passes({"id": row.id, "cap": row.capability})
        ]
        chosen = world.tasks.get(self._chosen)
        row = chosen or next(iter(split), None)
        self._rows = split
        head = self.query_one("#flow-head", Still)
        gantt = self.query_one(Chart).show(scene, row)
        if row is None or gantt is None:
            head.show(lambda _: bars.plight(scene, "task was split yet", HINT))
            return
        head.label(f"Flow of {row.id} · {row.capability} · {row.status.value}")
        now = _moment(scene, row)
        others = f"{len(split)} split tasks kept; n and p go through them"

        def make(width: int) -> list[Line]:
            lines = [*summary(gantt, now), [("", "")], *graph(gantt.plan, width)]
            return [*lines[:6], [(others, "dim")]]

        head.show(make)

    def command(self) -> tuple[str, ...]:
        shown = self._shown()
        return ("show", shown) if shown else ("tasks", "--children")

    def _shown(self) -> str:
        return self._chosen or (self._rows[0].id if self._rows else "")

    # ------------------------------------------------------------ actions

    def on_page_opened(self, message: Page.Opened) -> None:
        message.stop()
        id = self.query_one(Chart).selected
        if id:
            self.desk.open_task(id)

    def do_next(self) -> None:
        self._go(1)

    def do_previous(self) -> None:
        self._go(-1)

    def do_cancel(self) -> None:
        if self._shown():
            self.desk.ask_cancel(self._shown())

    def _go(self, by: int) -> None:
        ids = [row.id for row in self._rows]
        if ids and self._scene is not None:
            at = ids.index(self._shown()) if self._shown() in ids else 0
            self._chosen = ids[max(0, min(len(ids) - 1, at + by))]
            self.show(self._scene)
