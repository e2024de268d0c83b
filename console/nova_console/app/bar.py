"""One line across the screen."""

from __future__ import annotations

from textual.strip import Strip
from textual.widget import Widget

from nova_console.app.canvas import Line
from nova_console.app.lines import strip


class Bar(Widget):
    DEFAULT_CSS = "Bar { height: 1; }"

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = []

    def show(self, line: Line, *, hide_empty: bool = False) -> None:
        if hide_empty:
            self.display = bool(line)
        if line != self._line:
            self._line = line
            self.refresh()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self._line)

    def render_line(self, y: int) -> Strip:
        theme = self.app.theme  # pyright: ignore[reportUnknownMemberType]
        return strip(self._line, self.size.width, theme)
