"""Submit and Watch on one stream, for clients that do much of both.

A session hears only of its own batches, and of them only what it does not know already: not the
acceptance (that is the reply to the submit) and not each assignment.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import grpc.aio
from nova_proto.v1 import tasks_pb2

from nova_node.adapters.wire import failure_to_pb, groups_from_pb
from nova_node.adapters.wire_checks import check_number, check_request
from nova_node.adapters.wire_events import event_to_pb
from nova_node.core.errors import NovaError, Refused
from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
    Finished,
    Requeued,
)
from nova_node.core.model import Group
from nova_node.core.owner import SubmitAnswer
from nova_node.core.signals import (
    Submit,
)
from nova_node.ports import Journal
from nova_node.runtime import Runtime
from nova_node.server.audited import UNAUDITED, Audited, Submitted
from nova_node.server.caller import caller
from nova_node.watch import Backlog, Watch, size_bytes_of

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

    from nova_node.identity.mandates import Mandates

REPLY_BYTES_MAX = 4 << 20
ANSWERS_MAX = 1_024
"""Answers that may wait for a client; until it reads them, no more is read of it."""

UNSENT_BYTES_MAX = 256 << 20
"""Of results that wait for a slow client: of small ones, half a million."""

RETURN_S = 60.0
"""So long a client whose stream broke may take to come back for results."""

LARGE_BYTES = 64 << 10
ON_THE_WAY_BYTES = 64 << 20
"""Of large results, more than can have been sent and not have come when a stream breaks."""

PAGE_EVENTS = 1_024
SESSION = "/nova.v1.Tasks/Session"


class Open:
    """A batch of which not all has ended yet, in what was sent of it."""

    def __init__(self, first: int, count: int) -> None:
        self._roots = range(first, first + count)
        self._left = count
        self.size_bytes = 0

    def ends_with(self, event: Event) -> bool:
        self.size_bytes += size_bytes_of(event)
        match event.fact:
            case Finished(outcomes):
                self._left -= sum([outcome.no in self._roots for outcome in outcomes])
            case Requeued(nos):
                self._left += sum([no in self._roots for no in nos])
            case _:
                pass
        return self._left <= 0


class Session:
    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        mandates: Mandates | None,
        audited: Audited = UNAUDITED,
    ) -> None:
        self._runtime = runtime
        self._journal = journal
        self._mandates = mandates
        self._audited = audited
        self._me = runtime.engine.me
        self._retention = runtime.engine.owner.retention
        #: those whose end the client has not been told
        self._batches: set[int] = set()
        #: of them those that were submitted here
        self._open: dict[int, Open] = {}
        #: the latest large ones that were told, and their sizes
        self._large: deque[tuple[int, int]] = deque()
        self._large_bytes = 0
        self._reply = tasks_pb2.SessionReply(owner=self._me, seq=runtime.watch.seq)
        self._unsent = Backlog(math.inf, UNSENT_BYTES_MAX)
        self._wake: asyncio.Future[None] | None = None
        self._answered = asyncio.Event()

    async def run(self, context: Any) -> None:
        """Until the client closes its side. Raises NovaError (slow)."""
        number = self._runtime.watch.subscribe(self._offer)
        sides = [asyncio.create_task(side(context)) for side in (self._read, self._write)]
        self._ring()
        try:
            ended, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in ended:
                side.result()
        finally:
            self._runtime.watch.unsubscribe(number)
            for side in sides:
                side.cancel()
            # also for what is accepted only now
            asyncio.get_running_loop().call_later(RETURN_S, self._give_up)
            await asyncio.gather(*sides, return_exceptions=True)

    def _give_up(self) -> None:
        for first in self._batches:
            self._retention.told(first)

    # ------------------------------------------------------------ in

    async def _read(self, context: Any) -> None:
        name, submitted = caller(context), self._audited.submits(context)
        while True:
            while len(self._reply.accepted) + len(self._reply.refused) >= ANSWERS_MAX:
                self._answered.clear()
                await self._answered.wait()
            request = await context.read()
            if request is grpc.aio.EOF:
                return
            if request.HasField("submit"):
                try:
                    self._submit(request.submit, name, submitted)
                except NovaError as error:
                    self._audited.refused(context, SESSION, error)
                    self._refuse(request.submit.request_id, error)
            elif request.HasField("resume"):
                await self._resume(request.resume)

    def _submit(
        self, request: tasks_pb2.SubmitRequest, name: Name | None, submitted: Submitted
    ) -> None:
        """Raises NovaError."""
        self._audited.check(SESSION)
        request_id, groups = request.request_id, groups_from_pb(request.groups)

        # nothing of the submit, which holds this: its inputs would wait in a cycle for the collector
        def token(answer: Any) -> None:
            if isinstance(answer, SubmitAnswer):
                self._expect(answer.first)
                self._open.setdefault(answer.first, Open(answer.first, answer.tasks))
                self._reply.accepted.add(
                    request_id=request_id, owner=self._me, first=answer.first, count=answer.tasks
                )
                self._ring()
                submitted(groups, answer)
            else:
                self._refuse(request_id, answer)

        self._runtime.submit(read_submit(request, groups, token, name, self._mandates))

    def _refuse(self, request_id: str, error: NovaError) -> None:
        refused = self._reply.refused.add(request_id=request_id[:64])
        failure_to_pb(error.failure(), refused.error)
        self._ring()

    async def _resume(self, request: tasks_pb2.WatchRequest) -> None:
        if request.owner and request.owner != self._me:
            self._refuse("", Refused(f"node {request.owner} owns these, this is {self._me}"))
            return
        watch, batches = self._runtime.watch, set(request.batches)
        tasks = self._runtime.engine.tasks
        if any(first not in tasks.batches for first in batches):
            gone = NovaError(
                "some of these batches are no longer kept", "get each task", "out_of_range"
            )
            self._refuse("", gone)
        # until nothing was announced while the journal was read: from then on events come live
        at, last = request.from_seq or 1, -1
        past: list[Event] = []
        new = batches - self._batches
        while last != watch.seq:
            last = watch.seq
            async for events in catch_up(watch, self._journal, at, last):
                past += [e for e in events if e.batch in new]
            at = last + 1
        for first in new:
            self._expect(first)
        self._offer(past)

    def _expect(self, first: int) -> None:
        if first not in self._batches:
            self._batches.add(first)
            self._retention.awaited(first)

    # ------------------------------------------------------------ out

    def _offer(self, events: Sequence[Event]) -> None:
        batches = self._batches
        wanted = [
            e for e in events if e.batch in batches and not isinstance(e.fact, (Accepted, Assigned))
        ]
        if wanted:
            self._unsent.add(wanted)
            self._ring()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _write(self, context: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            reply = self._reply
            if not (self._unsent or reply.accepted or reply.refused or reply.owner):
                self._wake = loop.create_future()
                await self._wake
                continue
            self._reply = tasks_pb2.SessionReply()
            self._answered.set()
            told: list[tuple[int, int]] = []
            for event in self._unsent.take(REPLY_BYTES_MAX):
                event_to_pb(event, reply.events.add())
                reply.seq = event.seq
                batch = self._open.get(event.batch)
                if batch is not None and batch.ends_with(event):
                    del self._open[event.batch]
                    told.append((event.batch, batch.size_bytes))
            await context.write(reply)
            for first, size_bytes in told:
                self._batches.discard(first)
                self._retention.told(first)
                if size_bytes >= LARGE_BYTES:
                    self._let_go_before(first, size_bytes)

    def _let_go_before(self, first: int, size_bytes: int) -> None:
        """Of those that must have come, now that this one was sent too."""
        large = self._large
        large.append((first, size_bytes))
        self._large_bytes += size_bytes
        while self._large_bytes - large[0][1] >= ON_THE_WAY_BYTES:
            came, size_bytes = large.popleft()
            self._large_bytes -= size_bytes
            self._retention.let_go(came)


def read_submit(
    request: tasks_pb2.SubmitRequest,
    groups: tuple[Group, ...],
    token: Callable[[Any], None],
    name: Name | None,
    mandates: Mandates | None,
) -> Submit:
    """What a caller of this name hands in, `groups` of it read already; `mandates` is None in a mesh
    without identity.

    Raises Invalid, or Refused when it is not signed for this node by that caller."""
    request_id = check_request(request.request_id)
    budget_uusd = check_number(request.budget_uusd, "the budget")
    if mandates is None:
        return Submit(token, request_id, groups, None, budget_uusd)
    if name is None:
        raise Refused("nobody hands this submit in", "show a certificate of this mesh")
    mandate = mandates.check_submit(request, groups, name)
    return Submit(token, request_id, groups, mandate, budget_uusd)


async def catch_up(
    watch: Watch, journal: Journal, from_seq: int, last: int
) -> AsyncIterator[Sequence[Event]]:
    """Events from `from_seq` to `last`, some at a time: from memory, those before from the journal."""
    recent, begin = watch.recent(from_seq)
    at = from_seq
    while at < begin and (page := await asyncio.to_thread(_page, journal, at)):
        at = page[-1].seq + 1
        if past := [e for e in page if e.seq < begin and e.seq <= last]:
            yield past
    if now := [e for e in recent if e.seq <= last]:
        yield now


def _page(journal: Journal, from_seq: int) -> list[Event]:
    """Some events, about as many as fit one reply, one at least unless there is none."""
    page: list[Event] = []
    size_bytes = 0
    for event in islice(journal.read(from_seq), PAGE_EVENTS):
        page.append(event)
        size_bytes += size_bytes_of(event)
        if size_bytes > REPLY_BYTES_MAX:
            break
    return page
