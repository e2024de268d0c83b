"""What keeps the console fed: one task that asks a node, watches it and its peers, and never gives up.

It only hands inputs over, in the event loop, and folds nothing. A node that goes away is an input
(`Lost`), not an error; it is asked again with jitter, or at once when somebody says so.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Protocol

from nova_client import Client, Event, Invalid, NovaError, Status, Unreachable
from nova_client.ended import EndedPage
from nova_client.filters import Filter
from nova_client.metrics import Series, Table, Top
from nova_client.model import (
    Capability,
    Explanation,
    LogLine,
    NodeList,
    NodeStatus,
    Requeued,
    TaskList,
    TaskView,
)

from nova_console.app.inputs import Blind, Input, Joined, Listed, Looked, Lost, Told

LOOK_EVERY_S, LOOK_QUIET_S = 1.0, 2.0
QUIET_S = 10.0
"""Without an event; what happens is told at once all the same."""
PEER_LOOK_EVERY_S = 3.0
LIST_EVERY_S, LIST_QUIET_S = 30.0, 300.0
LISTED_MAX = 1_000
BACK_EVENTS = 2_000
EVENTS_AT_ONCE = 16
"""Of each node that is watched, before whatever else waits has its turn."""
PEERS_MAX = 24
"""So many are watched beside the node asked; of the others the node itself tells."""
ASK_TIMEOUT_S = 5.0
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 15.0


class Records(Protocol):
    """What the nodes recorded, as a client asks for it."""

    async def sql(self, sql: str) -> Table: ...
    async def ended(
        self, wanted: Filter, *, children: bool, limit: int, before: str, names: Mapping[str, str]
    ) -> EndedPage: ...
    async def ends(self, id: str) -> EndedPage: ...
    async def top(self) -> Top: ...
    async def series(
        self, series: str, *, begin: float = 0.0, end: float = 0.0, ahead: int = 0
    ) -> Series: ...


class Node(Protocol):
    """What of a client is used here."""

    node: str
    address: str

    @property
    def metrics(self) -> Records: ...

    def watch(self, from_seq: int = 0) -> AsyncGenerator[Event, None]: ...
    def logs(self, id: str, follow: bool = False) -> AsyncGenerator[LogLine, None]: ...
    async def nodes(self) -> NodeList: ...
    async def status(self) -> NodeStatus: ...
    async def capabilities(self) -> tuple[Capability, ...]: ...
    async def list_tasks(
        self,
        *,
        statuses: Iterable[Status] = (),
        capability: str = "",
        limit: int = 100,
        children: bool = False,
        journaled: bool = False,
    ) -> TaskList: ...
    async def get(self, id: str) -> TaskView: ...
    async def explain(self, id: str) -> Explanation: ...
    async def cancel(self, id: str) -> Status: ...
    async def requeue_many(self, ids: Iterable[str]) -> tuple[Requeued, ...]: ...
    async def resume(self) -> bool: ...
    async def drain(self, *, stay: bool = False, timeout_s: float = 60.0) -> int: ...
    async def submit(self, capability: str, args: Any = None, **options: Any) -> Any: ...


Opener = Callable[[str], AbstractAsyncContextManager[Node]]


def open_client(address: str) -> AbstractAsyncContextManager[Node]:
    """At "" the node of this machine, as everywhere in `nova`."""
    return Client(address or None, timeout_s=ASK_TIMEOUT_S, give_up_s=0.0)


class Feed:
    """Of one mesh, beginning at `address`. `put` takes what it hears."""

    def __init__(
        self,
        address: str,
        put: Callable[[Input], None],
        clock: Callable[[], float],
        opener: Opener = open_client,
    ) -> None:
        self.address = address
        #: open while the node answers
        self.client: Node | None = None
        self._put = put
        self._clock = clock
        self._opener = opener
        #: where it was last, or is to be next
        self._joined = ""
        self._again = asyncio.Event()
        self._leave = asyncio.Event()
        self._known: dict[str, str] = {}
        self._told_at = time.monotonic()
        self._watching: dict[str, asyncio.Task[None]] = {}

    def retry(self) -> None:
        """Ask now: the node when it is lost, its tasks when it is not."""
        self._again.set()

    def other(self) -> str:
        """The next address known of the mesh, to ask instead; the same when there is no other."""
        now = self._joined or self.address
        addresses = sorted({*self._known.values(), now})
        self.address = self._joined = addresses[(addresses.index(now) + 1) % len(addresses)]
        self._leave.set()
        self.retry()
        return self.address

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.to_thread(importlib.import_module, "nova_client.session")  # loads grpc
        failures = 0
        while True:
            lost: Exception | None = None
            try:
                async with self._opener(self.address) as client:
                    failures = 0
                    await self._follow(client)
            except* Exception as group:
                lost = _first(group)
            self.client = None
            if self._leave.is_set():
                self._leave.clear()
                continue
            delay_s = random.uniform(0.5, 1.0) * min(RETRY_MAX_S, RETRY_FIRST_S * 2**failures)
            failures = min(failures + 1, 10)
            now = self._clock()
            self._put(Lost(now, self.address, _message(lost), _fix(lost), now + delay_s))
            await self._wait(delay_s)

    async def _wait(self, delay_s: float) -> None:
        self._again.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._again.wait()
        except TimeoutError:
            return

    async def _follow(self, client: Node) -> None:
        self.client, self._joined = client, client.address
        self._put(Joined(self._clock(), client.address, client.node))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(client))
                group.create_task(self._list(client))
                group.create_task(self._look(client, group))
                await self._leave.wait()
                raise Unreachable("another node was chosen")
        finally:
            self._watching.clear()

    # ------------------------------------------------------------ the node asked

    async def _watch(self, client: Node) -> None:
        """From some way back, so that there is a past to show."""
        seq = (await client.status()).seq
        from_seq = max(1, seq - BACK_EVENTS)
        while True:
            try:
                async with aclosing(client.watch(from_seq)) as events:
                    async for event in events:
                        from_seq, self._told_at = event.seq + 1, time.monotonic()
                        self._put(Told(event.time, event))
                        if from_seq % EVENTS_AT_ONCE == 0:
                            await asyncio.sleep(0)  # a key that was typed goes first
            except Invalid:
                from_seq = 0  # compacted that far back: from now on

    async def _list(self, client: Node) -> None:
        """Less and less often while nothing changes."""
        before, pause_s = None, LIST_EVERY_S
        while True:
            page = await client.list_tasks(limit=LISTED_MAX)
            self._put(Listed(self._clock(), page, of_all=True))
            pause_s = min(LIST_QUIET_S, 2 * pause_s) if page == before else LIST_EVERY_S
            before = page
            await self._wait(pause_s)

    async def _look(self, client: Node, group: asyncio.TaskGroup) -> None:
        while True:
            seen = await client.nodes()
            self._put(Looked(self._clock(), client.node, seen))
            self._known = {view.node: view.address for view in seen.nodes if view.address}
            self._mind_peers(client, seen, group)
            quiet = time.monotonic() - self._told_at > QUIET_S
            await asyncio.sleep(LOOK_QUIET_S if quiet else LOOK_EVERY_S)

    # ------------------------------------------------------------ its peers

    def _mind_peers(self, client: Node, seen: NodeList, group: asyncio.TaskGroup) -> None:
        alive = [v for v in seen.nodes if v.state in ("alive", "suspect") and v.node != client.node]
        for view in alive[:PEERS_MAX]:
            task = self._watching.get(view.node)
            if task is None or task.done():
                self._watching[view.node] = group.create_task(self._peer(view.node, view.address))

    async def _peer(self, node: str, address: str) -> None:
        """Its own view and its own tasks, while it answers; whatever is wrong with it stays here."""
        why = "it ended the connection"
        try:
            async with self._opener(address) as client, asyncio.TaskGroup() as group:
                group.create_task(self._watch(client))
                group.create_task(self._look_from(client))
        except* Exception as found:
            why = _message(_first(found))
        self._put(Blind(self._clock(), node, why))
        await asyncio.sleep(random.uniform(0.5, 1.0) * PEER_LOOK_EVERY_S)

    async def _look_from(self, client: Node) -> None:
        while True:
            self._put(Looked(self._clock(), client.node, await client.nodes()))
            await asyncio.sleep(PEER_LOOK_EVERY_S)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """What went wrong first, out of its groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error


def _message(error: Exception | None) -> str:
    match error:
        case None:
            return "the node ended the connection"
        case NovaError():
            return error.message
        case _:
            return f"{type(error).__name__}: {error}"


def _fix(error: Exception | None) -> str:
    return error.fix if isinstance(error, NovaError) else ""
