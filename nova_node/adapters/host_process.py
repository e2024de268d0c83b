"""The host's process as its node sees it: started when something is to be sent, ended after a long rest.

Rule: whoever sends need not know whether it runs; that it died is told once for each death.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import psutil

from nova_node.adapters.worker_frames import Head, frame
from nova_node.adapters.worker_process import Setup, WorkerProcess, death
from nova_node.core.model import Failure

log = logging.getLogger("nova.host")

HOST_MAIN = "nova_node.adapters.host_main"
HOST_IDLE_S = 600.0
MEMORY_BYTES = 4 << 30
WATCH_S = 1.0
LAST_WORDS_BYTES = 4 << 10

Reveal = Callable[[], Mapping[str, str]]


class HostConfig(NamedTuple):
    #: it is ended after so long without work
    idle_s: float = HOST_IDLE_S
    #: and killed when it has more
    memory_bytes: int = MEMORY_BYTES
    #: how long a cancelled attempt may take to end before it is killed with all others
    grace_s: float = 2.0


class HostProcess:
    """`hear` gets its frames; `died` its process id, how it ended, and whether it ever was ready."""

    def __init__(
        self,
        setup: Setup,
        config: HostConfig,
        hear: Callable[[Head, bytes], None],
        died: Callable[[int, Failure, bool], None],
    ) -> None:
        self._setup, self._config = setup, config
        self._hear, self._died = hear, died
        #: values that the node's config names, called in a thread at each start
        self.reveal: Reveal = dict
        self.is_ready = False
        self._process: WorkerProcess | None = None
        self._life: asyncio.Task[None] | None = None
        #: for a process that is not there yet
        self._unsent: list[bytes] = []
        self._retiring = False
        self._doom: Failure | None = None
        self._last_words = b""
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> None:
        if self._process is not None and not self._retiring:
            self._process.send(data)
            return
        self._unsent.append(data)
        if self._life is None:
            self._life = asyncio.create_task(self._live())

    def work(self) -> None:
        """It has something to do: watch over its memory."""
        self._again(WATCH_S, self._look)

    def rest(self) -> None:
        """It has nothing to do."""
        self._again(self._config.idle_s, self._retire)

    def kill(self, failure: Failure) -> None:
        self._doom = self._doom or failure
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._unsent.clear()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    # ------------------------------------------------------------ one life

    async def _live(self) -> None:
        self.is_ready, self._doom, self._last_words = False, None, b""
        process = WorkerProcess(self._frames, self._raw, HOST_MAIN)
        try:
            secrets = await asyncio.to_thread(self.reveal)
            await process.start(self._setup)
            if secrets:
                process.send(frame({"given": dict(secrets)}))
            self._process = process
            for data in self._take_unsent():
                process.send(data)
            if self._doom:
                process.kill()
            code = await asyncio.shield(process.ended)
            self._gone(process.pid, _failure(code))
        except Exception as error:
            # whatever it was: those who wait for it must hear of it
            self._gone(0, _lost(f"the host cannot be started: {error}"))
        finally:
            if process.pid and not process.ended.done():
                await process.retire()
                process.kill()
                await process.ended

    def _take_unsent(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def _gone(self, pid: int, failure: Failure) -> None:
        retired, self._retiring = self._retiring, False
        was_ready, self.is_ready = self.is_ready, False
        self._process, self._life = None, None
        if retired:
            if self._unsent:
                self._life = asyncio.create_task(self._live())
            return
        self._unsent.clear()
        if not was_ready and self._last_words:
            log.warning("the host did not start: %s", self._last_words.decode(errors="replace"))
        self._died(pid, self._doom or failure, was_ready)

    def _frames(self, frames: list[tuple[Head, bytes]]) -> None:
        for head, body in frames:
            if "ready" in head:
                self.is_ready = True
            else:
                self._hear(head, body)

    def _raw(self, key: int, fd: int, data: bytes) -> bool:
        """Of no attempt that could be told: kept until it is ready, when it may hold no secret."""
        if not self.is_ready:
            self._last_words = (self._last_words + data)[-LAST_WORDS_BYTES:]
        return True

    # ------------------------------------------------------------ time

    def _again(self, after_s: float, act: Callable[[], None]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(after_s, act)

    def _look(self) -> None:
        process, most = self._process, self._config.memory_bytes
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                used = psutil.Process(process.pid).memory_info().rss
                if used > most:
                    message = f"the host used {used >> 20} MiB of memory, its limit is {most >> 20}"
                    fix = "run fewer at a time: the setting `places`"
                    self.kill(Failure("memory_limit", message, fix, retryable=True))
        self._again(WATCH_S, self._look)

    def _retire(self) -> None:
        if self._process is not None and not self._unsent:
            self._retiring = True
            asyncio.ensure_future(self._process.retire()).add_done_callback(self._retired)

    def _retired(self, _: object) -> None:
        if self._retiring and self._process is not None:
            self._process.kill()


def _failure(code: int) -> Failure:
    return _lost(f"the host {death(code)}")


def _lost(message: str) -> Failure:
    fix = "look at what it wrote; what blocks or crashes it ends all that waits on this node"
    return Failure("worker_died", message, fix, retryable=True)
