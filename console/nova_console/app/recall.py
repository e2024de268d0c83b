"""Tasks that a filter asks for and that are not kept here: of the nodes' lists, and of their history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nova_client import Status, ended, filters
from nova_client.ended import ENDED, OPEN
from nova_client.filters import Filter

from nova_console.app.feed import Node
from nova_console.app.inputs import Input, Listed, Recalled, Recalling
from nova_console.app.model import TASKS_MAX, World

PAGE = 1_000
PAGES_MAX = 2 * TASKS_MAX // PAGE
"""In one go, while all that a page tells of is kept here anyway."""


class Recall:
    """Of one mesh: what it hears it puts, with the time of the clock."""

    def __init__(
        self, world: World, put: Callable[[Input], None], clock: Callable[[], float]
    ) -> None:
        self._world = world
        self._put = put
        self._clock = clock

    def begin(self, wanted: Filter, older: bool) -> None:
        """To be told before it is asked, so that nobody asks twice."""
        before = self._world.past.next if older else ""
        self._put(Recalling(self._clock(), wanted.text, before))

    async def ask(self, client: Node, wanted: Filter, older: bool) -> None:
        """The newest that match, those that are open and those still kept too; or the next page."""
        if older or not wanted:
            await self._pages(client, wanted, 0)
            return
        open_total, _ = await asyncio.gather(
            self._list(client, wanted, OPEN), self._list(client, wanted, ENDED)
        )
        await self._pages(client, wanted, open_total)

    async def _list(self, client: Node, wanted: Filter, among: tuple[Status, ...]) -> int:
        """How many there are, so far as nodes can tell what matches."""
        statuses = ended.narrowed(wanted, among)
        if not statuses:
            return 0
        page = await client.list_tasks(
            statuses=statuses,
            capability=filters.whole_capability(wanted),
            limit=PAGE,
            children=with_parts(wanted),
        )
        self._put(Listed(self._clock(), page, of_all=False))
        return page.total if all(term.field == "status" for term in wanted.terms) else 0

    async def _pages(self, client: Node, wanted: Filter, open_total: int) -> None:
        """Until one tells of a task that is not kept here, or there are no more."""
        world = self._world
        for _ in range(PAGES_MAX):
            before = world.past.next
            if world.past.text != wanted.text:
                return
            page = await client.metrics.ended(
                wanted,
                children=with_parts(wanted),
                limit=PAGE,
                before=before,
                names={view.node: view.name for view in world.nodes.values()},
            )
            self._put(Recalled(self._clock(), wanted.text, before, page, open_total))
            is_new = any(task.id not in world.tasks for task in page.tasks)
            if is_new or not page.next:
                return
            self.begin(wanted, older=True)


def with_parts(wanted: Filter) -> bool:
    """Whether parts of tasks are asked for too."""
    return bool(wanted.value("phase"))
