"""Service Tasks: what clients ask. A task of another owner is asked of that owner."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import grpc.aio
from nova_proto.v1 import tasks_pb2
from nova_proto.v1.tasks_pb2_grpc import TasksServicer

from nova_node.adapters.grpc_settings import abort, from_rpc
from nova_node.adapters.peers_grpc import Stubs
from nova_node.adapters.wire import failure_to_pb, groups_from_pb
from nova_node.adapters.wire_events import event_to_pb
from nova_node.core.errors import Invalid, NotFound, NovaError, Refused
from nova_node.core.events import (
    Event,
    Output,
)
from nova_node.core.explain import explain
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import TAG_LENGTH, Status, task_id
from nova_node.core.owner import SubmitAnswer
from nova_node.core.signals import (
    Cancel,
    Requeue,
    Submit,
)
from nova_node.core.tasks import Task
from nova_node.ports import Clock, Journal
from nova_node.runtime import Runtime
from nova_node.server.audited import UNAUDITED, Audited
from nova_node.server.caller import caller
from nova_node.server.listing import list_children, list_tasks
from nova_node.server.session import REPLY_BYTES_MAX, Session, catch_up, read_submit
from nova_node.server.views import explanation_view, task_view
from nova_node.watch import Backlog, size_bytes_of

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

    from nova_node.identity.mandates import Mandates

log = logging.getLogger("nova.server")

REQUEUE_MAX = 1_000
FORWARD_TIMEOUT_S = 5.0
LOG_LINES_A_REPLY = 256

_NUMBER = re.compile(r"[0-9]{1,16}")


class TasksService(TasksServicer):
    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        clock: Clock,
        stubs: Callable[[str], Stubs],
        mandates: Mandates | None = None,
        audited: Audited = UNAUDITED,
    ) -> None:
        """`mandates` is None in a mesh without identity."""
        self._runtime = runtime
        self._journal = journal
        self._clock = clock
        self._stubs = stubs
        self._mandates = mandates
        self._audited = audited
        self._me = runtime.engine.me

    # ------------------------------------------------------------ submit and watch

    async def Submit(self, request: tasks_pb2.SubmitRequest, context: Any) -> tasks_pb2.SubmitReply:
        name, submitted = caller(context), self._audited.submits(context)

        def ask(token: Callable[[Any], None]) -> Submit:
            groups = groups_from_pb(request.groups)

            def answered(answer: Any) -> None:
                if isinstance(answer, SubmitAnswer):
                    submitted(groups, answer)
                token(answer)

            return read_submit(request, groups, answered, name, self._mandates)

        try:
            answer = await self._ask(ask)
        except NovaError as error:
            self._audited.refused(context, "/nova.v1.Tasks/Submit", error)
            await abort(context, error)
        assert isinstance(answer, SubmitAnswer)
        return tasks_pb2.SubmitReply(
            request_id=request.request_id, owner=self._me, first=answer.first, count=answer.tasks
        )

    async def Session(self, request_iterator: Any, context: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        session = Session(self._runtime, self._journal, self._mandates, self._audited)
        try:
            await session.run(context)
        except NovaError as error:
            await abort(context, error)

    async def Watch(
        self, request: tasks_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[tasks_pb2.WatchReply]:
        batches = frozenset(request.batches)
        try:
            async for events in self._follow(request.from_seq):
                for piece in _pieces(events):
                    reply = tasks_pb2.WatchReply(seq=piece[-1].seq)
                    for event in piece:
                        if not batches or event.batch in batches:
                            event_to_pb(event, reply.events.add())
                    yield reply
        except NovaError as error:
            await abort(context, error)

    async def _follow(self, from_seq: int) -> AsyncIterator[Sequence[Event]]:
        """Events from `from_seq` on (0: from now on), for ever."""
        watch = self._runtime.watch
        unsent, wake = Backlog(watch.unsent_max), asyncio.Event()

        def offer(events: Sequence[Event]) -> None:
            unsent.add(events)
            wake.set()

        number = watch.subscribe(offer)
        last = watch.seq
        try:
            if from_seq:
                async for past in catch_up(watch, self._journal, from_seq, last):
                    yield past
            while True:
                await wake.wait()
                wake.clear()
                while unsent:
                    yield unsent.take(REPLY_BYTES_MAX)
        finally:
            watch.unsubscribe(number)

    async def _ask(self, signal: Callable[[Any], Any]) -> Any:
        """The engine's answer, once it is durable. Raises the error it refuses with."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def token(said: Any) -> None:
            if not answer.done():
                answer.set_result(said)

        asked = signal(token)
        if isinstance(asked, Submit):
            self._runtime.submit(asked)
        else:
            self._runtime.post(asked)
        said = await answer
        if isinstance(said, NovaError):
            raise said
        return said

    # ------------------------------------------------------------ one task

    async def Get(self, request: tasks_pb2.GetRequest, context: Any) -> tasks_pb2.TaskView:
        try:
            task, peer = self._find(request.id)
            if peer is not None:
                return await peer.tasks.Get(request, timeout=FORWARD_TIMEOUT_S)
            assert task is not None
            return task_view(self._me, task, full=True)
        except NovaError as error:
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))

    async def Cancel(self, request: tasks_pb2.CancelRequest, context: Any) -> tasks_pb2.CancelReply:
        try:
            task, peer = self._find(request.id)
            name = caller(context)
            if peer is not None:
                if name is not None:
                    raise _not_here(request.id)
                return await peer.tasks.Cancel(request, timeout=FORWARD_TIMEOUT_S)
            assert task is not None
            if name is not None:
                _check_own(task, name)
            no = task.no
            status: Status = await self._ask(lambda token: Cancel(token, no))
            self._audited.note(context, "cancel", request.id)
        except NovaError as error:
            self._audited.refused(context, "/nova.v1.Tasks/Cancel", error)
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))
        reply = tasks_pb2.CancelReply()
        reply.status = status  # pyright: ignore[reportAttributeAccessIssue]
        return reply

    async def Requeue(
        self, request: tasks_pb2.RequeueRequest, context: Any
    ) -> tasks_pb2.RequeueReply:
        ids, name = list(dict.fromkeys(request.ids)), caller(context)
        reply = tasks_pb2.RequeueReply()
        try:
            nos, peer = self._locate_all(ids)
            if peer is not None:
                if name is not None:
                    raise _not_here(ids[0])
                return await peer.tasks.Requeue(request, timeout=FORWARD_TIMEOUT_S)
            if name is not None:
                for no in nos:
                    if (task := self._runtime.engine.tasks.by_no.get(no)) is not None:
                        _check_own(task, name)
            answers: list[Status | NovaError] = await self._ask(lambda token: Requeue(token, nos))
        except NovaError as error:
            self._audited.refused(context, "/nova.v1.Tasks/Requeue", error)
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))
        for id_, answer in zip(ids, answers, strict=True):
            said = reply.tasks.add(id=id_)
            if isinstance(answer, NovaError):
                failure_to_pb(answer.failure(), said.error)
            else:
                said.status = answer  # pyright: ignore[reportAttributeAccessIssue]
                self._audited.note(context, "requeue", id_)
        return reply

    async def Explain(
        self, request: tasks_pb2.ExplainRequest, context: Any
    ) -> tasks_pb2.Explanation:
        try:
            task, peer = self._find(request.id)
            if peer is not None:
                return await peer.tasks.Explain(request, timeout=FORWARD_TIMEOUT_S)
            assert task is not None
        except NovaError as error:
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))
        names = {m.member.node: m.member.name for m in self._runtime.membership.members.values()}
        why = explain(self._runtime.engine.owner, task, self._clock.now())
        return explanation_view(request.id, why, names)

    def _find(self, id_: str) -> tuple[Task | None, Stubs | None]:
        """The task, or where to ask for it. Raises Invalid or NotFound."""
        no, peer = self._locate(id_)
        if peer is not None:
            return None, peer
        task = self._runtime.engine.tasks.by_no.get(no)
        if task is None:
            raise NotFound(f"no task {id_}", "it may be too old to be kept; see `nova tasks`")
        return task, None

    def _locate_all(self, ids: Sequence[str]) -> tuple[list[int], Stubs | None]:
        """The numbers of tasks of one owner, and that owner unless it is this node. Raises Invalid
        or NotFound."""
        if not 1 <= len(ids) <= REQUEUE_MAX:
            raise Invalid(f"{len(ids)} ids", f"name 1 to {REQUEUE_MAX:,} tasks at a time")
        if len({id_.rpartition("-")[0] for id_ in ids}) > 1:
            raise Invalid("these tasks have several owners", "ask for the tasks of one at a time")
        places = [self._locate(id_) for id_ in ids]
        return [no for no, _ in places], places[0][1]

    def _locate(self, id_: str) -> tuple[int, Stubs | None]:
        """A task's number, and its owner unless that is this node. Raises Invalid or NotFound."""
        tag, dash, number = id_.rpartition("-")
        if not dash or len(tag) != TAG_LENGTH or not _NUMBER.fullmatch(number):
            raise Invalid(f"not a task id: {id_[:80]!r}", "an id looks like k7q2m9xd-42")
        if tag == self._me[:TAG_LENGTH]:
            return int(number), None
        for seen in self._runtime.membership.members.values():
            if seen.member.node.startswith(tag):
                return int(number), self._stubs(seen.member.address)
        raise NotFound(f"no node {tag} is known, so no task {id_}", "see `nova nodes`")

    # ------------------------------------------------------------ lists and logs

    async def List(self, request: tasks_pb2.ListRequest, context: Any) -> tasks_pb2.ListReply:
        if not request.parent:
            return await list_tasks(self._runtime, self._stubs, request)
        try:
            task, peer = self._find(request.parent)
            if peer is not None:
                return await peer.tasks.List(request, timeout=FORWARD_TIMEOUT_S)
            assert task is not None
            return await list_children(self._runtime, task, request)
        except NovaError as error:
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))

    async def Logs(
        self, request: tasks_pb2.LogsRequest, context: Any
    ) -> AsyncIterator[tasks_pb2.LogsReply]:
        try:
            task, peer = self._find(request.id)
            if peer is not None:
                async for reply in peer.tasks.Logs(request):
                    yield reply
                return
            assert task is not None
            async for reply in self._logs(task, request.follow):
                yield reply
        except NovaError as error:
            await abort(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, from_rpc(error, "the owner"))

    async def _logs(self, task: Task, follow: bool) -> AsyncIterator[tasks_pb2.LogsReply]:
        batch, numbers = task.batch, _family(task)
        written = await asyncio.to_thread(lambda: list(self._journal.read(0, batch.first)))
        recent = self._runtime.watch.everything()
        seen = {event.seq for event in written}
        past = written + [e for e in recent if e.batch == batch.first and e.seq not in seen]
        last = max((e.seq for e in past), default=0)
        for reply in self._log_replies(past, numbers):
            yield reply
        if not follow or task.status in ENDED:
            return
        async for events in self._follow(last + 1 if last else 0):
            numbers = _family(task)
            for reply in self._log_replies([e for e in events if e.batch == batch.first], numbers):
                yield reply
            if task.status in ENDED:
                return

    def _log_replies(self, events: Sequence[Event], numbers: set[int]) -> list[tasks_pb2.LogsReply]:
        replies: list[tasks_pb2.LogsReply] = []
        for event in events:
            if not isinstance(event.fact, Output) or event.fact.said.no not in numbers:
                continue
            if not replies or len(replies[-1].lines) >= LOG_LINES_A_REPLY:
                replies.append(tasks_pb2.LogsReply())
            said = event.fact.said
            replies[-1].lines.add(
                id=task_id(self._me, said.no),
                attempt=said.attempt,
                stderr=said.stderr,
                text=said.text,
                time=event.time,
            )
        return replies


def _not_here(id_: str) -> Refused:
    """The owner has to see who asks, not who passes it on."""
    return Refused(f"another node owns task {id_}", "ask its owner: `nova` and the SDK do")


def _check_own(task: Task, name: Name) -> None:
    """Raises Refused."""
    submitter = task.batch.submitter
    if name.role != "admin" and name.short != submitter:
        raise Refused(
            f"task {task.no} is of {submitter or 'nobody'}, not of {name.short}",
            "ask its submitter or an admin",
            "forbidden",
        )


def _pieces(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """In order, each small enough for one message."""
    piece: list[Event] = []
    size_bytes = 0
    for event in events:
        size_bytes += size_bytes_of(event)
        if piece and size_bytes > REPLY_BYTES_MAX:
            yield piece
            piece, size_bytes = [], size_bytes_of(event)
        piece.append(event)
    yield piece


def _family(task: Task) -> set[int]:
    return {task.no, *(child.no for child in task.children or ())}
