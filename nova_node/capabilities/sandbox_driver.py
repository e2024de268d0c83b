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
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from nova_sandbox import Event, Limits, PoolSize, Sandbox, SandboxError, Settings, Tier
from nova_sandbox.request import Language

from nova_node.capabilities.sandbox_report import Reporter
from nova_node.capability import setting

T = TypeVar("T")
Key = tuple[str, int]
"""Image, and bytes of memory."""

MIB = 1 << 20
OPEN_MAX = 2
"""Sandboxes at once: each keeps a container warm for one image and one size of memory."""
LONGEST_S = 3600.0
LATE_S = 2.0
"""An engine may still make a container for somebody who was killed meanwhile."""
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
        #: the one used last at the end
        self._open: OrderedDict[Key, Sandbox] = OrderedDict()
        self._entering = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._reporter = Reporter()
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

    def warm(self, image: str, memory_bytes: int) -> None:
        """Have one ready, after a process that was killed; what that one left behind is removed."""
        with contextlib.suppress(SandboxError):
            self._start(self._sandbox((image, memory_bytes))).result()
            self._start(self._reap_late((image, memory_bytes)))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._start(self._close_all()).result(CLOSE_TIMEOUT_S)

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _relay(self, program: Program, events: SimpleQueue[Event | None]) -> None:
        key = program.image, program.memory_bytes
        sandbox = await self._sandbox(key)
        run = sandbox.run(
            program.code,
            program.args,
            language=program.language,
            stdin=program.stdin,
            timeout_s=program.timeout_s,
        )
        try:
            async with contextlib.aclosing(run):
                async for event in run:
                    events.put(event)
        except SandboxError:  # the engine or the image may be another one by the next run
            self._leave(key)
            raise

    async def _sandbox(self, key: Key) -> Sandbox:
        async with self._entering:
            sandbox = self._open.get(key) or await self._enter(key)
        self._open.move_to_end(key)
        return sandbox

    async def _enter(self, key: Key) -> Sandbox:
        while len(self._open) >= OPEN_MAX:
            self._leave(next(iter(self._open)))
        sandbox = Sandbox(settings_of(*key))
        await sandbox.__aenter__()
        self._open[key] = sandbox
        self._reporter.follow(key[0], sandbox)
        return sandbox

    def _leave(self, key: Key) -> None:
        """Its end is not waited for."""
        sandbox = self._open.pop(key)
        self._reporter.forget(sandbox)
        closing = asyncio.create_task(sandbox.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_all(self) -> None:
        async with self._entering:
            last = next(reversed(self._open), None)
            for key in [*self._open]:
                self._leave(key)
        await asyncio.gather(*self._closing)
        if last:
            await reap(last)

    async def _reap_late(self, key: Key) -> None:
        await asyncio.sleep(LATE_S)
        with contextlib.suppress(SandboxError):
            await reap(key)


async def reap(key: Key) -> None:
    """Remove containers that nobody holds: a sandbox does that when it is opened."""
    async with Sandbox(settings_of(*key, NO_POOL)):
        pass


_one_at_a_time = threading.Lock()


def driver() -> Driver:
    """Of this process, whichever thread asks first."""
    with _one_at_a_time:
        return _driver()


@cache
def _driver() -> Driver:
    return Driver()
