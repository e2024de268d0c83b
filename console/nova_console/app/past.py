"""What the history told of ended tasks for one filter: a run of pages without a gap, newest first. Pure.

Bounded: when it is too long its newer end goes, since whoever fetched the last page is at the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nova_console.app.inputs import OfPast, Recalled, Recalling, Unrecalled
from nova_console.app.task_row import TaskRow, recalled

ROWS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Past:
    """`total` is how many match in all; `next` where the next page begins, "" when there is none."""

    text: str = ""
    rows: Mapping[str, TaskRow] = field(default_factory=dict[str, TaskRow])
    pages: int = 0
    next: str = ""
    total: int = 0
    open_total: int = 0
    #: rows that went at the newer end
    gone: int = 0
    asking: bool = False
    #: it was not answered
    why: str = ""
    #: names of nodes that did not answer
    missing: tuple[str, ...] = ()

    def is_whole(self, text: str) -> bool:
        """Whether there is nothing to ask for now."""
        return self.asking or (self.text == text and self.pages > 0 and not self.next)

    def take(self, given: OfPast) -> Past:
        match given:
            case Recalling(text=text, before=before):
                same = text == self.text and bool(before)
                return replace(self if same else Past(text), asking=True, why="")
            case Recalled(text=text, before=before) if text == self.text and before in (
                "",
                self.next,
            ):
                return self._told(given)
            case Unrecalled(text=text, why=why) if text == self.text:
                return replace(self, asking=False, why=why)
            case _:
                return self  # another filter stands by now

    def _told(self, given: Recalled) -> Past:
        page = given.page
        rows = dict(self.rows) if given.before else {}
        rows.update((task.id, recalled(task)) for task in page.tasks)
        over = max(0, len(rows) - ROWS_MAX)
        for id in list(rows)[:over]:
            del rows[id]
        return replace(
            self,
            rows=rows,
            pages=self.pages + 1,
            next=page.next,
            total=page.total,
            open_total=given.open_total or self.open_total,
            gone=self.gone + over,
            asking=False,
            missing=tuple(one.name or one.node for one in page.missing),
        )

    def without(self, id: str) -> Past:
        return replace(self, rows={each: row for each, row in self.rows.items() if each != id})
