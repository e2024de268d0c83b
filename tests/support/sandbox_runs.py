"""A sandbox for tests that are not coroutines, and what a run gave as one value."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nova_sandbox import Event, File, Finished, Output, Sandbox, Status

T = TypeVar("T")
WAIT_S = 90


@dataclass(slots=True)
class Ran:
    stdout: str = ""
    stderr: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    end: Finished | None = None

    @property
    def finished(self) -> Finished:
        assert self.end is not None, "the run has no end"
        return self.end

    @property
    def status(self) -> Status:
        return self.finished.status


async def until(
    condition: Callable[[], bool], timeout_s: float = 20, every_s: float = 0.01
) -> None:
    """With `every_s` 0 it looks at each turn of the loop."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(every_s)


async def collect(events: AsyncIterator[Event]) -> Ran:
    ran = Ran()
    async for event in events:
        assert ran.end is None, "something came after the end"
        match event:
            case Output(stream="stdout", data=data):
                ran.stdout += data.decode()
            case Output(data=data):
                ran.stderr += data.decode()
            case File(name=name, data=data):
                ran.files[name] = data
            case Finished():
                ran.end = event
    return ran


class SandboxHost:
    """One sandbox, open in a thread with a loop of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __enter__(self) -> SandboxHost:
        try:
            self.wait(self.sandbox.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait(self.sandbox.close())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def run(self, code: str, *args: str, **how: Any) -> Ran:
        return self.wait(collect(self.sandbox.run(code, args, **how)))
