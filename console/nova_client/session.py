"""Submits and their results over one long-lived stream.

A stream that breaks is opened again; `resume` continues the events where they stopped, and submits
without an answer are sent again under the same request id, which the node takes only once. What
cannot be resumed (compacted history, another node at the address) is asked for task by task.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from nova_proto.v1 import event_pb2, nodes_pb2, task_pb2, tasks_pb2

from nova_client import backoff, channel, decode, errors
from nova_client.model import task_id
from nova_client.task import Batch

UNANSWERED_MAX = 64
CALL_TIMEOUT_S = 10.0
STALLED_S = 60.0

_ENDED = (task_pb2.DONE, task_pb2.FAILED, task_pb2.CANCELLED)


class Session:
    """`owner` is the id of the node at the other end of `wire`; after `give_up_s` without an answer
    whoever waits gets Unreachable. `sign` signs a submit for an owner each time it is sent, since a
    signature soon counts no more."""

    def __init__(
        self,
        wire: channel.Wire,
        owner: str,
        give_up_s: float,
        sign: Callable[[tasks_pb2.SubmitRequest, str], None],
    ) -> None:
        self._wire = wire
        self._owner = owner
        self._give_up_s = give_up_s
        self._sign = sign
        self._seq = 0
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._helpers: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[Any] | None = None
        self._room = asyncio.Semaphore(UNANSWERED_MAX)
        #: by request id: submits without an answer
        self._pending: dict[str, Batch] = {}
        #: by owner and first number: accepted, with unfinished tasks
        self._batches: dict[tuple[str, int], Batch] = {}
        #: of answers and results; overload without any is given up in the end
        self._moves = 0
        self._replies = 0
        self._closed = False

    async def submit(self, batch: Batch, patient: bool = True) -> None:
        """Returns when the batch is accepted. A full node is asked again until it has room.

        Raises what the node refused it with, Overloaded after 60 s in which nothing moved (at once
        unless `patient`), or Unreachable."""
        attempt, moves, stalled_at = 0, self._moves, time.monotonic() + STALLED_S
        while True:
            try:
                async with self._room:
                    await self._ask(batch)
                return
            except errors.Overloaded:
                if not patient:
                    raise
                if moves != self._moves:
                    moves, stalled_at, attempt = self._moves, time.monotonic() + STALLED_S, 0
                elif time.monotonic() > stalled_at:
                    raise
            await asyncio.sleep(backoff.delay_s(attempt))
            attempt += 1

    async def _ask(self, batch: Batch) -> None:
        assert batch.request is not None
        if self._closed:
            raise _closed()
        batch.answer = asyncio.get_running_loop().create_future()
        request_id = batch.request.submit.request_id
        self._pending[request_id] = batch
        batch.times_sent = 0
        if self._reader is None or self._reader.done():
            self.listen()
        try:
            if self._call is not None:
                await self._write(self._call, batch)
            await batch.answer
        except asyncio.CancelledError:
            self._pending.pop(request_id, None)
            raise

    def listen(self) -> None:
        """Have the stream open while anything is expected of it."""
        if self._reader is None or self._reader.done():
            first = None
            if not self._batches:
                first = self._call = self._wire.tasks.Session()
            self._reader = asyncio.create_task(self._run(first))

    async def close(self) -> None:
        self._closed = True
        tasks = [*self._helpers] + ([self._reader] if self._reader else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._call is not None:  # its reader never began
            self._end(self._call)
        self._fail(_closed())

    # ------------------------------------------------------------ the stream

    async def _run(self, call: Any) -> None:
        attempt, down_at, age = 0, 0.0, self._wire.age
        while True:
            replies = self._replies
            try:
                if call is None:
                    age = self._wire.age
                    call = await self._reopen()
                await self._read(call)
            except channel.RpcError as error:
                cause = self._wire.error(error, age)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                cause = errors.Unreachable("a submit was cancelled while it was written")
            else:
                cause = errors.Unreachable(f"the node at {self._wire.address} ended the session")
            finally:
                if call is not None:
                    self._end(call)
            call = None
            if not self._pending and not self._batches:
                return
            now = time.monotonic()
            if replies != self._replies or not down_at:
                attempt, down_at = 0, now
            if _is_final(cause) or now - down_at > self._give_up_s:
                self._fail(cause)
                return
            attempt += 1
            await asyncio.sleep(backoff.delay_s(attempt))

    async def _reopen(self) -> Any:
        status = await self._wire.nodes.Status(nodes_pb2.StatusRequest(), timeout=CALL_TIMEOUT_S)
        self._meet(status.node.member.node)
        call = self._wire.tasks.Session()
        self._spawn(self._rewrite(call))
        return call

    async def _rewrite(self, call: Any) -> None:
        """Resume, and only then let submits through: those without an answer first."""
        numbers = [first for owner, first in self._batches if owner == self._owner]
        async with self._writing:
            if numbers:
                resume = tasks_pb2.WatchRequest(
                    from_seq=self._seq + 1, batches=numbers, owner=self._owner
                )
                await self._send(call, tasks_pb2.SessionRequest(resume=resume))
            self._call = call
        for batch in [*self._pending.values()]:
            await self._write(call, batch)

    async def _write(self, call: Any, batch: Batch) -> None:
        async with self._writing:
            if call is not self._call or batch.request is None:
                return
            batch.times_sent += 1
            self._sign(batch.request.submit, self._owner)
            await self._send(call, batch.request)

    async def _send(self, call: Any, message: tasks_pb2.SessionRequest) -> None:
        """One at a time. A write that fails is made up for when the stream is open again."""
        writer = self._writer = asyncio.current_task()
        assert writer is not None
        try:
            with contextlib.suppress(channel.RpcError, asyncio.InvalidStateError):
                await call.write(message)
        except asyncio.CancelledError:
            if self._writer is writer or writer.uncancel():
                raise
        finally:
            self._writer = None

    def _end(self, call: Any) -> None:
        """A write to a stream that never opened would wait for ever: gRPC does not end it."""
        self._call = None
        call.cancel()
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None

    async def _read(self, call: Any) -> None:
        batches = self._batches
        while (reply := await call.read()) is not channel.EOF:
            self._replies += 1
            for accepted in reply.accepted:
                self._accept(accepted)
            for refused in reply.refused:
                self._refuse(refused)
            owner = self._owner
            for event in reply.events:
                batch = batches.get((owner, event.batch))
                if batch is not None:
                    self._take(batch, event)
            # the first reply tells where the node is, not what it has sent of resumed batches
            if reply.seq > self._seq and not (reply.owner and batches):
                self._seq = reply.seq

    # ------------------------------------------------------------ what it brings

    def _accept(self, reply: tasks_pb2.SubmitReply) -> None:
        batch = self._pending.pop(reply.request_id, None)
        if batch is None:
            return
        if reply.owner != self._owner:
            self._owner, self._seq = reply.owner, 0
        batch.owner, batch.first, batch.request = reply.owner, reply.first, None
        self._moves += 1
        self._batches[reply.owner, reply.first] = batch
        if batch.times_sent > 1:
            self._poll([batch])
        self._answer(batch, None)

    def _refuse(self, refused: tasks_pb2.Refused) -> None:
        if not refused.request_id:
            self._poll(self._batches.values())
            return
        batch = self._pending.pop(refused.request_id, None)
        if batch is not None:
            said = refused.error
            self._answer(batch, errors.from_code(said.code, said.message, said.fix))

    def _answer(self, batch: Batch, error: errors.NovaError | None) -> None:
        answer = batch.answer
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    def _take(self, batch: Batch, event: event_pb2.Event) -> None:
        if event.HasField("finished"):
            self._finish(batch, event.finished.outcomes)
        elif event.HasField("grown"):
            batch.children += len(event.grown.calls) or 1
        elif batch.hear is not None and event.HasField("output"):
            batch.hear(decode.output(batch.owner, event))

    def _finish(self, batch: Batch, outcomes: Iterable[task_pb2.Outcome]) -> None:
        batch.finish(outcomes)
        self._moves += 1
        if not batch.left:
            self._batches.pop((batch.owner, batch.first), None)

    def _meet(self, owner: str) -> None:
        """Another node at the address knows nothing of what was sent to the one before."""
        if owner == self._owner:
            return
        lost = errors.Unreachable(
            f"another node than before answers at {self._wire.address}; "
            "whether the submit was accepted is not known",
            "look for the tasks with `nova tasks` before you submit again",
        )
        for request_id, batch in [*self._pending.items()]:
            if batch.times_sent:
                del self._pending[request_id]
                self._answer(batch, lost)
        self._poll(self._batches.values())
        self._owner, self._seq = owner, 0

    def _fail(self, error: errors.NovaError) -> None:
        for batch in self._pending.values():
            self._answer(batch, error)
        self._pending.clear()
        for batch in self._batches.values():
            batch.fail_waiters(error)

    # ------------------------------------------------------------ task by task

    def _poll(self, batches: Iterable[Batch]) -> None:
        fresh = [batch for batch in batches if not batch.polled]
        for batch in fresh:
            batch.polled = True
        if fresh:
            self._spawn(self._poll_until_done(fresh))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    async def _poll_until_done(self, batches: list[Batch]) -> None:
        """Rests four times as long as a round took, so that asking stays a fifth of the load."""
        attempt = 0
        while batches := [batch for batch in batches if batch.left]:
            begun_at = time.monotonic()
            for batch in batches:
                await self._ask_for_each(batch)
            took_s = time.monotonic() - begun_at
            await asyncio.sleep(backoff.delay_s(attempt) + 4 * took_s)
            attempt += 1

    async def _ask_for_each(self, batch: Batch) -> None:
        for task in batch.unfinished():
            request = tasks_pb2.GetRequest(id=task_id(batch.owner, task.no))
            try:
                view = await self._wire.call(self._wire.tasks.Get, request, CALL_TIMEOUT_S)
            except errors.NotFound:
                self._finish(batch, [_forgotten(task.no)])
            except errors.NovaError:
                return
            else:
                if view.status in _ENDED:
                    self._finish(batch, [_ended(task.no, view)])


def _closed() -> errors.Unreachable:
    return errors.Unreachable("the client was closed", "keep it open until all is done")


def _is_cancelled() -> bool:
    """This task, not the stream that it reads."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_final(error: errors.NovaError) -> bool:
    """The node itself said no; whatever else breaks a stream may pass."""
    if isinstance(error, errors.Overloaded):
        return False
    return isinstance(error, errors.Refused | errors.Invalid | errors.NotFound)


def _ended(no: int, view: tasks_pb2.TaskView) -> task_pb2.Outcome:
    return task_pb2.Outcome(
        no=no,
        status=view.status,
        value=view.value,
        error=view.error,
        node=view.node,
        usage=view.usage if view.HasField("usage") else None,
    )


def _forgotten(no: int) -> task_pb2.Outcome:
    error = task_pb2.Error(
        code="not_found",
        message="its owner no longer knows this task; its result is lost",
        fix="volatile tasks and old results do not survive a restart: submit it again",
    )
    return task_pb2.Outcome(no=no, status=task_pb2.FAILED, error=error)
