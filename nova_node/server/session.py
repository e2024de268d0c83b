"""Submit and Watch on one stream, for clients that do much of both.

A session hears only of its own batches, and of them only what it does not know already: not the
acceptance (that is the reply to the submit) and not each assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc.aio
from nova_proto.v1 import tasks_pb2

from nova_node.adapters.grpc_settings import abort
from nova_node.adapters.wire import failure_to_pb, groups_from_pb
from nova_node.adapters.wire_checks import check_request
from nova_node.adapters.wire_events import event_to_pb
from nova_node.core.errors import NovaError, Overloaded, Refused
from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
)
from nova_node.core.owner import SubmitAnswer
from nova_node.core.signals import (
    Submit,
)
from nova_node.ports import Journal
from nova_node.runtime import Runtime
from nova_node.server.audited import UNAUDITED, Audited
from nova_node.server.caller import caller
from nova_node.watch import Watch, size_bytes_of

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

    from nova_node.identity.mandates import Mandates

REPLY_BYTES_MAX = 4 << 20
SESSION = "/nova.v1.Tasks/Session"


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
        self._batches: set[int] = set()
        self._reply = tasks_pb2.SessionReply(owner=self._me, seq=runtime.watch.seq)
        self._unsent: list[Event] = []
        self._wake: asyncio.Future[None] | None = None
        self._too_slow = False

    async def run(self, context: Any) -> None:
        name = caller(context)
        number = self._runtime.watch.subscribe(self._offer)
        writer = asyncio.create_task(self._write(context))
        self._ring()
        try:
            while True:
                request = await context.read()
                if request is grpc.aio.EOF:
                    return
                if request.HasField("submit"):
                    self._submit(request.submit, name, context)
                elif request.HasField("resume"):
                    await self._resume(request.resume)
        finally:
            self._runtime.watch.unsubscribe(number)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _submit(self, request: tasks_pb2.SubmitRequest, name: Name | None, context: Any) -> None:
        request_id = request.request_id

        def token(answer: Any) -> None:
            if isinstance(answer, SubmitAnswer):
                self._batches.add(answer.first)
                self._reply.accepted.add(
                    request_id=request_id, owner=self._me, first=answer.first, count=answer.tasks
                )
                self._ring()
            else:
                self._refuse(request_id, answer)

        try:
            self._audited.check(SESSION)
            submit = read_submit(request, token, name, self._mandates)
            submit = self._audited.submit(context, submit)
        except NovaError as error:
            self._audited.refused(context, SESSION, error)
            self._refuse(request_id, error)
            return
        self._runtime.submit(submit)

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
        while last != watch.seq:
            last = watch.seq
            past += [e async for e in catch_up(watch, self._journal, at, last)]
            at = last + 1
        new = batches - self._batches
        self._batches |= batches
        self._offer([e for e in past if e.batch in new])

    # ------------------------------------------------------------ out

    def _offer(self, events: Sequence[Event]) -> None:
        batches = self._batches
        wanted = [
            e for e in events if e.batch in batches and not isinstance(e.fact, (Accepted, Assigned))
        ]
        if wanted:
            self._unsent.extend(wanted)
            if len(self._unsent) > self._runtime.watch.unsent_max:
                self._unsent.clear()
                self._too_slow = True
            self._ring()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _write(self, context: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._too_slow:
                await abort(context, Overloaded("the client reads too slowly", "resume", "slow"))
            reply = self._reply
            if not (self._unsent or reply.accepted or reply.refused or reply.owner):
                self._wake = loop.create_future()
                await self._wake
                continue
            self._reply = tasks_pb2.SessionReply()
            self._fill(reply)
            await context.write(reply)

    def _fill(self, reply: tasks_pb2.SessionReply) -> None:
        unsent, size_bytes, count = self._unsent, 0, 0
        for event in unsent:
            event_to_pb(event, reply.events.add())
            reply.seq = event.seq
            count += 1
            size_bytes += size_bytes_of(event)
            if size_bytes > REPLY_BYTES_MAX:
                break
        del unsent[:count]


def read_submit(
    request: tasks_pb2.SubmitRequest,
    token: Callable[[Any], None],
    name: Name | None,
    mandates: Mandates | None,
) -> Submit:
    """What a caller of this name hands in; `mandates` is None in a mesh without identity.

    Raises Invalid, or Refused when it is not signed for this node by that caller."""
    groups = groups_from_pb(request.groups)
    request_id = check_request(request.request_id)
    if mandates is None:
        return Submit(token, request_id, groups)
    if name is None:
        raise Refused("nobody hands this submit in", "show a certificate of this mesh")
    return Submit(token, request_id, groups, mandates.check_submit(request, groups, name))


async def catch_up(
    watch: Watch, journal: Journal, from_seq: int, last: int
) -> AsyncIterator[Event]:
    """Events from `from_seq` to `last`: from memory, those before from the journal."""
    recent, begin = watch.recent(from_seq)
    if from_seq < begin:
        for event in await asyncio.to_thread(lambda: list(journal.read(from_seq))):
            if event.seq < begin and event.seq <= last:
                yield event
    for event in recent:
        if event.seq <= last:
            yield event
