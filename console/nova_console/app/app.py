"""The console itself: bars, views and keys over the meshes it is fed. Deeds are in `deeds`."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import ClassVar, TypeVar

from nova_client import filters
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from nova_console.app import actions, bars, commands, hangup, keys, themes
from nova_console.app.bar import Bar
from nova_console.app.deeds import Deeds
from nova_console.app.events_pane import EventsPane
from nova_console.app.feed import Feed, Opener, open_client
from nova_console.app.flow_pane import FlowPane
from nova_console.app.inputs import Input as Heard
from nova_console.app.inputs import Looked
from nova_console.app.lines import Page
from nova_console.app.mesh_pane import MeshPane
from nova_console.app.metrics_pane import MetricsPane
from nova_console.app.pane import Pane
from nova_console.app.run_pane import RunPane
from nova_console.app.settings import Settings
from nova_console.app.sheet import HelpSheet, Sheet
from nova_console.app.sql_pane import SqlPane
from nova_console.app.sweep import Sweep
from nova_console.app.tab import Scene, Tab
from nova_console.app.tasks_pane import DeadPane, TasksPane
from nova_console.cli.output import escape_line

P = TypeVar("P", bound=Pane)

FLUSH_S = 0.1
AGE_S, QUIET_AGE_S = 1.0, 2.0


class Console(App[None]):
    """`addresses` are one node of each mesh, "" the one of this machine."""

    TITLE = "nova"
    ALLOW_IN_MAXIMIZED_VIEW = "Bar, #prompt"
    CSS = """
    Screen { background: $background; }
    Bar { background: $panel; }
    Page { border: round $primary; background: $background; }
    Page:focus { border: round $accent; }
    #views { height: 1fr; }
    #prompt { height: 1; border: none; display: none; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings(),
        Binding("escape", "back", "Back", show=False),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False),
    ]

    def __init__(
        self,
        addresses: Sequence[str] = ("",),
        settings: Settings = Settings(),  # noqa: B008  frozen
        opener: Opener = open_client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.opener = opener
        self.clock = clock
        self.tabs = [Tab(address) for address in addresses]
        self.feeds = [Feed(tab.address, self._taker(tab), clock, opener) for tab in self.tabs]
        self.active = 0
        self.settings = settings
        self.desk = Deeds(self)
        self._due = False
        self._shown_at = 0.0
        self._sweep = Sweep(time.monotonic())
        self._prompting = ""
        for theme in themes.THEMES:
            self.register_theme(theme)
        self.theme = settings.theme or themes.fitting()
        self.set_keymap(dict(settings.keys))

    # ------------------------------------------------------------ parts

    def compose(self) -> ComposeResult:
        yield Bar("status")
        yield Bar("tabs")
        yield Bar("slider")
        yield Bar("trouble")
        with ContentSwitcher(initial="mesh", id="views"):
            yield MeshPane()
            yield TasksPane()
            yield DeadPane()
            yield EventsPane()
            yield FlowPane()
            yield RunPane()
            yield MetricsPane()
            yield SqlPane()
        yield Input(id="prompt", select_on_focus=False)
        yield Bar("footer")

    def on_mount(self) -> None:
        for feed in self.feeds:
            self.run_worker(feed.run(), exit_on_error=False, group="feeds")
        self.set_interval(AGE_S, self._age)
        self.pane.enter()
        self.call_after_refresh(self.flush)
        self.call_after_refresh(self._sweep.settle)
        if self.settings.begin:
            self.call_after_refresh(self.desk.obey, self.settings.begin)
        self.app_resume_signal.subscribe(self, self._repaint)  # pyright: ignore[reportUnknownMemberType]
        with suppress(ValueError, NotImplementedError, RuntimeError):  # not the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
            # the loop hears of it all the same; this does not need the loop
            signal.signal(signal.SIGTERM, hangup.bound)

    @property
    def tab(self) -> Tab:
        return self.tabs[self.active]

    @property
    def feed(self) -> Feed:
        return self.feeds[self.active]

    @property
    def pane(self) -> Pane:
        """The view in sight, whatever lies over it."""
        switcher = self.screen_stack[0].query_one(ContentSwitcher)
        return switcher.query_one(f"#{switcher.current}", Pane)

    def pane_of(self, kind: type[P]) -> P:
        """The view of this kind, in sight or not."""
        return self.query_one(kind)

    @property
    def scene(self) -> Scene:
        return self.tab.scene(self.clock())

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key):
            self._sweep.keyed(time.monotonic())
        await super().on_event(event)

    # ------------------------------------------------------------ showing

    def _taker(self, tab: Tab) -> Callable[[Heard], None]:
        def take(given: Heard) -> None:
            tab.put(given)
            by_the_way = isinstance(given, Looked) and given.viewer != tab.live.home
            if tab is self.tab and not by_the_way:
                self.wake()

        return take

    def wake(self) -> None:
        """Have what changed shown soon; ten times a second at most, however much comes."""
        if not self._due and self.is_running:
            self._due = True
            self.set_timer(FLUSH_S, self._flush_due)

    def _age(self) -> None:
        """Ages grow though nothing comes; what was just shown is young enough."""
        now = time.monotonic()
        self._sweep.pause(now)
        old_s = AGE_S if self.tab.live.lost else QUIET_AGE_S
        if now - self._shown_at >= old_s * 0.9:
            self.flush()

    def _flush_due(self) -> None:
        self._due = False
        replay = self.tab.replay
        if replay is not None:
            replay.play(FLUSH_S)
        self.flush()

    def flush(self) -> None:
        """Show the picture as it is now."""
        if not self.is_running or not self.screen_stack:
            return
        self._shown_at = time.monotonic()
        scene = self.scene
        top = self.screen
        with self.batch_update():
            if isinstance(top, Sheet):
                top.show(scene)
            elif len(self.screen_stack) == 1:
                self._show_bars(scene)
                self.pane.show(scene)
        if self.tab.moving(scene):
            self.wake()

    def _show_bars(self, scene: Scene) -> None:
        view, width = self.pane.id or "", self.size.width
        crumb = {id: title for id, title, _ in actions.VIEWS}[view]
        if self.pane.filter:
            crumb += f" / {self.pane.filter.text}"
        bar = self.screen.query_one
        bar("#status", Bar).show(bars.status(scene, self.tab, crumb, width))
        titles = [tab.title for tab in self.tabs]
        bar("#tabs", Bar).show(bars.tabs(view, titles, self.active))
        bar("#slider", Bar).show(bars.slider(self.tab, width), hide_empty=True)
        bar("#trouble", Bar).show(bars.trouble(scene), hide_empty=True)
        bar("#footer", Bar).show(bars.footer(view, scene, width))

    def say(self, text: str, bad: bool = False) -> None:
        severity = "error" if bad else "information"
        self.notify(escape_line(text), severity=severity, timeout=6.0, markup=False)

    # ------------------------------------------------------------ moving about

    def action_view(self, view: str) -> None:
        self.close_sheets()
        if self.screen.maximized is not None:
            self.screen.minimize()
        self.query_one(ContentSwitcher).current = view
        self.pane.enter()
        if view == "run":
            self.desk.ask_cards()
        self.flush()

    def close_sheets(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_mesh(self, by: int) -> None:
        self.active = (self.active + by) % len(self.tabs)
        self.flush()

    def action_maximise(self) -> None:
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif isinstance(self.focused, Page):
            self.screen.maximize(self.focused)
        self.call_after_refresh(self.flush)

    async def action_back(self) -> None:
        """Out of what one is in, the innermost first."""
        if self._prompting:
            self._close_prompt()
            self.pane.apply_filter(filters.Filter(), final=True)
        elif self.screen.maximized is not None:
            self.screen.minimize()
        elif self.pane.filter:
            self.pane.apply_filter(filters.Filter(), final=True)
        elif self.tab.replay is not None:
            self.tab.rewind(self.clock())
        elif self.tab.paused:
            self.tab.pause(self.clock())
        self.flush()

    def action_help(self) -> None:
        self.push_sheet(HelpSheet(dict(self.settings.keys)))

    def push_sheet(self, sheet: Sheet) -> None:
        self.push_screen(sheet)
        self.call_after_refresh(self.flush)

    # ------------------------------------------------------------ filter and command

    def action_filter(self) -> None:
        self._open_prompt("/", self.pane.filter.text)

    def action_command(self) -> None:
        self._open_prompt(":", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where text is typed, / and : are text."""
        return not (action in keys.PROMPTS and isinstance(self.focused, Input))

    def _open_prompt(self, kind: str, text: str) -> None:
        self.close_sheets()
        prompt = self.query_one("#prompt", Input)
        self._prompting = kind
        prompt.placeholder = (
            "filter: word  !word  status:failed" if kind == "/" else "command, such as tasks"
        )
        prompt.display = True
        prompt.value = text
        prompt.cursor_position = len(text)
        self.screen.set_focus(prompt)  # at once: the next key may have been typed already

    def _close_prompt(self) -> None:
        self._prompting = ""
        self.query_one("#prompt", Input).display = False
        self.pane.enter()

    def on_input_changed(self, message: Input.Changed) -> None:
        if message.input.id == "prompt" and self._prompting == "/":
            self.pane.apply_filter(filters.parse(message.value), final=False)
            self.wake()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        if message.input.id != "prompt":
            return
        kind = self._prompting
        self._close_prompt()
        if kind == "/":
            self.pane.apply_filter(filters.parse(message.value), final=True)
            self.flush()
        else:
            self.desk.obey(message.value)

    # ------------------------------------------------------------ time

    def action_pause(self) -> None:
        self.tab.pause(self.clock())
        self.flush()

    def action_replay(self) -> None:
        self.tab.rewind(self.clock())
        self.flush()

    def action_seek(self, share: float) -> None:
        if self.tab.replay is None:
            self.say("z starts the time travel")
            return
        self.tab.replay.step(share)
        self.flush()

    def action_speed(self, by: int) -> None:
        if self.tab.replay is not None:
            self.tab.replay.faster(by)
            self.flush()

    # ------------------------------------------------------------ the rest

    def action_pane(self, what: str) -> None:
        """An action of the view, or of the sheet over it."""
        top = self.screen
        (top if isinstance(top, Sheet) else self.pane).do(what)
        self.flush()

    def action_theme(self) -> None:
        at = themes.NAMES.index(self.theme) if self.theme in themes.NAMES else -1
        self.use_theme(themes.NAMES[(at + 1) % len(themes.NAMES)])

    def use_theme(self, name: str) -> None:
        self.theme = name
        self._repaint()

    def _repaint(self, _: object = None) -> None:
        """Every line, changed or not."""
        for widget in self.screen.walk_children():
            widget.refresh()

    def action_copy(self) -> None:
        top = self.screen
        words = top.words if isinstance(top, Sheet) else self.pane.command()
        text = commands.command(*words, node=self.tab.address)
        self.copy_to_clipboard(text)
        self.say(f"copied: {text}")

    def action_refresh(self) -> None:
        self.feed.retry()
        if self.pane.id == "run":
            self.desk.ask_cards()
        if isinstance(self.screen, Sheet):
            self.screen.do("refresh")
        self.flush()

    def action_other(self) -> None:
        self.say(f"asking {self.feed.other()}")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action there is now."""
        view = self.pane.id
        for action in actions.ACTIONS:
            if action.view in ("", view):
                key = actions.key_text(self.settings.keys.get(action.id, action.key))
                yield SystemCommand(action.text, key, self._runner(action.call))

    def _runner(self, call: str) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, call)

        return run
