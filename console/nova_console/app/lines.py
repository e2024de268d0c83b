"""The one widget that panes are made of: lines, drawn only where somebody looks.

A `Page` of any length with a cursor, for tables, tails and charts; without a cursor, for pictures. Its
source is pure: how many lines there are, and one of them at a width. What hangs on the size in another way
is made in `fit`, which comes before anything is drawn at another size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click, Key, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from nova_console.app import themes
from nova_console.app.abstract import Abstract
from nova_console.app.canvas import Line

LIKELY_WIDTH = 80
"""Of a page that has none yet."""


def strip(line: Line, width: int, theme: str, extra: str = "") -> Strip:
    """Exactly `width` cells; what is too long is cut."""
    segments: list[Segment] = []
    left = width
    for text, name in line:
        cells = cell_len(text)
        if cells > left:
            text, cells = set_cell_size(text, left), left
        segments.append(Segment(text, themes.style(theme, f"{extra} {name}".strip())))
        left -= cells
        if left <= 0:
            break
    if left > 0:
        segments.append(Segment(" " * left, themes.style(theme, extra)))
    return Strip(segments, width)


class Page(ScrollView, metaclass=Abstract):
    """Subclasses say what there is; they call `changed` when it is different."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+b", "turn(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "turn(1)", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]
    DEFAULT_CSS = "Page { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }"

    can_focus = True

    class Opened(Message):
        """Enter on a line."""

        def __init__(self, page: Page, index: int) -> None:
            super().__init__()
            self.page, self.index = page, index

        @property
        def control(self) -> Page:
            return self.page

    def __init__(self, *, id: str | None = None, cursor: bool = True) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.has_cursor = cursor
        #: stays at the end while it grows
        self.follows = False
        self._g_pressed = False
        self._label = ("", "")
        self._fitted = Size()

    # ------------------------------------------------------------ what there is

    @abstractmethod
    def count(self) -> int: ...

    @abstractmethod
    def line(self, index: int, width: int) -> Line: ...

    def head(self, width: int) -> Line | None:
        """Stays on top."""
        return None

    def empty(self) -> list[Line]:
        """What to say when there are no lines."""
        return []

    def fit(self) -> None:
        """It has another size."""

    # ------------------------------------------------------------ drawing

    def changed(self) -> None:
        count = self.count()
        self.cursor = max(0, min(self.cursor, count - 1))
        height = count + self._head_rows()
        if self.virtual_size.height != height or self.virtual_size.width != self.size.width:
            self.virtual_size = Size(self.scrollable_content_region.width, height)
        if self.follows and count:
            self.cursor = count - 1
            self.scroll_to(y=height, animate=False)
        self.refresh()

    def label(self, title: str, subtitle: str = "") -> None:
        """On its border; setting what is there already would draw all of it again."""
        if (title, subtitle) != self._label:
            self._label = (title, subtitle)
            self.border_title, self.border_subtitle = title, subtitle

    def repaint(self, before: list[Line], now: list[Line]) -> None:
        """As `changed`, for pages that have all their lines: only what is different is drawn."""
        if len(before) != len(now) or not now:
            self.changed()
            return
        for y, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                self.refresh_line(y)

    def _head_rows(self) -> int:
        return 0 if self.head(80) is None else 1

    def on_resize(self, _: Resize) -> None:
        self._fit()
        self.changed()

    def _fit(self) -> None:
        size = self.scrollable_content_region.size
        if size != self._fitted:
            self._fitted = size
            self.fit()

    def render_line(self, y: int) -> Strip:
        self._fit()  # a view that comes in sight is drawn before it is told of its size
        width, theme = self.size.width, self.app.theme  # pyright: ignore[reportUnknownMemberType]
        head = self.head(width)
        if head is not None:
            if y == 0:
                return strip(head, width, theme)
            y -= 1
        count = self.count()
        if not count:
            said = self.empty()
            return strip(said[y] if y < len(said) else [], width, theme)
        index = y + round(self.scroll_offset.y)
        if index >= count:
            return strip([], width, theme)
        chosen = self.has_cursor and index == self.cursor
        return strip(self.line(index, width), width, theme, "selected" if chosen else "")

    # ------------------------------------------------------------ moving

    def action_move(self, by: int) -> None:
        if not self.has_cursor:
            self.scroll_relative(y=by, animate=False)
            return
        self.follows = self.follows and by > 0
        self.go(self.cursor + by)

    def action_turn(self, pages: int) -> None:
        rows = max(1, self.size.height - self._head_rows())
        self.action_move(pages * rows)

    def action_first(self) -> None:
        self.follows = False
        self.go(0)

    def action_last(self) -> None:
        self.go(self.count() - 1)

    def action_open(self) -> None:
        if self.has_cursor and self.count():
            self.post_message(self.Opened(self, self.cursor))

    def go(self, index: int) -> None:
        """The cursor, and the lines around it in sight."""
        self.cursor = max(0, min(index, self.count() - 1))
        rows = max(1, self.size.height - self._head_rows())
        top = round(self.scroll_offset.y)
        if not self.has_cursor:
            self.scroll_to(y=index, animate=False)
        elif self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False)
        self.refresh()

    def on_key(self, event: Key) -> None:
        """gg goes to the first line."""
        if event.key == "g":
            event.stop()
            if self._g_pressed:
                self.action_first()
            self._g_pressed = not self._g_pressed
        else:
            self._g_pressed = False

    def on_click(self, event: Click) -> None:
        y = event.y - self._head_rows() + round(self.scroll_offset.y)
        if self.has_cursor and 0 <= y < self.count():
            self.go(y)
            if event.chain == 2:
                self.action_open()


class Still(Page):
    """Lines that are made together, for the width there is."""

    def __init__(self, *, id: str | None = None, cursor: bool = False) -> None:
        super().__init__(id=id, cursor=cursor)
        self._make: Callable[[int], list[Line]] = lambda _: []
        self._lines: list[Line] = []

    def show(self, make: Callable[[int], list[Line]]) -> None:
        """Made again when the width is another."""
        self._make, before = make, self._lines
        self.fit()
        self.repaint(before, self._lines)

    def fit(self) -> None:
        self._lines = self._make(self.scrollable_content_region.width or LIKELY_WIDTH)

    def count(self) -> int:
        return len(self._lines)

    def line(self, index: int, width: int) -> Line:
        return self._lines[index]
