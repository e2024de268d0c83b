"""Which rows a filter lets through; only rows that changed are asked anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from nova_client.filters import Filter

from nova_console.app import task_lines
from nova_console.app.model import World
from nova_console.app.task_row import TaskRow


class Sieve:
    def __init__(self) -> None:
        self._asked: tuple[Filter, int] | None = None
        self._known: dict[str, tuple[TaskRow, bool]] = {}

    def sift(self, world: World, rows: Iterable[TaskRow], wanted: Filter) -> list[TaskRow]:
        if not wanted:
            self._known = {}
            return list(rows)
        asked = (wanted, len(world.nodes))  # rows are asked for names of nodes too
        known = self._known if asked == self._asked else {}
        passed, judged = list[TaskRow](), dict[str, tuple[TaskRow, bool]]()
        for row in rows:
            verdict = known.get(row.id)
            if verdict is None or verdict[0] is not row:
                verdict = (row, wanted.passes(task_lines.fields(world, row)))
            judged[row.id] = verdict
            if verdict[1]:
                passed.append(row)
        self._asked, self._known = asked, judged
        return passed
