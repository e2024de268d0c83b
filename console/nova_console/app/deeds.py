"""What the console does on the mesh for a person: opens, asks, cancels, requeues, drains, submits.

Every deed is a worker that cannot end the app: what goes wrong is said.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from nova_client import Event, NovaError, Status, filters, rights
from nova_client.filters import Filter
from nova_client.metrics import Series
from nova_client.model import Capability, NodeView
from textual.screen import Screen

from nova_console.app import actions, commands, themes
from nova_console.app.chart_lines import AHEAD_STEPS, SHOWN, Charts, Span
from nova_console.app.feed import Feed, Node, Opener
from nova_console.app.flow_pane import FlowPane
from nova_console.app.form import Filled
from nova_console.app.form_sheet import FormSheet
from nova_console.app.inputs import Input, Listed, Unrecalled
from nova_console.app.metrics_pane import MetricsPane
from nova_console.app.pane import Pane
from nova_console.app.recall import Recall
from nova_console.app.run_pane import RunPane
from nova_console.app.sheet import Confirm, EventSheet, NodeSheet, Sheet
from nova_console.app.sql_pane import SqlPane
from nova_console.app.tab import Scene, Tab
from nova_console.app.task_sheet import TaskSheet

DRAIN_WAIT_S = 60.0
LISTED_MAX = 1_000


P = TypeVar("P", bound=Pane)


class Stage(Protocol):
    """The console as its deeds see it: what is in sight, and what can be shown."""

    opener: Opener
    clock: Callable[[], float]

    @property
    def tab(self) -> Tab: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def pane(self) -> Pane: ...
    @property
    def scene(self) -> Scene: ...

    def flush(self) -> None: ...
    def wake(self) -> None: ...
    def push_sheet(self, sheet: Sheet) -> None: ...
    def close_sheets(self) -> None: ...
    def action_view(self, view: str) -> None: ...
    def use_theme(self, name: str) -> None: ...
    def say(self, text: str, bad: bool = False) -> None: ...
    def push_screen(self, screen: Screen[Any]) -> object: ...
    def pane_of(self, kind: type[P]) -> P: ...
    def run_worker(self, work: Awaitable[None], *, exit_on_error: bool) -> object: ...
    def call_later(self, callback: Callable[..., Any], *args: Any) -> bool: ...
    async def run_action(self, action: str) -> bool: ...
    def exit(self) -> None: ...


class Deeds:
    """What panes and sheets ask for (see pane.Desk)."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    # ------------------------------------------------------------ opening

    def open_task(self, id: str) -> None:
        feed = self._stage.feed
        self._stage.push_sheet(TaskSheet(id, self, lambda: feed.client, self._stage.wake))

    def open_node(self, node: str) -> None:
        self._stage.push_sheet(NodeSheet(node, self._stage.scene.world.name(node)))

    def open_event(self, happened: Event) -> None:
        self._stage.push_sheet(EventSheet(happened))

    def open_flow(self, id: str) -> None:
        self._stage.action_view("flow")
        self._stage.pane_of(FlowPane).choose(id)
        self._stage.flush()

    def open_form(
        self,
        card: Capability,
        given: Mapping[str, Any] | None = None,
        note: str = "",
        again_of: str = "",
    ) -> None:
        if self._held_back(rights.SUBMIT):
            return

        def submit(filled: Filled) -> None:
            self._deed(lambda client: self._submit(client, card.name, filled, again_of))

        self._stage.close_sheets()
        self._stage.push_screen(FormSheet(card, given or {}, self._stage.tab.address, submit, note))

    def open_again(self, id: str) -> None:
        async def look(client: Node) -> None:
            view = await client.get(id)
            cards = {card.name: card for card in await client.capabilities()}
            if view.capability not in cards:
                self.say(f"no node offers {view.capability} now")
                return
            note = f"inputs are not copied: {', '.join(view.inputs)}" if view.inputs else ""
            self.open_form(cards[view.capability], view.args, note, again_of=id)

        self._deed(look)

    # ------------------------------------------------------------ asking

    def ask_dead(self, capability: str) -> None:
        """For the dead letters of the whole mesh; they join what is kept."""
        tab = self._stage.tab

        async def look(client: Node) -> None:
            page = await client.list_tasks(
                statuses=[Status.FAILED], capability=capability, limit=LISTED_MAX, journaled=True
            )
            tab.put(Listed(self._stage.clock(), page, of_all=False))
            self._stage.wake()

        self._deed(look)

    def recall(self, wanted: Filter, older: bool) -> None:
        """Tasks that pass the filter, from the nodes' lists and their history; or its next page."""
        tab = self._stage.tab
        if tab.replay is not None or tab.paused:
            return

        def put(given: Input) -> None:
            tab.put(given)
            self._stage.wake()

        asked = Recall(tab.live, put, self._stage.clock)
        asked.begin(wanted, older)
        self._deed(
            lambda client: asked.ask(client, wanted, older),
            lambda why: put(Unrecalled(self._stage.clock(), wanted.text, why)),
        )

    def ask_cards(self) -> None:
        async def look(client: Node) -> None:
            self._stage.pane_of(RunPane).take(await client.capabilities())
            self._stage.wake()

        self._deed(look)

    def ask_charts(self, span: Span) -> None:
        pane = self._stage.pane_of(MetricsPane)

        async def look(client: Node) -> None:
            top = await client.metrics.top()
            now = await _series(client, span, ahead=AHEAD_STEPS)
            earlier = await _series(client, span.back(), ahead=0) if span.before else {}
            pane.take(Charts(span, now, earlier, top), "")
            self._stage.wake()

        self._deed(look, lambda why: pane.take(None, why))

    def ask_sql(self, query: str) -> None:
        pane = self._stage.pane_of(SqlPane)

        async def look(client: Node) -> None:
            pane.take(await client.metrics.sql(query), "")

        self._deed(look, lambda why: pane.take(None, why))

    # ------------------------------------------------------------ changing

    def ask_cancel(self, id: str) -> None:
        if self._held_back(rights.CANCEL):
            return

        async def cancel(client: Node) -> None:
            status = await client.cancel(id)
            self.say(f"{id} is {status.value}")

        same = commands.command("cancel", id, node=self._stage.tab.address)
        self._confirm(f"Cancel {id} and its shards?", same, lambda: self._deed(cancel))

    def ask_drain(self, node: str) -> None:
        view = self._stage.scene.world.nodes.get(node)
        if view is None or self._held_back(rights.OPERATE):
            return
        name = view.name or node[:8]

        async def drain(client: Node) -> None:
            self.say(f"draining {name}")
            async with self._client_of(client, view) as there:
                left = await there.drain(stay=True, timeout_s=DRAIN_WAIT_S)
            self.say(f"{name} is drained" if not left else f"{name}: {left} attempts still run")

        question = f"Drain {name}?\nIt ends what it runs and takes nothing new until it is resumed."
        same = commands.command("drain", name, "--stay", node=self._stage.tab.address)
        self._confirm(question, same, lambda: self._deed(drain))

    def ask_resume(self, node: str) -> None:
        view = self._stage.scene.world.nodes.get(node)
        if view is None or self._held_back(rights.OPERATE):
            return
        name = view.name or node[:8]

        async def resume(client: Node) -> None:
            async with self._client_of(client, view) as there:
                was_draining = await there.resume()
            said = "takes work again" if was_draining else "was not draining"
            self.say(f"{name} {said}")

        same = commands.command("resume", name, node=self._stage.tab.address)
        self._confirm(f"Resume {name}?\nIts drain ends.", same, lambda: self._deed(resume))

    @asynccontextmanager
    async def _client_of(self, client: Node, view: NodeView) -> AsyncGenerator[Node]:
        if client.node == view.node:
            yield client
        else:
            async with self._stage.opener(view.address) as there:
                yield there

    def ask_requeue(self, ids: Sequence[str]) -> None:
        if not ids:
            self.say("no dead letter is selected")
            return
        if self._held_back(rights.SUBMIT):
            return
        some = ids[:LISTED_MAX]

        async def requeue(client: Node) -> None:
            asked = await client.requeue_many(some)
            refused = [one.failure for one in asked if one.failure is not None]
            if refused:
                self.say(f"{len(refused)} not requeued: {refused[0].message}", bad=True)
            if len(refused) < len(asked):
                self.say(f"requeued {len(asked) - len(refused):,}")

        what = some[0] if len(some) == 1 else f"{len(some):,} dead letters"
        question = f"Requeue {what}?\nFresh attempts of the same call."
        same = commands.requeue(some, node=self._stage.tab.address)
        self._confirm(question, same, lambda: self._deed(requeue))

    async def _submit(self, client: Node, capability: str, filled: Filled, again_of: str) -> None:
        task = await client.submit(capability, filled.args, inputs=filled.inputs, again_of=again_of)
        self.say(f"started {task.id}")
        self.open_task(task.id)

    def _held_back(self, right: str) -> bool:
        """Says so when this console was given less than its person may."""
        if not rights.may(right):
            self.say(f"this console was not given the right to {right}", bad=True)
        return not rights.may(right)

    def _confirm(self, question: str, same: str, deed: Callable[[], None]) -> None:
        if self._stage.tab.replay is not None:
            self.say("this is the past; z goes back to live first")
            return
        self._stage.push_screen(Confirm(question, same, deed))

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
                self._stage.wake()

        async def run() -> None:
            client = self._stage.feed.client
            if client is None:
                tell("the node does not answer; r tries again")
                return
            try:
                await work(client)
            except NovaError as error:
                tell(f"{error.message}; {error.fix}" if error.fix else error.message)

        self._stage.run_worker(run(), exit_on_error=False)

    def say(self, text: str, bad: bool = False) -> None:
        self._stage.say(text, bad)

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
                self._stage.exit()
            case "show" if rest:
                self.open_task(rest)
            case "cancel" if rest:
                self.ask_cancel(rest)
            case "flow" if rest:
                self.open_flow(rest)
            case "drain" if rest:
                self._with_node_named(rest, self.ask_drain)
            case "resume" if rest:
                self._with_node_named(rest, self.ask_resume)
            case "requeue" if rest:
                self.ask_requeue(rest.split())
            case "filter":
                self._stage.pane.apply_filter(filters.parse(rest), final=True)
            case "theme" if rest:
                self._theme_named(rest)
            case _ if view:
                self._stage.action_view(view)
            case _ if word in by_id:
                self._stage.call_later(self._stage.run_action, by_id[word].call)
            case _:
                self.say(f"there is no command {word!r}; ? lists them", bad=True)
        self._stage.flush()

    def _with_node_named(self, name: str, ask: Callable[[str], None]) -> None:
        nodes = self._stage.scene.world.nodes.values()
        found = [view.node for view in nodes if name == view.name or view.node.startswith(name)]
        if len(found) == 1:
            ask(found[0])
        else:
            self.say(f"{len(found)} nodes are called {name}", bad=True)

    def _theme_named(self, name: str) -> None:
        found = [known for known in themes.NAMES if known.endswith(name)]
        if found:
            self._stage.use_theme(found[0])
        else:
            self.say(f"themes: {', '.join(themes.NAMES)}", bad=True)


async def _series(client: Node, span: Span, ahead: int) -> dict[str, Series]:
    return {
        name: await client.metrics.series(name, begin=span.begin, end=span.end, ahead=ahead)
        for name in SHOWN
    }
