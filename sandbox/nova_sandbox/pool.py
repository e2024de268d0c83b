"""Warm boxes, each for one claim. It refills in the background, sized by demand within bounds.

A claim that finds none warm makes the pool aim higher, up to its bound; a while without such a claim
makes it aim lower again. A box that fails to start fails the claim that has waited longest, so an
engine that is down is a typed error at once and not a long wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from nova_sandbox.box import Box
from nova_sandbox.errors import EngineUnavailable, Exhausted, NotOffered, SandboxError

LOG = logging.getLogger(__name__)
MAX_BACKOFF_S = 10.0
TICK_S = 15.0
MAX_CLEARING_DELAY_S = 3.0


@dataclass(frozen=True, slots=True)
class PoolSize:
    min_warm: int = 1
    max_warm: int = 4
    max_boxes: int = 16
    """Warm, busy, starting and ending together."""
    max_starting: int = max(4, min(8, os.cpu_count() or 4))
    """At once: an engine starts no more in the same time by being asked for more."""
    max_waiting: int = 256
    claim_timeout_s: float = 30.0
    idle_s: float = 600.0
    """A box that nobody claims for so long is replaced."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_warm <= self.max_warm <= self.max_boxes or self.max_boxes < 1:
            raise ValueError("a pool needs 0 <= min_warm <= max_warm <= max_boxes, and a box")
        if (
            self.max_starting < 1
            or self.max_waiting < 1
            or min(self.idle_s, self.claim_timeout_s) <= 0
        ):
            raise ValueError("max_starting, max_waiting and the times of a pool are to be positive")


@dataclass(frozen=True, slots=True)
class PoolState:
    """A metric. `target` is how many it wants warm now; totals count from the start."""

    warm: int
    busy: int
    refilling: int
    ending: int
    waiting: int
    target: int
    claims: int
    exhausted: int
    """Claims that found none warm."""
    failed: int
    """Boxes that did not start."""
    refill_s: float
    """How long the last one took to be warm."""


