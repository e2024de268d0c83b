"""One worker process as its node sees it: spawned (never forked), spoken to in frames, watched.

Rule: it is gone only when its output was read to the end or cannot be any more; its whole process
group goes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from nova_node.adapters.worker_frames import Head
from nova_node.adapters.worker_main import IDLE
from nova_node.adapters.worker_socket import WorkerSocket

SOCKET_BYTES = 1 << 20
DRAIN_S = 0.5
RETIRE_S = 5.0
PAUSE_S = 0.01
PIPE_BYTES = 1 << 16
NO_SETTINGS: Mapping[str, object] = MappingProxyType({})

_START = (
    "import sys, json; setup = json.loads(sys.argv.pop()); sys.path[:] = setup['path']; "
    "from importlib import import_module; import_module(setup['main']).main(setup)"
)
WORKER_MAIN = "nova_node.adapters.worker_main"


class Setup(NamedTuple):
    """What worker processes of one node have in common."""

    #: folder of large results
    spool: str
    #: that hold capabilities, beside those of the installed entry points
    modules: tuple[str, ...] = ()
    settings: Mapping[str, object] = NO_SETTINGS


class WorkerProcess:
    """`on_frames` gets (header, body) pairs, `on_raw` the key of an attempt and what was written in
    it to file descriptor 1 or 2; when that returns False the process has to wait a little before
    it can write more. `main` is the module whose `main` it runs."""

    def __init__(
        self,
        on_frames: Callable[[list[tuple[Head, bytes]]], None],
        on_raw: Callable[[int, int, bytes], bool],
        main: str = WORKER_MAIN,
    ) -> None:
        self._on_frames, self._on_raw, self._main = on_frames, on_raw, main
        self._loop = asyncio.get_running_loop()
        self._socket: WorkerSocket | None = None
        self._child: asyncio.SubprocessTransport | None = None
        self._pipes: dict[int, int] = {}
        self._exited = False
        self.pid = 0
        self.ended: asyncio.Future[int] = self._loop.create_future()
        """The return code, negative for a signal."""

    async def start(self, given: Setup, after: Sequence[str] = ()) -> None:
        """`after`: name, version and module of the capability in which its predecessor was killed.

        Raises OSError when the system has no room for another process."""
        ours, theirs = socket.socketpair()
        mark = _shared_memory()
        self._mark = mmap.mmap(mark, 16)
        self._mark_view = memoryview(self._mark).cast("q")
        self._mark_view[0] = IDLE
        for each in (ours, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        setup = {
            "main": self._main,
            "path": sys.path,
            "socket": theirs.fileno(),
            "mark": mark,
            "parent": os.getpid(),
            "spool": given.spool,
            "modules": given.modules,
            "settings": dict(given.settings),
            "after": list(after),
        }
        outputs = [self._pipe(fd) for fd in (1, 2)]
        try:
            self._socket = WorkerSocket(ours, self._on_frames, self.lost)
            child, _ = await self._loop.subprocess_exec(
                lambda: _Child(self),
                *(sys.executable, "-c", _START, json.dumps(setup)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=outputs[0],
                stderr=outputs[1],
                pass_fds=(theirs.fileno(), mark),
                start_new_session=True,
                cwd=given.spool,
            )
        except BaseException:
            self._close()
            raise
        finally:
            theirs.close()
            for each in (mark, *outputs):
                os.close(each)
        self._child = child
        self.pid = child.get_pid()

    def send(self, *pieces: bytes) -> None:
        if self._socket:
            self._socket.send(*pieces)

    def current(self) -> tuple[int, int]:
        """The key of the attempt it is in (IDLE: none), and its start by the monotonic clock in ns.
        Still true after the process ended."""
        return self._mark_view[0], self._mark_view[1]

    def kill(self) -> None:
        """SIGKILL to it and to all that it started and that did not leave its group."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def retire(self) -> None:
        """Let it clean up and end by itself, and wait a little until it did."""
        if self._socket:
            self._socket.end()
        await asyncio.wait({self.ended}, timeout=RETIRE_S)

    def lost(self) -> None:
        """The socket was closed."""
        if not self._exited:
            self.kill()
        self._socket = None
        self._finish_if_drained()

    def exited(self) -> None:
        self._exited = True
        self.kill()
        self._loop.call_later(DRAIN_S, self._finish)
        self._finish_if_drained()

    def _finish_if_drained(self) -> None:
        if self._exited and not self._socket and not self._pipes:
            self._finish()

    def _finish(self) -> None:
        if self.ended.done() or not self._child:
            return
        self._close()
        code = self._child.get_returncode()
        self._child.close()
        self.ended.set_result(code if code is not None else -signal.SIGKILL)

    def _pipe(self, fd: int) -> int:
        """Opens a pipe, reads from it, and returns the end to write to."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self._pipes[fd] = ours
        self._loop.add_reader(ours, self._read, fd)
        return theirs

    def _read(self, fd: int) -> None:
        """The attempt is asked for before the read: it does not end while there is something to
        read, so that this is the one which wrote it."""
        pipe = self._pipes[fd]
        key, _ = self.current()
        data = os.read(pipe, PIPE_BYTES)
        if not data:
            self._close_pipe(fd)
            self._finish_if_drained()
        elif not self._on_raw(key, fd, data) and not self._exited:
            self._loop.remove_reader(pipe)
            self._loop.call_later(PAUSE_S, self._resume, fd)

    def _resume(self, fd: int) -> None:
        if fd in self._pipes:
            self._loop.add_reader(self._pipes[fd], self._read, fd)

    def _close_pipe(self, fd: int) -> None:
        pipe = self._pipes.pop(fd)
        self._loop.remove_reader(pipe)
        os.close(pipe)

    def _close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
        for fd in tuple(self._pipes):
            self._close_pipe(fd)


class _Child(asyncio.SubprocessProtocol):
    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def process_exited(self) -> None:
        self._process.exited()


def _shared_memory() -> int:
    """A file of 16 bytes without a name."""
    if sys.platform == "linux":
        fd = os.memfd_create("nova-mark")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, 16)
    return fd


def death(code: int) -> str:
    """What a return code tells, in words."""
    if code >= 0:
        return f"exited with status {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
