"""Tasks as a table of any length, with a live filter; and the dead letters among them."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from nova_client import Status
from nova_client.filters import Filter, whole_capability
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import MouseScrollDown
from textual.message import Message

from nova_console.app import bars, keys, task_lines
from nova_console.app.canvas import Line
from nova_console.app.lines import Page
from nova_console.app.model import World
from nova_console.app.pane import Pane
from nova_console.app.past import Past
from nova_console.app.sieve import Sieve
from nova_console.app.tab import Scene
from nova_console.app.task_row import TaskRow
from nova_console.cli.output import escape_line

MANY, MANY_EVERY_S = 2_000, 0.5
"""More rows than that are chosen anew twice a second at most."""


class TaskTable(Page):
    """The cursor stays on the task it was put on; until then, and after home, on the newest."""

    class Bottom(Message):
        """The cursor is on the last row, or the wheel would go beyond it."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.rows: list[TaskRow] = []
        self.scene: Scene | None = None
        self.what, self.hint = "", ""
        self._held = ""

    def show(self, scene: Scene, rows: list[TaskRow]) -> None:
        before, self.scene, self.rows = self.cursor, scene, rows
        if self._held:
            self.cursor = self._held_at()
        self.changed()
        if self._held:
            if self.cursor != before:  # what is in sight stays, whatever came above it
                self.scroll_to(y=round(self.scroll_offset.y) + self.cursor - before, animate=False)
            self._hold()

    def _held_at(self) -> int:
        rows, at = self.rows, self.cursor
        if at < len(rows) and rows[at].id == self._held:
            return at
        found = (i for i, row in enumerate(rows) if row.id == self._held)
        return next(found, at)

    @property
    def selected(self) -> TaskRow | None:
        return self._fresh(self.rows[self.cursor]) if self.cursor < len(self.rows) else None

    def _fresh(self, row: TaskRow) -> TaskRow:
        """As it is by now, though the rows were chosen before."""
        return self.scene.world.tasks.get(row.id, row) if self.scene is not None else row

    def go(self, index: int) -> None:
        super().go(index)
        self._hold()
        if self.cursor >= self.count() - 1:
            self.post_message(self.Bottom())

    def on_mouse_scroll_down(self, _: MouseScrollDown) -> None:
        if self.is_vertical_scroll_end:
            self.post_message(self.Bottom())

    def action_first(self) -> None:
        super().action_first()
        self._held = ""

    def action_open(self) -> None:
        self._hold()
        super().action_open()

    def _hold(self) -> None:
        row = self.selected
        self._held = row.id if row is not None else ""

    def count(self) -> int:
        return len(self.rows)

    def head(self, width: int) -> Line:
        return task_lines.heading(width)

    def line(self, index: int, width: int) -> Line:
        assert self.scene is not None
        row = self._fresh(self.rows[index])
        return task_lines.row_line(self.scene.world, row, self.scene.now, width)

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
        self._sieve = Sieve()
        #: what the rows were chosen by, what of the picture, and when
        self._asked: tuple[Any, ...] = ()
        self._turn: tuple[int, float] = (0, 0.0)
        self._open = 0
        self._chosen_at = 0.0

    def compose(self) -> ComposeResult:
        yield TaskTable(f"{self.id}-table")

    @property
    def table(self) -> TaskTable:
        return self.query_one(TaskTable)

    def wanted(self, row: TaskRow) -> bool:
        return not row.parent or bool(self.filter)

    def show(self, scene: Scene) -> None:
        table, sort = self.table, task_lines.SORTS[self._sort]
        rows = self._rows(scene, sort) if self._is_due(scene, sort) else table.rows
        table.what = (
            f"{self.title.lower()} match {self.filter.text}" if self.filter else self.title.lower()
        )
        table.hint = "esc ends the filter" if self.filter else self.hint
        table.label(self.title, self._account(len(rows), scene, sort))
        table.show(scene, rows)

    def _is_due(self, scene: Scene, sort: str) -> bool:
        """Whether to choose anew: many rows only now and then, while nothing else is asked for."""
        asked = (id(scene.world), self.filter, sort)
        turn = (scene.world.tasks_turn, scene.now if sort == "longest" else 0.0)
        now = time.monotonic()
        young = len(self.table.rows) > MANY and now - self._chosen_at < MANY_EVERY_S
        if asked == self._asked and (turn == self._turn or young):
            return False
        self._asked, self._turn, self._chosen_at = asked, turn, now
        return True

    def _rows(self, scene: Scene, sort: str) -> list[TaskRow]:
        world = scene.world
        kept = [row for row in (*self._past(world), *world.tasks.values()) if self.wanted(row)]
        rows = self._sieve.sift(world, kept, self.filter)
        self._open = sum(not row.ended for row in rows)
        return task_lines.ordered(rows, sort, scene.now)

    def _past(self, world: World) -> list[TaskRow]:
        """Those that only the history knows, the oldest first."""
        past = world.past
        if past.text not in ("", self.filter.text):
            return []
        return [row for row in reversed(list(past.rows.values())) if row.id not in world.tasks]

    def _account(self, shown: int, scene: Scene, sort: str) -> str:
        """What is shown of how much, so that no bound hides anything."""
        world, past = scene.world, scene.world.past
        asked = f" · / {self.filter.text}" if self.filter else ""
        told = past.text == self.filter.text and past.pages > 0
        open_ = max(past.open_total, self._open)
        total = past.total + open_ if told else 0
        if not self.filter:
            total = max(total, world.tasks_total)
        of = f" of {max(total, shown):,}" if told or not self.filter else ""
        where = " that match" if self.filter and told else "" if self.filter else " on the mesh"
        return f"{shown:,} shown{of}{where}{self._troubles(scene)} · {sort}{asked}"

    def _troubles(self, scene: Scene) -> str:
        """Of what is not shown: why, and how to get it."""
        if scene.mode in ("REPLAY", "PAUSED"):
            return f" · nothing more is asked in {scene.mode}"
        past = scene.world.past
        if past.text != self.filter.text:
            past = Past()
        told = [f"✖ history: {past.why}"] if past.why else []
        if past.asking:
            told.append("… asking the history")
        if past.missing:
            told.append(f"✖ no answer from {', '.join(past.missing)}")
        if past.gone:
            told.append(f"{past.gone:,} newer ones let go")
        if past.next or not (past.pages or self.filter):
            told.append("more below the last")
        return "".join(f" · {escape_line(part)}" for part in told)

    def apply_filter(self, wanted: Filter, *, final: bool) -> None:
        """When it stands, tasks that are not kept here are asked for."""
        self.filter = wanted
        if final and wanted:
            self.ask(wanted)

    def ask(self, wanted: Filter) -> None:
        self.desk.recall(wanted, older=False)

    def on_task_table_bottom(self, message: TaskTable.Bottom) -> None:
        message.stop()
        scene = self.table.scene
        if scene is not None and scene.mode in ("LIVE", "OFFLINE"):
            self.older(scene.world.past)

    def older(self, past: Past) -> None:
        """What comes after the last row."""
        if not past.is_whole(self.filter.text):
            self.desk.recall(self.filter, older=past.text == self.filter.text and past.pages > 0)

    def command(self) -> tuple[str, ...]:
        row = self.table.selected
        if row is not None:
            return ("show", row.id)
        return ("tasks", *self.filter.text.split(), *(("--history",) if self.filter else ()))

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
        return row.status is Status.FAILED and not row.parent and not row.volatile

    def enter(self) -> None:
        super().enter()
        self.ask(self.filter)

    def ask(self, wanted: Filter) -> None:
        """Only those that nodes keep: the others cannot be requeued."""
        self.desk.ask_dead(whole_capability(wanted))

    def older(self, past: Past) -> None:
        """Nothing: all are listed."""

    def _past(self, world: World) -> list[TaskRow]:
        return []

    def _account(self, shown: int, scene: Scene, sort: str) -> str:
        asked = f" · / {self.filter.text}" if self.filter else ""
        return f"{shown:,} set aside{asked} · {sort}"

    def command(self) -> tuple[str, ...]:
        row = self.table.selected
        return ("requeue", row.id) if row else ("tasks", "--dead")

    # ------------------------------------------------------------ actions

    def do_requeue_all(self) -> None:
        self.desk.ask_requeue([row.id for row in self.table.rows])
