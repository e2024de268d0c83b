"""All about one task, asked anew while it goes on, with its output as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing

from nova_client import NotFound, NovaError
from nova_client.model import Explanation, LogLine, TaskView

from nova_console.app import task_lines
from nova_console.app.canvas import Line
from nova_console.app.feed import Node
from nova_console.app.pane import Desk
from nova_console.app.sheet import Sheet
from nova_console.app.tab import Scene
from nova_console.app.task_row import ENDED
from nova_console.cli.output import escape_line

ASK_EVERY_S = 1.0
OUTPUT_MAX = task_lines.SHOWN_LINES


class TaskSheet(Sheet):
    """`client` gives the node asked, None while it is lost; `changed` has the sheet shown anew."""

    keys = (("c", "cancel"), ("a", "run again"), ("w", "flow"), ("r", "explain anew"))

    def __init__(
        self, id: str, desk: Desk, client: Callable[[], Node | None], changed: Callable[[], None]
    ) -> None:
        super().__init__(f"Tasks ▸ {id}", ("show", id))
        self._id = id
        self._desk = desk
        self._client = client
        self._changed = changed
        self._view: TaskView | None = None
        self._explanation: Explanation | None = None
        self._error = ""
        #: only the history knows it
        self._is_past = False
        self._output: deque[LogLine] = deque(maxlen=OUTPUT_MAX)

    def on_mount(self) -> None:
        self.run_worker(self._ask(), exit_on_error=False)
        self.run_worker(self._listen(), exit_on_error=False)

    async def _ask(self) -> None:
        """Until it has ended and was explained."""
        while True:
            client = self._client()
            try:
                if client is not None:
                    self._view = await client.get(self._id)
                    self._explanation = await client.explain(self._id)
                    self._error, self._is_past = "", False
            except NotFound as error:
                await self._recall(client, error)
            except NovaError as error:
                self._error = f"{error.message}; {error.fix}"
            self._changed()
            if self._view is not None and self._view.status in ENDED and not self._error:
                return
            await asyncio.sleep(ASK_EVERY_S)

    async def _recall(self, client: Node | None, error: NovaError) -> None:
        """Its owner does not know it: perhaps the history does."""
        self._error = f"{error.message}; {error.fix}"
        if client is None:
            return
        try:
            page = await client.metrics.ends(self._id)
        except NovaError as unasked:
            self._error += f"; and the history: {unasked.message}"
            return
        if page.tasks:
            self._view, self._is_past, self._error = page.tasks[0].view(), True, ""
        for one in page.missing:
            self._error += f"; no answer from the history of {one.name}: {one.message}"

    async def _listen(self) -> None:
        client = self._client()
        if client is None:
            return
        try:
            async with aclosing(client.logs(self._id, follow=True)) as lines:
                async for line in lines:
                    self._output.append(line)
                    self._changed()
        except NovaError:
            return  # the page tells of it already

    def lines(self, scene: Scene, width: int) -> list[Line]:
        said: list[Line] = []
        if self._error:
            said.append([(f"✖ {escape_line(self._error)}", "down")])
        if scene.mode == "REPLAY":
            said.append([("as it is now: a replay keeps no arguments or results", "suspect")])
        if self._view is None:
            return said or [[("… asking", "dim")]]
        now = scene.world.heard_at if scene.mode == "REPLAY" else scene.now
        if self._is_past:
            return said + task_lines.past_page(scene.world, self._view, now, width)
        return said + task_lines.page(
            scene.world, self._view, self._explanation, list(self._output), now, width
        )

    # ------------------------------------------------------------ actions

    def do_refresh(self) -> None:
        self.run_worker(self._ask(), exit_on_error=False)

    def do_cancel(self) -> None:
        if self._view is not None and self._view.status in ENDED:
            self._desk.say(f"{self._id} has ended already")
        else:
            self._desk.ask_cancel(self._id)

    def do_again(self) -> None:
        self._desk.open_again(self._id)

    def do_flow(self) -> None:
        self._desk.open_flow(self._id)
