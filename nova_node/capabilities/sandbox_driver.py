"""The sandbox of one worker process: opened at the first run, kept warm for the next.

A thread of its own holds an event loop and the sandboxes, since an attempt is a plain call. When the
process is killed, the streams of its containers close, and with that they end; what is left of them
the next sandbox on this machine removes.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from nova_sandbox import Event, Limits, PoolSize, Sandbox, Settings, Tier
from nova_sandbox.request import Language

from nova_node.capability import setting

T = TypeVar("T")

MIB = 1 << 20
OPEN_MAX = 2
"""Sandboxes at once: each keeps a container warm for one image and one size of memory."""
LONGEST_S = 3600.0
CLOSE_TIMEOUT_S = 4.0
POOL = PoolSize(min_warm=1, max_warm=1, max_boxes=4)
"""A worker process runs one program at a time."""
NO_POOL = PoolSize(min_warm=0, max_warm=0, max_boxes=1)


class Program(NamedTuple):
    code: str
    args: tuple[str, ...]
    language: Language
    stdin: bytes
    timeout_s: float
    memory_bytes: int
    image: str


def settings_of(image: str, memory_bytes: int, pool: PoolSize = POOL) -> Settings:
    """As the node's config says. Limits were tried when the node described itself."""
    return Settings(
        image=image,
        tier=Tier(setting("sandbox.tier")),
        limits=Limits(
            timeout_s=LONGEST_S,
            memory_bytes=memory_bytes,
            result_bytes=16 * MIB,
            files_bytes=64 * MIB,
        ),
        pool=pool,
        runtime=setting("sandbox.runtime"),
        engine=setting("sandbox.engine"),
        node=setting("name"),
        self_test=False,
    )


class Driver:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: OrderedDict[tuple[str, int], Sandbox] = OrderedDict()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="sandbox").start()
        atexit.register(self.close)

    def run(self, program: Program) -> Iterator[Event]:
        """Events as they come. Raises SandboxError."""
        events: SimpleQueue[Event | None] = SimpleQueue()
        ran = self._start(self._relay(program, events))
        ran.add_done_callback(lambda _: events.put(None))
        while (event := events.get()) is not None:
            yield event
        ran.result()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._start(self._close_all()).result(CLOSE_TIMEOUT_S)

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _relay(self, program: Program, events: SimpleQueue[Event | None]) -> None:
        sandbox = await self._sandbox(program.image, program.memory_bytes)
        run = sandbox.run(
            program.code,
            program.args,
            language=program.language,
            stdin=program.stdin,
            timeout_s=program.timeout_s,
        )
        async with contextlib.aclosing(run):
            async for event in run:
                events.put(event)

    async def _sandbox(self, image: str, memory_bytes: int) -> Sandbox:
        key = image, memory_bytes
        sandbox = self._open.get(key)
        if sandbox is None:
            while len(self._open) >= OPEN_MAX:
                await self._open.popitem(last=False)[1].close()
            sandbox = Sandbox(settings_of(image, memory_bytes))
            await sandbox.__aenter__()
            self._open[key] = sandbox
        self._open.move_to_end(key)
        return sandbox

    async def _close_all(self) -> None:
        await asyncio.gather(*(sandbox.close() for sandbox in self._open.values()))




@cache
def driver() -> Driver:
    """Of this process."""
    return Driver()
