"""Single submits that find others of their kind on their way: they wait for one of those, and go together.

Many coroutines that submit a task each are so nearly as fast as one that submits many; one that is alone
waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

from nova_client import encode
from nova_client.errors import Overloaded
from nova_client.model import Options, SubmitOptions
from nova_client.task import Batch, Task

ON_THE_WAY_MAX = 2
"""Requests of one kind; further submits are gathered."""

ARGS_BYTES_MAX = 64 << 10
"""What is larger goes at once and alone: beside it a request of its own costs little."""

OF_A_WHOLE_SUBMIT = ("again_of", "budget_uusd", "shards")


class _Waiting(NamedTuple):
    args: bytes
    task: asyncio.Future[Task]


class _Line:
    """Submits of one capability with the same options."""

    def __init__(self, capability: str, options: Options) -> None:
        self.capability = capability
        self.options = options
        self.on_the_way = 0
        self.waiting: list[_Waiting] = []


class Submit(Protocol):
    """Returns when the owner has it. A full node is asked again, if `patient`."""

    async def __call__(self, batch: Batch, patient: bool) -> None: ...


class Gathering:
    """`batch` makes of a request what `submit` takes."""

    def __init__(self, batch: Callable[[encode.Request], Batch], submit: Submit) -> None:
        self._batch = batch
        self._submit = submit
        self._lines: dict[Hashable, _Line] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def submit(
        self, kind: Hashable, capability: str, args: bytes, options: SubmitOptions
    ) -> Task:
        """`kind` is equal for what may go together. Raises what `submit` does, and Invalid."""
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = _Line(capability, encode.options_of(options))
        if line.on_the_way >= ON_THE_WAY_MAX and len(args) <= ARGS_BYTES_MAX:
            waiting = _Waiting(args, asyncio.get_running_loop().create_future())
            line.waiting.append(waiting)
            return await waiting.task
        line.on_the_way += 1
        try:
            (task,) = await self._send(line, [args])
        finally:
            self._passed(kind, line)
        return task

    async def _send(self, line: _Line, args: Sequence[bytes]) -> list[Task]:
        batch = self._batch(encode.plain(line.capability, args, line.options))
        tasks = batch.tasks
        await self._submit(batch, patient=len(args) == 1)
        return tasks

    def _passed(self, kind: Hashable, line: _Line) -> None:
        """One request less is on its way: those that wait follow."""
        line.on_the_way -= 1
        if line.on_the_way < ON_THE_WAY_MAX and (together := _take(line.waiting)):
            self._follow(kind, line, together)
        elif not line.on_the_way:
            self._lines.pop(kind, None)

    def _follow(self, kind: Hashable, line: _Line, together: list[_Waiting]) -> None:
        line.on_the_way += 1
        sending = asyncio.create_task(self._send_together(kind, line, together))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _send_together(self, kind: Hashable, line: _Line, together: list[_Waiting]) -> None:
        try:
            tasks = await self._send(line, [waiting.args for waiting in together])
        except Exception as error:
            if isinstance(error, Overloaded) and len(together) > 1:
                for waiting in together:  # there may be room for some
                    self._follow(kind, line, [waiting])
                return
            for waiting in together:
                if not waiting.task.done():
                    waiting.task.set_exception(error)
        else:
            for waiting, task in zip(together, tasks, strict=True):
                if not waiting.task.done():
                    waiting.task.set_result(task)
        finally:
            self._passed(kind, line)


def kind_of(capability: str, options: SubmitOptions) -> Hashable | None:
    """None for what is to go alone."""
    if any(name in options for name in OF_A_WHOLE_SUBMIT):
        return None
    try:
        return capability, frozenset(options.items())
    except TypeError:  # values that may change, such as labels
        return None


def _take(waiting: list[_Waiting]) -> list[_Waiting]:
    """As many as fit one request; those of which the submit was cancelled are dropped."""
    taken: list[_Waiting] = []
    size_bytes = count = 0
    for each in waiting:
        if len(taken) == encode.CALLS_MAX or size_bytes > encode.REQUEST_BYTES_MAX:
            break
        count += 1
        if not each.task.done():
            taken.append(each)
            size_bytes += len(each.args)
    del waiting[:count]
    return taken
