"""A task as its submitter holds it, and the batch it was submitted in.

Built for a million of them: no future, asyncio task or decoding per task unless somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Protocol

from nova_proto.v1 import task_pb2, tasks_pb2

from nova_client import decode
from nova_client.errors import NovaError, TaskCancelled, TaskFailed, Timeout
from nova_client.model import (
    BlobRef,
    Explanation,
    LogLine,
    Outcome,
    Progress,
    Status,
    TaskView,
    task_id,
)

_DONE = task_pb2.DONE

Hear = Callable[[LogLine], None]
"""Told what a task writes, as it comes; must return at once and may not raise."""


class Node(Protocol):
    """What a task asks of the client that submitted it."""

    async def fetch(self, ref: BlobRef) -> Any: ...
    async def get(self, id: str) -> TaskView: ...
    async def cancel(self, id: str) -> Status: ...
    async def explain(self, id: str) -> Explanation: ...
    def logs(self, id: str, follow: bool = False) -> AsyncGenerator[LogLine, None]: ...
    def keep_listening(self) -> None: ...


class Batch:
    """The tasks of one submit request; numbers `first` and on, once the owner has answered."""

    __slots__ = (
        "answer",
        "children",
        "children_ended",
        "first",
        "hear",
        "left",
        "node",
        "owner",
        "polled",
        "request",
        "tasks",
        "times_sent",
    )

    def __init__(
        self,
        node: Node,
        request: tasks_pb2.SessionRequest,
        count: int,
        hear: Hear | None = None,
    ) -> None:
        self.node = node
        self.hear = hear
        self.request: tasks_pb2.SessionRequest | None = request
        self.owner = ""
        self.first = 0
        self.tasks = [Task(self, index) for index in range(count)]
        self.left = count
        self.children = 0
        self.children_ended = 0
        self.times_sent = 0
        self.polled = False
        self.answer: asyncio.Future[None] | None = None

    def finish(self, outcomes: Iterable[task_pb2.Outcome]) -> None:
        """Take the outcomes that are of our tasks; the first of each counts."""
        tasks, first = self.tasks, self.first
        count, left = len(tasks), self.left
        for message in outcomes:
            index = message.no - first
            if 0 <= index < count:
                task = tasks[index]
                if task.message is None:
                    task.message = message
                    left -= 1
                    if task.waiters is not None:
                        task.wake(None)
            else:
                self.children_ended += 1
        self.left = left
        if not left:
            self.tasks = []

    def unfinished(self) -> list[Task]:
        return [task for task in self.tasks if task.message is None]

    def fail_waiters(self, error: NovaError) -> None:
        """Tell whoever waits now; the tasks themselves stay open."""
        for task in self.tasks:
            if task.waiters is not None:
                task.wake(error)


class Task:
    """A submitted task. Made by Client.submit and submit_many."""

    __slots__ = ("_batch", "_index", "message", "waiters")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self._index = index
        #: as it came; decoded when somebody asks
        self.message: task_pb2.Outcome | None = None
        self.waiters: list[asyncio.Future[None]] | None = None

    def __repr__(self) -> str:
        return f"<Task {self.id} {'ended' if self.done else 'open'}>"

    @property
    def no(self) -> int:
        """The owner's number for it."""
        return self._batch.first + self._index

    @property
    def id(self) -> str:
        """Its name on the mesh, e.g. "k7q2m9xd-42"."""
        return task_id(self._batch.owner, self.no)

    @property
    def accepted(self) -> bool:
        """Its owner has it; before that, `id` and `no` mean nothing."""
        return bool(self._batch.owner)

    @property
    def done(self) -> bool:
        """It ended, well or not."""
        return self.message is not None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, without raising; None while it is open."""
        message = self.message
        return None if message is None else decode.outcome(self._batch.owner, message)

    @property
    def progress(self) -> Progress:
        """Of the shards, splits and merges grown so far from the submit it belongs to."""
        return Progress(self._batch.children_ended, self._batch.children)

    async def result(self, timeout_s: float | None = None) -> Any:
        """The value: decoded JSON or bytes, fetched when it is a blob. `timeout_s` None: no bound.

        Raises TaskFailed, TaskCancelled, Timeout (the task goes on) or Unreachable."""
        message = self.message
        if message is None:
            message = await self.wait(timeout_s)
        found = self._value(message)
        return await self._batch.node.fetch(found) if isinstance(found, BlobRef) else found

    def value(self) -> Any:
        """The value of a task that is done, a BlobRef when it is a blob. Raises as `result`."""
        if self.message is None:
            raise Timeout(f"task {self.id} is not done", "wait for it with result()")
        return self._value(self.message)

    def _value(self, message: task_pb2.Outcome) -> Any:
        if message.status == _DONE:
            return decode.value(message.value)
        raise self._failure(message)

    def _failure(self, message: task_pb2.Outcome) -> NovaError:
        if message.status == task_pb2.CANCELLED:
            return TaskCancelled(f"task {self.id} was cancelled", "submit it again if need be")
        error = message.error
        fix = error.fix or f"see what happened: nova show {self.id}"
        return TaskFailed(error.message, fix, error.code or None, error.traceback)

    async def wait(self, timeout_s: float | None = None) -> task_pb2.Outcome:
        """Until it has ended. Raises Timeout or Unreachable."""
        while (message := self.message) is None:
            self._batch.node.keep_listening()
            waiter = asyncio.get_running_loop().create_future()
            if self.waiters is None:
                self.waiters = [waiter]
            else:
                self.waiters.append(waiter)
            if timeout_s is None:
                await waiter
                continue
            try:
                async with asyncio.timeout(timeout_s):
                    await waiter
            except TimeoutError as error:
                if isinstance(error, NovaError):
                    raise
                raise self._timeout(timeout_s) from None
        return message

    def _timeout(self, timeout_s: float) -> Timeout:
        return Timeout(
            f"task {self.id} did not end within {timeout_s:g} s",
            f"it goes on: nova explain {self.id}, nova logs -f {self.id}, nova cancel {self.id}",
        )

    def wake(self, error: NovaError | None) -> None:
        waiters, self.waiters = self.waiters or [], None
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    async def show(self) -> TaskView:
        return await self._batch.node.get(self.id)

    async def cancel(self) -> Status:
        """Ask for its end; returns the status it is in now."""
        return await self._batch.node.cancel(self.id)

    async def explain(self) -> Explanation:
        return await self._batch.node.explain(self.id)

    def logs(self, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Lines that it and its shards wrote; with `follow`, until it ends."""
        return self._batch.node.logs(self.id, follow)
