"""What happens on the nodes, as a tail merged by time; with a filter, each event unfolds to JSON."""

from __future__ import annotations

from nova_client import Event
from nova_client.filters import Filter
from textual.app import ComposeResult

from nova_console.app import bars, event_lines
from nova_console.app.canvas import Line
from nova_console.app.lines import Page
from nova_console.app.model import EVENTS_MAX, World
from nova_console.app.pane import Pane
from nova_console.app.tab import Scene


class Tail(Page):
    def __init__(self) -> None:
        super().__init__(id="tail")
        self.follows = True
        self._scene: Scene | None = None
        self._mark: tuple[World, Filter] | None = None
        self._last: Event | None = None
        self._events: list[Event] = []

    def show(self, scene: Scene, wanted: Filter) -> None:
        world = scene.world
        mark = (world, wanted)
        anew = mark != self._mark
        if anew:
            self._mark, self._last, self._events = mark, None, []
        fresh: list[Event] = []
        for happened in reversed(world.events):
            if happened is self._last:
                break
            fresh.append(happened)
        if world.events:
            self._last = world.events[-1]
        fresh.reverse()
        if wanted:
            fresh = [e for e in fresh if wanted.passes(event_lines.fields(world, e))]
        self._scene = scene
        if fresh or anew or not self._events:
            self._events += fresh
            self._events.sort(key=lambda happened: happened.time)
            del self._events[:-EVENTS_MAX]
            self.changed()

    @property
    def selected(self) -> Event | None:
        return self._events[self.cursor] if self.cursor < len(self._events) else None

    def action_last(self) -> None:
        super().action_last()
        self.follows = True

    def count(self) -> int:
        return len(self._events)

    def line(self, index: int, width: int) -> Line:
        assert self._scene is not None
        return event_lines.row_line(self._scene.world, self._events[index])

    def empty(self) -> list[Line]:
        if self._scene is None:
            return []
        if self._mark is not None and self._mark[1]:
            return bars.plight(self._scene, "event matches", "esc ends the filter")
        return bars.plight(self._scene, "events yet", "they come as tasks are run")


class EventsPane(Pane):
    def __init__(self) -> None:
        super().__init__("events")

    def compose(self) -> ComposeResult:
        yield Tail()

    def show(self, scene: Scene) -> None:
        tail = self.query_one(Tail)
        tail.show(scene, self.filter)
        asked = f" · / {self.filter.text}" if self.filter else ""
        how = "following" if tail.follows else "G follows"
        watched = sum(not eye.why for eye in scene.world.eyes.values())
        tail.label("Events", f"{tail.count():,} kept, of {watched} nodes · {how}{asked}")

    def command(self) -> tuple[str, ...]:
        happened = self.query_one(Tail).selected
        return ("watch", "--from-seq", str(happened.seq)) if happened else ("watch",)

    def on_page_opened(self, message: Page.Opened) -> None:
        message.stop()
        happened = self.query_one(Tail).selected
        if happened is not None:
            self.desk.open_event(happened)
