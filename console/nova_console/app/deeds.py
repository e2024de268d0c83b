"""What the console does on the mesh for a person: opens, asks, cancels, drains, submits.

Every deed is a worker that cannot end the app: what goes wrong is said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nova_client import Event, NovaError, Status
from nova_client.metrics import Series
from nova_client.model import Capability
from textual.app import App

from nova_console.app import actions, commands, filters, themes
from nova_console.app.chart_lines import AHEAD_STEPS, SHOWN, Charts, Span
from nova_console.app.feed import Feed, Node, Opener
from nova_console.app.flow_pane import FlowPane
from nova_console.app.form import Filled
from nova_console.app.form_sheet import FormSheet
from nova_console.app.inputs import Listed
from nova_console.app.metrics_pane import MetricsPane
from nova_console.app.pane import Pane
from nova_console.app.run_pane import RunPane
from nova_console.app.sheet import Confirm, EventSheet, NodeSheet, Sheet
from nova_console.app.sql_pane import SqlPane
from nova_console.app.tab import Scene, Tab
from nova_console.app.task_sheet import TaskSheet
from nova_console.cli.output import escape_line

DRAIN_WAIT_S = 60.0
LISTED_MAX = 1_000


class Deeds(App[None]):
    """The half of the console that acts; the other half shows, and says what is selected."""

    opener: Opener
    clock: Callable[[], float]

    @property
    def tab(self) -> Tab:
        raise NotImplementedError

    @property
    def feed(self) -> Feed:
        raise NotImplementedError

    @property
    def pane(self) -> Pane:
        raise NotImplementedError

    @property
    def scene(self) -> Scene:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        raise NotImplementedError

    def push_sheet(self, sheet: Sheet) -> None:
        raise NotImplementedError

    def close_sheets(self) -> None:
        raise NotImplementedError

    def action_view(self, view: str) -> None:
        raise NotImplementedError

    def use_theme(self, name: str) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------ opening

    def open_task(self, id: str) -> None:
        feed = self.feed
        self.push_sheet(TaskSheet(id, self, lambda: feed.client, self.wake))

    def open_node(self, node: str) -> None:
        self.push_sheet(NodeSheet(node, self.scene.world.name(node)))

    def open_event(self, happened: Event) -> None:
        self.push_sheet(EventSheet(happened))

    def open_flow(self, id: str) -> None:
        self.action_view("flow")
        self.query_one(FlowPane).choose(id)
        self.flush()

    def open_form(
        self, card: Capability, given: Mapping[str, Any] | None = None, note: str = ""
    ) -> None:
        def submit(filled: Filled) -> None:
            self._deed(lambda client: self._submit(client, card.name, filled))

        self.close_sheets()
        self.push_screen(FormSheet(card, given or {}, self.tab.address, submit, note))

    def open_again(self, id: str) -> None:
        async def look(client: Node) -> None:
            view = await client.get(id)
            cards = {card.name: card for card in await client.capabilities()}
            if view.capability not in cards:
                self.say(f"no node offers {view.capability} now")
                return
            note = f"inputs are not copied: {', '.join(view.inputs)}" if view.inputs else ""
            self.open_form(cards[view.capability], view.args, note)

        self._deed(look)

    # ------------------------------------------------------------ asking

    def ask_tasks(self, status: str, capability: str) -> None:
        """Of the whole mesh; they join those that are kept."""
        tab = self.tab
        statuses = [word for word in Status if status and status in word.value]

        async def look(client: Node) -> None:
            exact = capability if "." in capability else ""
            page = await client.list_tasks(
                statuses=statuses, capability=exact, limit=LISTED_MAX, children=False
            )
            tab.put(Listed(self.clock(), page, of_all=False))
            self.wake()

        self._deed(look)

    def ask_cards(self) -> None:
        async def look(client: Node) -> None:
            self.query_one(RunPane).take(await client.capabilities())
            self.wake()

        self._deed(look)

    def ask_charts(self, span: Span) -> None:
        pane = self.query_one(MetricsPane)

        async def look(client: Node) -> None:
            top = await client.metrics.top()
            now = await _series(client, span, ahead=AHEAD_STEPS)
            earlier = await _series(client, span.back(), ahead=0) if span.before else {}
            pane.take(Charts(span, now, earlier, top), "")
            self.wake()

        self._deed(look, lambda why: pane.take(None, why))

    def ask_sql(self, query: str) -> None:
        pane = self.query_one(SqlPane)

        async def look(client: Node) -> None:
            pane.take(await client.metrics.sql(query), "")

        self._deed(look, lambda why: pane.take(None, why))

    # ------------------------------------------------------------ changing

    def ask_cancel(self, id: str) -> None:
        async def cancel(client: Node) -> None:
            status = await client.cancel(id)
            self.say(f"{id} is {status.value}")

        same = commands.command("cancel", id, node=self.tab.address)
        self._confirm(f"Cancel {id} and its shards?", same, lambda: self._deed(cancel))

    def ask_drain(self, node: str) -> None:
        view = self.scene.world.nodes.get(node)
        if view is None:
            return
        name, opener = view.name or node[:8], self.opener

        async def drain(client: Node) -> None:
            self.say(f"draining {name}")
            if client.node == node:
                left = await client.drain(stay=True, timeout_s=DRAIN_WAIT_S)
            else:
                async with opener(view.address) as there:
                    left = await there.drain(stay=True, timeout_s=DRAIN_WAIT_S)
            self.say(f"{name} is drained" if not left else f"{name}: {left} attempts still run")

        question = (
            f"Drain {name}?\nIt ends what it runs and takes nothing new until it is restarted."
        )
        same = commands.drain(name)
        self._confirm(question, same, lambda: self._deed(drain))

    async def _submit(self, client: Node, capability: str, filled: Filled) -> None:
        task = await client.submit(capability, filled.args, inputs=filled.inputs)
        self.say(f"started {task.id}")
        self.open_task(task.id)

    def _confirm(self, question: str, same: str, deed: Callable[[], None]) -> None:
        if self.tab.replay is not None:
            self.say("this is the past; z goes back to live first")
            return
        self.push_screen(Confirm(question, same, deed))

    def _deed(
        self,
        work: Callable[[Node], Awaitable[None]],
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """`failed` is told why instead of the person."""

        def tell(why: str) -> None:
            if failed is None:
                self.say(why, bad=True)
            else:
                failed(why)
                self.wake()

        async def run() -> None:
            client = self.feed.client
            if client is None:
                tell("the node does not answer; r tries again")
                return
            try:
                await work(client)
            except NovaError as error:
                tell(f"{error.message}; {error.fix}" if error.fix else error.message)

        self.run_worker(run(), exit_on_error=False)

    def say(self, text: str, bad: bool = False) -> None:
        severity = "error" if bad else "information"
        self.notify(escape_line(text), severity=severity, timeout=6.0, markup=False)

    # ------------------------------------------------------------ typed commands

    def obey(self, text: str) -> None:
        """What was typed after `:`."""
        word, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        view = actions.find_view(word)
        by_id = {action.id: action for action in actions.ACTIONS}
        match word:
            case "":
                return
            case "q" | "q!" | "exit":
                self.exit()
            case "show" if rest:
                self.open_task(rest)
            case "cancel" if rest:
                self.ask_cancel(rest)
            case "flow" if rest:
                self.open_flow(rest)
            case "drain" if rest:
                self._drain_named(rest)
            case "filter":
                self.pane.apply_filter(filters.parse(rest), final=True)
            case "theme" if rest:
                self._theme_named(rest)
            case _ if view:
                self.action_view(view)
            case _ if word in by_id:
                self.call_later(self.run_action, by_id[word].call)
            case _:
                self.say(f"there is no command {word!r}; ? lists them", bad=True)
        self.flush()

    def _drain_named(self, name: str) -> None:
        nodes = self.scene.world.nodes.values()
        found = [view.node for view in nodes if name == view.name or view.node.startswith(name)]
        if len(found) == 1:
            self.ask_drain(found[0])
        else:
            self.say(f"{len(found)} nodes are called {name}", bad=True)

    def _theme_named(self, name: str) -> None:
        found = [known for known in themes.NAMES if known.endswith(name)]
        if found:
            self.use_theme(found[0])
        else:
            self.say(f"themes: {', '.join(themes.NAMES)}", bad=True)


async def _series(client: Node, span: Span, ahead: int) -> dict[str, Series]:
    return {
        name: await client.metrics.series(name, begin=span.begin, end=span.end, ahead=ahead)
        for name in SHOWN
    }
