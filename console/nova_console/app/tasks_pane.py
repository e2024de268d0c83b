"""Tasks as a table of any length, with a live filter; and the dead letters among them."""

from __future__ import annotations

from typing import Any, ClassVar

from nova_client import Status
from textual.app import ComposeResult
from textual.binding import BindingType

from nova_console.app import bars, keys, task_lines
from nova_console.app.canvas import Line
from nova_console.app.filters import Filter
from nova_console.app.lines import Page
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene
from nova_console.app.task_row import TaskRow


class TaskTable(Page):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.rows: list[TaskRow] = []
        self.scene: Scene | None = None
        self.what, self.hint = "", ""

    def show(self, scene: Scene, rows: list[TaskRow]) -> None:
        """The cursor stays on its task, or on top if it was there."""
        chosen = self.rows[self.cursor].id if 0 < self.cursor < len(self.rows) else ""
        self.scene, self.rows = scene, rows
        if chosen:
            found = (i for i, row in enumerate(rows) if row.id == chosen)
            self.cursor = next(found, self.cursor)
        self.changed()

    @property
    def selected(self) -> TaskRow | None:
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def count(self) -> int:
        return len(self.rows)

    def head(self, width: int) -> Line:
        return task_lines.heading(width)

    def line(self, index: int, width: int) -> Line:
        assert self.scene is not None
        return task_lines.row_line(self.scene.world, self.rows[index], self.scene.now, width)

    def empty(self) -> list[Line]:
        if self.scene is None:
            return []
        if not self.scene.world.tasks_listed and self.scene.world.lost is None:
            return [[("", "")], [("  … asking for the tasks", "dim")]]
        return bars.plight(self.scene, self.what, self.hint)


class TasksPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings("tasks")

    title = "Tasks"
    hint = "run one: view 6, or nova run core.sleep --arg seconds=1"

    def __init__(self, id: str = "tasks") -> None:
        super().__init__(id)
        self._sort = 0
        self._mark: tuple[Any, ...] = ()

    def compose(self) -> ComposeResult:
        yield TaskTable(f"{self.id}-table")

    @property
    def table(self) -> TaskTable:
        return self.query_one(TaskTable)

    def wanted(self, row: TaskRow) -> bool:
        return not row.parent or bool(self.filter)

    def show(self, scene: Scene) -> None:
        world = scene.world
        sort = task_lines.SORTS[self._sort]
        mark = (id(world), world.tasks_turn, self.filter, sort)
        table = self.table
        if mark != self._mark or sort == "longest":
            self._mark = mark
            kept = [row for row in world.tasks.values() if self.wanted(row)]
            if self.filter:
                kept = [row for row in kept if self.filter.passes(task_lines.fields(world, row))]
            rows = task_lines.ordered(kept, sort, scene.now)
        else:
            rows = table.rows
        table.what = (
            f"{self.title.lower()} match {self.filter.text}" if self.filter else self.title.lower()
        )
        table.hint = "esc ends the filter" if self.filter else self.hint
        table.label(self.title, self._account(len(rows), scene, sort))
        table.show(scene, rows)

    def _account(self, shown: int, scene: Scene, sort: str) -> str:
        """What is shown of how much, so that no bound hides anything."""
        total = max(scene.world.tasks_total, shown)
        asked = f" · / {self.filter.text}" if self.filter else ""
        rest = ""
        if total > len(scene.world.tasks) and not self.filter:
            rest = "; filter status:… or cap:… to fetch others"
        return f"{shown:,} shown, {total:,} on the mesh{rest} · {sort}{asked}"

    def apply_filter(self, wanted: Filter, *, final: bool) -> None:
        """When it stands, tasks that are not kept here are asked for."""
        self.filter = wanted
        if final and (wanted.value("status") or wanted.value("cap")):
            self.desk.ask_tasks(wanted.value("status"), wanted.value("cap"))

    def command(self) -> tuple[str, ...]:
        row = self.table.selected
        return ("show", row.id) if row else ("tasks",)

    # ------------------------------------------------------------ actions

    def on_page_opened(self, message: Page.Opened) -> None:
        message.stop()
        if self.table.selected:
            self.desk.open_task(self.table.selected.id)

    def do_sort(self) -> None:
        self._sort = (self._sort + 1) % len(task_lines.SORTS)
        self.desk.say(f"sorted by {task_lines.SORTS[self._sort]}")
        if self.table.scene is not None:
            self.show(self.table.scene)

    def do_cancel(self) -> None:
        row = self.table.selected
        if row is not None and not row.ended:
            self.desk.ask_cancel(row.id)
        elif row is not None:
            self.desk.say(f"{row.id} has ended already")

    def do_requeue(self) -> None:
        row = self.table.selected
        if row is not None and row.status is Status.FAILED:
            self.desk.ask_requeue([row.id])
        elif row is not None:
            self.desk.say(f"{row.id} is no dead letter")

    def do_again(self) -> None:
        row = self.table.selected
        if row is not None:
            self.desk.open_again(row.id)

    def do_flow(self) -> None:
        row = self.table.selected
        if row is not None:
            self.desk.open_flow(row.id)


class DeadPane(TasksPane, inherit_bindings=False):
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings("dead")

    title = "Dead letters"
    hint = "a task whose attempts are used up is set aside here"

    def __init__(self) -> None:
        super().__init__("dead")

    def wanted(self, row: TaskRow) -> bool:
        return row.status is Status.FAILED and not row.parent

    def enter(self) -> None:
        super().enter()
        self.desk.ask_tasks(Status.FAILED.value, "")

    def _account(self, shown: int, scene: Scene, sort: str) -> str:
        asked = f" · / {self.filter.text}" if self.filter else ""
        return f"{shown:,} set aside{asked} · {sort}"

    def command(self) -> tuple[str, ...]:
        row = self.table.selected
        return ("requeue", row.id) if row else ("tasks", "--dead")

    # ------------------------------------------------------------ actions

    def do_requeue_all(self) -> None:
        self.desk.ask_requeue([row.id for row in self.table.rows])
