"""What the nodes recorded, as charts; ranges, the time before to compare with, and a forecast."""

from __future__ import annotations

from typing import ClassVar

from nova_client.filters import Filter
from textual.app import ComposeResult
from textual.binding import BindingType

from nova_console.app import bars, chart_lines, keys
from nova_console.app.chart_lines import Charts, Span
from nova_console.app.lines import Still
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene

RANGES = (("15 min", 900), ("1 h", 3_600), ("6 h", 21_600), ("24 h", 86_400), ("7 d", 604_800))
ASK_EVERY_S = 5.0


class MetricsPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings("metrics")

    def __init__(self) -> None:
        super().__init__("metrics")
        self._range = 0
        self._before = False
        self._charts: Charts | None = None
        self._error = ""
        self._asked: tuple[object, ...] = ()
        self._home = ""

    def compose(self) -> ComposeResult:
        yield Still(id="charts")

    def show(self, scene: Scene) -> None:
        if scene.world.home != self._home:
            self._home, self._charts, self._asked = scene.world.home, None, ()
        self._ask(scene)
        page = self.query_one("#charts", Still)
        before = ", and the time before" if self._before else ""
        asked = f"/ {self.filter.text}" if self.filter else ""
        page.label(f"Metrics · {RANGES[self._range][0]}{before}", asked)
        page.show(lambda width: self._lines(scene, width))

    def _lines(self, scene: Scene, width: int) -> list[chart_lines.Line]:
        if self._error:
            return [[("", "")], [(f"  ✖ {self._error}", "down")]]
        if not scene.world.nodes:
            return bars.plight(scene, "metrics", "")
        if self._charts is None:
            return [[("", "")], [("  … asking what was recorded", "dim")]]
        return chart_lines.lines(self._narrow(self._charts), width)

    def _narrow(self, charts: Charts) -> Charts:
        kept = {
            name: series
            for name, series in charts.series.items()
            if self.filter.passes({"series": f"{name} {chart_lines.TITLES.get(name, '')}"})
        }
        return Charts(charts.span, kept, charts.earlier, charts.top)

    def _ask(self, scene: Scene) -> None:
        """Anew every few seconds of the time that is shown."""
        asked = (self._home, int(scene.now / ASK_EVERY_S), self._range, self._before)
        if self._home and asked != self._asked and scene.world.lost is None:
            self._asked = asked
            span = Span(scene.now - RANGES[self._range][1], scene.now, self._before)
            self.desk.ask_charts(span)

    def take(self, charts: Charts | None, error: str) -> None:
        """The answer to what was asked last; without one, why."""
        self._charts, self._error = charts or self._charts, error

    def apply_filter(self, wanted: Filter, *, final: bool) -> None:
        self.filter = wanted

    def command(self) -> tuple[str, ...]:
        return ("stats", "--hours", f"{RANGES[self._range][1] / 3600:g}")

    # ------------------------------------------------------------ actions

    def do_longer(self) -> None:
        self._range = min(len(RANGES) - 1, self._range + 1)

    def do_shorter(self) -> None:
        self._range = max(0, self._range - 1)

    def do_compare(self) -> None:
        self._before = not self._before
