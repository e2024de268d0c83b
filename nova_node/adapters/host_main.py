"""The main of the host: the one process of a node in which everything that waits runs, many at a time.

An attempt is a task of the event loop; a capability that blocks the loop blocks the others. host_frames
tells what goes to and fro. Rule: one attempt can be cancelled without harm to the others.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

from nova_node.adapters.host_attempt import HostAttempt
from nova_node.adapters.host_frames import told_of
from nova_node.adapters.worker_calls import (
    RUN,
    Caller,
    Done,
    Job,
    Library,
    Refusal,
    Request,
    Spool,
    arguments,
    failure,
)
from nova_node.adapters.worker_frames import Frames, Head, frame
from nova_node.adapters.worker_main import die_with, not_loaded
from nova_node.adapters.worker_secrets import SecretCaller
from nova_node.capability import attempt_of, given_settings, own_secrets
from nova_node.given import give_node_secrets
from nova_node.models.measured import heard_by
from nova_node.secrets.redact import Redactor
from nova_node.waiting import current

SAY_S, SAY_MAX_S = 0.005, 0.05
SPEAKERS = 4
"""Of more attempts than these the output of each waits longer: all of them tell as often together."""

FAREWELL_S = 2.0
JOBS_MAX = 1000
UNUSED = ["", 0, 0, 0, ""]
"""Usage of what certainly never began."""


class Host(asyncio.Protocol):
    def __init__(self, setup: dict[str, Any]) -> None:
        self._library = Library(setup["modules"])
        self._spool = Spool(setup["spool"])
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._ready: list[bytes] = []
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._jobs: dict[tuple[Any, ...], Job] = {}
        self._node_secrets: dict[str, str] = {}
        #: of the node's secrets alone
        self._redactor: Redactor | None = None
        self._attempts: dict[int, HostAttempt] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.ended = self._loop.create_future()

    # ------------------------------------------------------------ to and from the node

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.send({"ready": os.getpid()})

    def data_received(self, data: bytes) -> None:
        for head, body in self._frames.feed(data):
            self._take(head, body)

    def eof_received(self) -> bool:
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, head: Head, body: bytes = b"") -> None:
        """What this turn of the loop sends goes at once; output waits for more of it, of any attempt,
        when some went a moment ago."""
        self._ready.append(frame(head, (body,)))
        wait_s = self._flushed_at + SAY_S - self._loop.time() if "say" in head else 0.0
        if wait_s > 0:
            self._later = self._later or self._loop.call_later(wait_s, self._flush)
        else:
            self._soon = self._soon or self._loop.call_soon(self._flush)

    def _pause_s(self) -> float:
        return min(SAY_MAX_S, SAY_S * max(1.0, len(self._attempts) / SPEAKERS))

    def _flush(self) -> None:
        for due in (self._soon, self._later):
            if due is not None:
                due.cancel()
        self._soon = self._later = None
        self._flushed_at = self._loop.time()
        data, self._ready = b"".join(self._ready), []
        self._transport.write(data)

    def _take(self, head: Head, body: bytes) -> None:
        if "run" in head:
            task = self._loop.create_task(self._attempt(head, body))
            self._running[head["run"]] = task
        elif "cancel" in head:
            if task := self._running.get(head["cancel"]):
                task.cancel()
        elif "given" in head:
            self._node_secrets = head["given"]
            self._redactor = Redactor(self._node_secrets.items())
            give_node_secrets(head["given"])
        elif attempt := self._attempts.get(head["key"]):
            if "answer" in head:
                attempt.answered(head["answer"], told_of(head, body))
            else:
                attempt.heard(head["heard"], body.decode(errors="replace"))

    async def farewell(self) -> None:
        """Let what runs close what it has open."""
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=FAREWELL_S)

    # ------------------------------------------------------------ attempts

    async def _attempt(self, head: Head, body: bytes) -> None:
        key, began_ns = head["run"], time.monotonic_ns()
        secrets: dict[str, str] = head["secrets"] or {}
        redactor = self._redactor
        if secrets:
            redactor = Redactor([*secrets.items(), *self._node_secrets.items()])
        caller = SecretCaller(self._spool, redactor) if redactor else Caller(self._spool)
        output_bytes = head["job"][-1]
        attempt = HostAttempt(
            key, tuple(head["about"]), output_bytes, redactor, self.send, self._pause_s
        )
        self._attempts[key] = attempt
        usage: Any = UNUSED
        try:
            job = await self._job(tuple(head["job"]))
            with attempt_of(attempt), own_secrets(secrets):
                usage = None
                data, note = await _call(caller, job, head, body)
            await attempt.settle()
        except BaseException as error:
            data, note = b"", {"failure": failure(_reason(error))}
        attempt.close()
        del self._attempts[key], self._running[key]
        us = (time.monotonic_ns() - began_ns) // 1000
        used = attempt.used or usage
        self.send({"ended": us, "key": key, "note": note, "usage": used}, data)

    async def _job(self, row: tuple[Any, ...]) -> Job:
        """Loading a capability is slow, so that is done beside the loop. Raises Refusal."""
        job = self._jobs.get(row)
        if job is None:
            name, version, module, cpu_s, memory, output = row
            try:
                found = await asyncio.to_thread(self._library.find, name, version, module)
            except Exception as error:
                raise not_loaded(name, error) from None
            if len(self._jobs) > JOBS_MAX:
                self._jobs.clear()
            job = self._jobs[row] = Job(found, cpu_s, memory, output)
        return job


async def _call(caller: Caller, job: Job, head: Head, body: bytes) -> Done:
    found, size = job.capability, head["size"]
    try:
        if head["phase"] != RUN or not found.waits:
            raise Refusal("invalid_argument", f"{found.name} does not wait, or not so", "")
        part: bool = head["part"]
        request = Request(RUN, 0, part, head["items"], body[size:], head["paths"], None)
        value = await found.function(**arguments(found, body[:size], request))
        return caller.result(found, value, part)
    except BaseException as error:
        return b"", {"failure": caller.failed(job, _reason(error))}


def _reason(error: BaseException) -> BaseException:
    if isinstance(error, asyncio.CancelledError):
        return Refusal("cancelled", "it was cancelled", "", retryable=True)
    return error


class Voice(io.TextIOBase):
    """sys.stdout or sys.stderr: what is written in an attempt is its output, the rest is nobody's."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str, /) -> int:
        attempt = current()
        if isinstance(attempt, HostAttempt):
            attempt.write(self._fd, text)
        return len(text)


async def _serve(setup: dict[str, Any]) -> None:
    host = Host(setup)
    sock = socket.socket(fileno=setup["socket"])
    await asyncio.get_running_loop().create_connection(lambda: host, sock=sock)
    with heard_by(lambda rows: host.send({"measured": rows})):
        await host.ended
        await host.farewell()


def main(setup: dict[str, Any]) -> None:
    die_with(setup["parent"])
    os.set_inheritable(setup["socket"], False)
    os.set_inheritable(setup["mark"], False)
    os.umask(0o077)  # what it keeps of answers is for nobody else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout, sys.stderr = Voice(1), Voice(2)
    try:
        with given_settings(setup["settings"]):
            asyncio.run(_serve(setup))
            atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        os._exit(0)
