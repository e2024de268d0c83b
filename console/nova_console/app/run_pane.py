"""What the mesh can do, as the cards of its nodes say; enter opens a form to run one."""

from __future__ import annotations

from nova_client.filters import Filter
from nova_client.model import Capability
from textual.app import ComposeResult

from nova_console.app import bars
from nova_console.app.canvas import Line
from nova_console.app.lines import Page
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene
from nova_console.cli.args import signature
from nova_console.cli.output import escape_line


class Cards(Page):
    def __init__(self) -> None:
        super().__init__(id="cards")
        self._all: tuple[Capability, ...] | None = None
        self._shown: list[Capability] = []
        self._scene: Scene | None = None
        self._filter = Filter()

    def take(self, cards: tuple[Capability, ...]) -> None:
        self._all = cards
        self._narrow()

    def show(self, scene: Scene, wanted: Filter) -> None:
        self._scene, self._filter = scene, wanted
        self._narrow()

    def _narrow(self) -> None:
        cards = self._all or ()
        self._shown = [c for c in cards if self._filter.passes({"cap": c.name, "doc": c.doc})]
        self.label("Run", f"{len(self._shown)} capabilities")
        self.changed()

    @property
    def selected(self) -> Capability | None:
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def count(self) -> int:
        return len(self._shown)

    def head(self, width: int) -> Line:
        return [(f" {'CAPABILITY':<40} {'VERSION':<8} {'NODES':>5}  WHAT", "head")]

    def line(self, index: int, width: int) -> Line:
        card = self._shown[index]
        splits = "splits; " if card.splits else ""
        return [
            (f" {escape_line(signature(card)):<40.40} ", ""),
            (f"{escape_line(card.version):<8.8} {len(card.nodes):>5}  ", "dim"),
            (splits + escape_line(card.doc.partition("\n")[0]), "dim"),
        ]

    def empty(self) -> list[Line]:
        if self._scene is None or (self._all is None and self._scene.world.lost is None):
            return [[("", "")], [("  … asking what the mesh can do", "dim")]]
        hint = "esc ends the filter" if self._filter else "nova-node doctor tells why"
        return bars.plight(self._scene, "capability is offered", hint)


class RunPane(Pane):
    def __init__(self) -> None:
        super().__init__("run")

    def compose(self) -> ComposeResult:
        yield Cards()

    def show(self, scene: Scene) -> None:
        self.query_one(Cards).show(scene, self.filter)

    def take(self, cards: tuple[Capability, ...]) -> None:
        self.query_one(Cards).take(cards)

    def command(self) -> tuple[str, ...]:
        return ("capabilities",)

    def on_page_opened(self, message: Page.Opened) -> None:
        message.stop()
        card = self.query_one(Cards).selected
        if card is not None:
            self.desk.open_form(card)
