"""Asks the helper process that holds the history; starts it when there is a question, and lets it go
when there has been none for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from nova_node.adapters.metrics_frames import FRAME_MAX_BYTES, HEADER, Kind, command
from nova_node.adapters.metrics_spool import Spool
from nova_node.core.errors import (
    Corrupt,
    Invalid,
    NovaError,
    Overloaded,
    Retryable,
    Terminal,
    Unavailable,
)
from nova_node.metrics.keeping import Rules

HELLO_S = 20.0
GRACE_S = 2.0
STOP_S = 3.0
AT_ONCE_MAX = 8

#: called with the seq from which on events have to be projected again
Lost = Callable[[int], Awaitable[None]]

log = logging.getLogger("nova.metrics")


class Frame(NamedTuple):
    kind: Kind
    payload: bytes


_GONE = Frame(Kind.ERROR, b"")
"""In the place of an answer."""


class _Gone(Unavailable):
    def __init__(self) -> None:
        super().__init__("the process that holds the history ended", "ask again")


class History:
    """On the event loop's thread only."""

    def __init__(
        self, folder: Path, me: str, rules: Rules, spool: Spool, idle_s: float = 60.0
    ) -> None:
        self.on_lost: Lost | None = None
        self._command = command(folder, me, rules)
        self._spool = spool
        self._idle_s = idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._asked: dict[int, asyncio.Queue[Frame]] = {}
        self._number = 0
        self._starting = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._stopped = False

    async def gone(self) -> None:
        """When the process that ran last has ended."""
        if self._reader is not None:
            await asyncio.wait({self._reader})

    @property
    def pid(self) -> int:
        """Of the process; 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    async def ask(
        self, sql: str, values: Sequence[Any] = (), timeout_s: float = 5.0, rows_max: int = 10_000
    ) -> AsyncGenerator[Frame, None]:
        """COLUMNS, ROWS ... and END; all that was recorded before is seen. Raises Invalid, Overloaded,
        Unavailable (code deadline: it took too long)."""
        question = {
            "sql": sql,
            "values": list(values),
            "timeout_s": timeout_s,
            "rows_max": rows_max,
        }
        async with aclosing(self._converse(question, timeout_s)) as frames:
            async for frame in frames:
                yield frame

    async def rows(self, sql: str, values: Sequence[Any] = (), timeout_s: float = 5.0) -> list[Any]:
        """All rows of a question of the node's own. Raises as `ask`."""
        found: list[Any] = []
        async for frame in self.ask(sql, values, timeout_s):
            if frame.kind is Kind.ROWS:
                found += json.loads(frame.payload)
        return found

    async def take_in(self) -> None:
        """Have what was recorded moved into the database. Raises Unavailable."""
        async for _ in self._converse({}, 60.0):
            pass

    async def stop(self) -> None:
        self._stopped = True
        await self._end(STOP_S)

    # ------------------------------------------------------------ one question

    async def _converse(
        self, question: dict[str, Any], timeout_s: float
    ) -> AsyncGenerator[Frame, None]:
        if len(self._asked) >= AT_ONCE_MAX:
            raise Overloaded(f"{AT_ONCE_MAX} questions wait for the history", "ask again later")
        told = False
        for last in (False, True):
            try:
                async with aclosing(self._try(question, timeout_s)) as frames:
                    async for frame in frames:
                        told = True
                        yield frame
                return
            except _Gone:
                # it may have ended for another question: once more, to a new process
                if told or last:
                    raise
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.gone(), STOP_S)

    async def _try(self, question: dict[str, Any], timeout_s: float) -> AsyncGenerator[Frame, None]:
        self._number += 1
        number, queue = self._number, asyncio.Queue[Frame]()
        self._asked[number] = queue
        try:
            process = await self._started()
            before = await asyncio.wrap_future(self._spool.rotate())
            line = json.dumps({**question, "number": number, "before": before}) + "\n"
            await self._write(process, line.encode())
            async with asyncio.timeout(timeout_s + GRACE_S):
                while True:
                    frame = await queue.get()
                    if frame is _GONE:
                        raise _Gone
                    if frame.kind is Kind.ERROR:
                        raise error_of(json.loads(frame.payload))
                    yield frame
                    if frame.kind is Kind.END:
                        return
        except TimeoutError:
            # it does not even stop when it is told to
            await self._end(0.0)
            raise Unavailable(
                f"the query did not end within {timeout_s:g} s", "ask for less", "deadline"
            ) from None
        finally:
            del self._asked[number]
            self._rest()

    async def _write(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(data)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise _Gone from None

    def _rest(self) -> None:
        """Let the process go when nobody has asked for a while."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self._asked and self._process is not None and not self._stopped:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._leave)

    def _leave(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    # ------------------------------------------------------------ the process

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._stopped:
                raise Unavailable("the node stops", "ask another node")
            if self._process is not None and self._process.returncode is None:
                return self._process
            # one process at a time has the file
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gone(), STOP_S)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(),
            )
            try:
                hello = await asyncio.wait_for(_hello(process), HELLO_S)
                if hello["error"] is not None:
                    raise error_of(hello["error"])
                if hello["lost"] and self.on_lost is not None:
                    await self.on_lost(int(hello["last_seq"]))
            except BaseException as error:
                _kill(process)
                await process.wait()
                if isinstance(error, TimeoutError | asyncio.IncompleteReadError):
                    raise _Gone from None
                raise
            self._process = process
            self._reader = asyncio.create_task(self._read(process))
            return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hands each frame to whoever asked, until the process is gone."""
        assert process.stdout is not None
        with suppress(asyncio.IncompleteReadError):
            while True:
                number, frame = await _frame(process.stdout)
                if number in self._asked:
                    self._asked[number].put_nowait(frame)
        await process.wait()
        if self._process is process:
            self._process = None
            for queue in self._asked.values():
                queue.put_nowait(_GONE)

    async def _end(self, patience_s: float) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, reader = self._process, self._reader
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            if not patience_s:
                _kill(process)
        if reader is not None:
            try:
                await asyncio.wait_for(asyncio.shield(reader), patience_s or STOP_S)
            except TimeoutError:
                if process is not None:
                    _kill(process)
                await reader


def _environment() -> dict[str, str]:
    """What Python needs to start, and no secret."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PATH", "PYTHON", "LD_", "DYLD_"))}
    return {**kept, "TZ": "UTC"}


def _kill(process: asyncio.subprocess.Process) -> None:
    """Not by its own method, which may reap the process before asyncio does."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def _hello(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    return json.loads((await _frame(process.stdout))[1].payload)


async def _frame(stream: asyncio.StreamReader) -> tuple[int, Frame]:
    """Raises IncompleteReadError at the end."""
    size_bytes, number, kind = HEADER.unpack(await stream.readexactly(HEADER.size))
    if size_bytes > FRAME_MAX_BYTES:
        raise asyncio.IncompleteReadError(b"", size_bytes)
    return number, Frame(Kind(kind), await stream.readexactly(size_bytes))


def error_of(said: dict[str, Any]) -> NovaError:
    kind = Retryable if said["retryable"] else Terminal
    for known in (Invalid, Overloaded, Unavailable, Corrupt):
        if known.code == said["code"]:
            kind = known
    return kind(said["message"], said["fix"], said["code"])