class Pool:
    def __init__(self, make: Callable[[], Awaitable[Box]], size: PoolSize) -> None:
        self._make = make
        self._size = size
        self._target = size.min_warm
        self._warm: deque[tuple[float, Box]] = deque()
        self._busy: set[Box] = set()
        self._waiters: deque[asyncio.Future[Box]] = deque()
        self._starting = self._ending = self._failures = 0
        self._claims = self._exhausted = self._failed = self._missed = 0
        self._refill_s = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._closed = False
        self.on_change: Callable[[], None] = lambda: None
        """Called when the state may be another one; not to call back."""

    def start(self) -> None:
        self._ticking = self._spawn(self._tick())
        self._fill()

    def state(self) -> PoolState:
        return PoolState(
            warm=len(self._warm),
            busy=len(self._busy),
            refilling=self._starting,
            ending=self._ending,
            waiting=len(self._waiters),
            target=self._target,
            claims=self._claims,
            exhausted=self._exhausted,
            failed=self._failed,
            refill_s=self._refill_s,
        )

    def names(self) -> set[str]:
        """Of the boxes it holds now."""
        return {box.handle.name for box in (*self._busy, *(box for _, box in self._warm))}

    async def claim(self) -> Box:
        """A warm box, to be released. Raises Exhausted, or why none could be made."""
        if self._closed:
            raise NotOffered("the sandbox is closed")
        self._claims += 1
        box = self._take() or await self._wait()
        self._fill()
        return box

    def _take(self) -> Box | None:
        while self._warm:
            _, box = self._warm.popleft()
            if not box.lost:
                self._busy.add(box)
                return box
            self._end(box)
        return None

    async def _wait(self) -> Box:
        if len(self._waiters) >= self._size.max_waiting:
            raise Exhausted(
                f"{len(self._waiters)} runs wait for a box already",
                "run fewer at once, or allow more boxes",
            )
        self._exhausted += 1
        self._missed += 1
        self._target = min(self._size.max_warm, self._target + 1)
        waiter: asyncio.Future[Box] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._fill()
        try:
            async with asyncio.timeout(self._size.claim_timeout_s):
                return await waiter
        except BaseException as error:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
            self.on_change()
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._busy.discard(waiter.result())  # it came in the very moment we gave up
                self._hand_out(waiter.result())
            if isinstance(error, TimeoutError):
                raise Exhausted(
                    f"no box became free within {self._size.claim_timeout_s:g} s",
                    "run fewer at once, or allow more boxes",
                ) from None
            raise

    def release(self, box: Box) -> None:
        """After its one run, or the session: it is destroyed, and another one made."""
        self._busy.discard(box)
        self._end(box)

    def _end(self, box: Box) -> None:
        box.on_lost = lambda box: None
        self._ending += 1
        self.on_change()
        self._spawn(self._destroy(box))

    async def _destroy(self, box: Box) -> None:
        if box.spent:
            await self._until_quiet()
        try:
            await box.close()
        except Exception as error:  # whatever it is, the pool goes on
            LOG.warning("%s is left to the reaper: %s", box.handle.name, error)
        finally:
            self._ending -= 1
            self._fill()

    async def _until_quiet(self) -> None:
        """Clearing up takes as much of the engine as starting: it can wait while a claim does."""
        latest = time.monotonic() + MAX_CLEARING_DELAY_S
        while self._waiters and self._room() > 0 and not self._closed:
            if time.monotonic() > latest:
                return
            await asyncio.sleep(0.05)

    def _room(self) -> int:
        """For so many boxes more."""
        held = len(self._warm) + len(self._busy) + self._starting + self._ending
        return self._size.max_boxes - held

    def _fill(self) -> None:
        """Starts as many as are wanted and allowed."""
        self._start_some()
        self.on_change()

    def _start_some(self) -> None:
        if self._closed:
            return
        spare = 0 if self._retry or self._waiters else self._target
        wanted = spare + len(self._waiters) - len(self._warm) - self._starting
        room = min(self._room(), self._size.max_starting - self._starting)
        for _ in range(min(wanted, room)):
            self._starting += 1
            self._spawn(self._refill())

    async def _refill(self) -> None:
        began = time.monotonic()
        try:
            box = await self._make()
        except SandboxError as error:
            self._on_failure(error)
            return
        except Exception as error:  # such as no descriptor left: a claim never waits for nothing
            LOG.exception("no new box")
            self._on_failure(EngineUnavailable(f"no new box: {error!r}", "see the log"))
            return
        finally:
            self._starting -= 1
        self._failures = 0
        self._refill_s = time.monotonic() - began
        self._hand_out(box)
        self._fill()

    def _hand_out(self, box: Box) -> None:
        """To who waits longest, else it stays warm."""
        if self._closed or box.lost:
            self._end(box)
            return
        box.on_lost = self._on_lost
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(box)
                self._busy.add(box)  # at once: it takes its place before the claim wakes up
                return
        self._warm.append((time.monotonic(), box))

    def _on_failure(self, error: SandboxError) -> None:
        self._failed += 1
        self._failures += 1
        self.on_change()
        LOG.warning("no new box: %s", error)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)
                break
        self._fill_later()

    def _on_lost(self, box: Box) -> None:
        """An idle one ended: the engine restarted, or somebody removed it."""
        for entry in self._warm:
            if entry[1] is box:
                self._warm.remove(entry)
                self._failures += 1
                self._end(box)
                self._fill_later()
                return

    def _fill_later(self) -> None:
        if self._retry or self._closed:
            return
        delay_s = min(MAX_BACKOFF_S, 0.1 * 2 ** min(self._failures, 10))

        def again() -> None:
            self._retry = None
            self._fill()

        self._retry = asyncio.get_running_loop().call_later(delay_s, again)

    async def _tick(self) -> None:
        """Aims lower when nobody missed a box, and replaces those that waited too long."""
        while True:
            await asyncio.sleep(min(TICK_S, self._size.idle_s / 2))
            if not self._missed:
                self._target = max(self._size.min_warm, self._target - 1)
            self._missed = 0
            oldest = time.monotonic() - self._size.idle_s
            while self._warm and (len(self._warm) > self._target or self._warm[0][0] < oldest):
                self._end(self._warm.popleft()[1])
            self._fill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Destroys every box; waits for those that are starting."""
        self._closed = True
        if self._retry:
            self._retry.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(NotOffered("the sandbox is closed"))
        for _, box in self._warm:
            self._end(box)
        for box in list(self._busy):
            self.release(box)
        self._warm.clear()
        if self._ticking:
            self._ticking.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
