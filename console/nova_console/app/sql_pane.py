"""One SELECT over what the nodes recorded, and what they answer."""

from __future__ import annotations

from typing import ClassVar

from nova_client.filters import Filter
from nova_client.metrics import Table
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from nova_console.app.canvas import Line
from nova_console.app.lines import Page
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene
from nova_console.cli.output import escape_line, to_json

CELL_CHARS = 60
MEASURED_ROWS = 500
EXAMPLE = "SELECT capability, count(*) AS tasks FROM tasks GROUP BY ALL"


class Rows(Page):
    def __init__(self) -> None:
        super().__init__(id="sql-rows")
        self.border_title = "SQL"
        self._table: Table | None = None
        self._all: list[tuple[str, ...]] = []
        self._rows = self._all
        self._widths: list[int] = []
        self._said: Line = [("  tables: samples, rates, tasks, events, members", "dim")]

    def take(self, table: Table) -> None:
        rows = [tuple(_cell(value) for value in row) for row in table.rows]
        shown = [table.columns, *rows[:MEASURED_ROWS]]
        self._widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        self._table, self._all, self._rows = table, rows, rows
        lost = ", ".join(f"{one.name}: {one.message}" for one in table.missing)
        cut = f" · more at {', '.join(table.truncated)}" if table.truncated else ""
        self.border_subtitle = escape_line(
            f"{len(table.rows):,} rows{cut}" + (f" · did not answer: {lost}" if lost else "")
        )
        self._said = [("  no rows", "dim")]
        self.cursor = 0
        self.changed()

    def say(self, text: str, style: str) -> None:
        """Instead of rows."""
        self._table, self._all, self._rows = None, [], []
        self.border_subtitle = ""
        self._said = [(f"  {escape_line(text)}", style)]
        self.changed()

    def narrow(self, wanted: Filter) -> None:
        if self._table is not None:
            named = self._table.columns
            self._rows = [
                row for row in self._all if wanted.passes(dict(zip(named, row, strict=True)))
            ]
            self.changed()

    def count(self) -> int:
        return len(self._rows)

    def head(self, width: int) -> Line | None:
        if self._table is None or not self._rows:
            return None
        return [(self._padded(self._table.columns), "head")]

    def line(self, index: int, width: int) -> Line:
        return [(self._padded(self._rows[index]), "")]

    def _padded(self, cells: tuple[str, ...]) -> str:
        sized = zip(cells, self._widths, strict=True)
        return " " + "  ".join(cell.ljust(width) for cell, width in sized)

    def empty(self) -> list[Line]:
        return [[("", "")], self._said]


class SqlPane(Pane):
    DEFAULT_CSS = """
    SqlPane Input, SqlPane Input:focus { border: none; height: 1; background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(self) -> None:
        super().__init__("sql")
        self._query = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(placeholder=EXAMPLE, id="query")
            yield Rows()

    def enter(self) -> None:
        self.screen.set_focus(self.query_one("#query", Input))

    def show(self, scene: Scene) -> None:
        """It changes by itself only when an answer comes."""

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._query = message.value or EXAMPLE
        self.query_one(Rows).say("asking the nodes …", "dim")
        self.desk.ask_sql(self._query)

    def take(self, table: Table | None, error: str) -> None:
        rows = self.query_one(Rows)
        if table is None:
            rows.say(error, "down")
        else:
            rows.take(table)
            self.take_focus(rows)

    async def action_leave(self) -> None:
        """From the query to its rows, where the keys of the console are keys again."""
        if self.query_one("#query", Input).has_focus:
            self.take_focus(self.query_one(Rows))
        else:
            await self.app.run_action("back")  # pyright: ignore[reportUnknownMemberType]

    def apply_filter(self, wanted: Filter, *, final: bool) -> None:
        self.filter = wanted
        self.query_one(Rows).narrow(wanted)

    def command(self) -> tuple[str, ...]:
        return ("sql", self._query or EXAMPLE)


def _cell(value: object) -> str:
    match value:
        case None:
            text = "-"
        case str():
            text = value
        case float():
            text = f"{value:.6g}"
        case _:
            text = to_json(value)
    safe = escape_line(text)
    return safe if len(safe) <= CELL_CHARS else safe[: CELL_CHARS - 1] + "…"
