"""A grid of cells to draw on: text, and edges in braille dots between them. Pure.

A line is a list of pieces: text and the name of a style, which only the palette knows how to show.
"""

from __future__ import annotations

from collections.abc import Iterator

Piece = tuple[str, str]
Line = list[Piece]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800


class Canvas:
    """`width` by `height` cells; what falls outside is not drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells: list[list[Piece]] = [[(" ", "")] * width for _ in range(height)]
        self._dots: dict[tuple[int, int], tuple[int, str]] = {}

    def edge(
        self, start: tuple[int, int], end: tuple[int, int], style: str, dashed: bool = False
    ) -> None:
        """A line of dots from the middle of one cell to that of another."""
        x0, y0, x1, y1 = start[0] * 2, start[1] * 4 + 2, end[0] * 2, end[1] * 4 + 2
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            if dashed and i % 8 >= 4:
                continue
            x, y = x0 + (x1 - x0) * i // steps, y0 + (y1 - y0) * i // steps
            cell = (x // 2, y // 4)
            bits, _ = self._dots.get(cell, (0, ""))
            self._dots[cell] = (bits | _DOTS[y % 4][x % 2], style)

    def text(self, x: int, y: int, text: str, style: str) -> None:
        if not 0 <= y < self.height:
            return
        row = self._cells[y]
        for i, char in enumerate(text, x):
            if 0 <= i < self.width:
                row[i] = (char, style)

    def is_free(self, x: int, y: int, width: int) -> bool:
        """Whether no text was put there; edges may run below."""
        if not (0 <= y < self.height and x >= 0 and x + width <= self.width):
            return False
        return all(char == " " for char, _ in self._cells[y][x : x + width])

    def lines(self) -> list[Line]:
        return [list(self._runs(y)) for y in range(self.height)]

    def _runs(self, y: int) -> Iterator[Piece]:
        """Neighbours of one style joined."""
        text, style = "", ""
        for x, (char, own) in enumerate(self._cells[y]):
            if char == " " and not own and (x, y) in self._dots:
                bits, own = self._dots[x, y]
                char = chr(_BRAILLE | bits)
            if own != style:
                if text:
                    yield text, style
                text, style = "", own
            text += char
        if text:
            yield text, style


def wrap(lines: list[Line], width: int) -> list[Line]:
    """Lines of `width` cells at most, at blanks where there are some; what follows is indented."""
    wrapped: list[Line] = []
    for line in lines:
        wrapped += _wrap_line(line, max(8, width))
    return wrapped


def _wrap_line(line: Line, width: int) -> Iterator[Line]:
    now: Line = []
    left, begun = width, False
    for text, style in line:
        while len(text) > left:
            cut = text.rfind(" ", 0, left + 1)
            if cut < 1:
                cut = 0 if begun else left  # a word that no line holds is cut
            if cut:
                now.append((text[:cut], style))
            yield now
            now, left, begun = [("  ", "")], width - 2, False
            text = text[cut:].lstrip(" ")
        now.append((text, style))
        left, begun = left - len(text), begun or bool(text)
    yield now
