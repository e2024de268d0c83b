"""What every view of the console is, and what it may ask of the console around it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, cast

from nova_client import Event
from nova_client.filters import Filter
from nova_client.model import Capability
from textual.containers import Container

from nova_console.app.abstract import Abstract
from nova_console.app.chart_lines import Span
from nova_console.app.lines import Page
from nova_console.app.tab import Scene


class Desk(Protocol):
    """The console, as a pane sees it."""

    def open_task(self, id: str) -> None: ...
    def open_node(self, node: str) -> None: ...
    def open_event(self, happened: Event) -> None: ...
    def open_form(self, card: Capability) -> None: ...
    def open_again(self, id: str) -> None: ...
    def open_flow(self, id: str) -> None: ...
    def ask_drain(self, node: str) -> None: ...
    def ask_resume(self, node: str) -> None: ...
    def ask_requeue(self, ids: Sequence[str]) -> None: ...
    def ask_cancel(self, id: str) -> None: ...
    def ask_dead(self, capability: str) -> None: ...
    def recall(self, wanted: Filter, older: bool) -> None: ...
    def ask_charts(self, span: Span) -> None: ...
    def ask_sql(self, query: str) -> None: ...
    def say(self, text: str) -> None: ...


class HasDesk(Protocol):
    @property
    def desk(self) -> Desk: ...


class Pane(Container, metaclass=Abstract):
    """One view. `show` is called when the picture changed and the view is in sight."""

    DEFAULT_CSS = "Pane { height: 1fr; }"

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.filter = Filter()

    @property
    def desk(self) -> Desk:
        return cast("HasDesk", self.app).desk  # pyright: ignore[reportUnknownMemberType]

    @abstractmethod
    def show(self, scene: Scene) -> None: ...

    @abstractmethod
    def command(self) -> tuple[str, ...]:
        """The words of the `nova` command that shows what is selected, or the view."""

    def apply_filter(self, wanted: Filter, *, final: bool) -> None:
        """While it is typed, and once more when it stands."""
        self.filter = wanted

    def enter(self) -> None:
        """The view comes in sight."""
        self.take_focus(self.query(Page).first())

    def take_focus(self, page: Page) -> None:
        """At once: the next key may have been typed already."""
        self.screen.set_focus(page)

    def do(self, what: str) -> None:
        """An action of this view only, by the name it has in the table of actions."""
        act = getattr(self, f"do_{what}", None)
        if act is not None:
            act()
