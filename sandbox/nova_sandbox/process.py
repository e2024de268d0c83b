"""The fallback for a machine with no engine: a fresh interpreter with rlimits, in new namespaces where
the kernel allows. No boundary: a program can read what this user can, and use the disk. It keeps a
program from taking the machine's time and memory by mistake, and its network where namespaces work.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from nova_sandbox.box import Autopsy, Box
from nova_sandbox.limits import Limits
from nova_sandbox.profile import runner_source

NAMESPACES = (
    *("--user", "--map-root-user", "--net", "--ipc", "--uts", "--pid", "--mount"),
    *("--fork", "--kill-child"),
)
END_TIMEOUT_S = 2.0


@cache
def namespaces() -> tuple[str, ...]:
    """The command that makes them; empty where the kernel does not let us."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    command = (unshare, *NAMESPACES)
    probe = subprocess.run([*command, "true"], capture_output=True, timeout=10)
    return command if probe.returncode == 0 else ()


@dataclass(frozen=True, slots=True)
class ProcessHandle:
    name: str
    process: subprocess.Popen[bytes]
    folder: Path

    async def destroy(self, timeout_s: float | None = None) -> None:
        await asyncio.to_thread(self._destroy, timeout_s or END_TIMEOUT_S)

    def _destroy(self, timeout_s: float) -> None:
        self.process.kill()
        self.process.wait(timeout_s)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def autopsy(self) -> Autopsy:
        code = await asyncio.to_thread(self.process.wait, END_TIMEOUT_S)
        return Autopsy(False, code)


@dataclass(slots=True)
class ProcessMaker:
    limits: Limits
    names: set[str] = field(default_factory=set[str])

    async def make(self) -> Box:
        ours, theirs = socket.socketpair()
        with theirs:
            handle = await asyncio.to_thread(self._start, theirs)
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        box = Box(reader, writer, handle, None)
        try:
            await box.ready()
        except BaseException:
            await box.close()
            raise
        return box

    def _start(self, theirs: socket.socket) -> ProcessHandle:
        folder = Path(tempfile.mkdtemp(prefix="nova-process-"))
        (folder / "out").mkdir()
        command = [sys.executable, "-I", "-c", runner_source()]
        process = subprocess.Popen(
            [*namespaces(), *command, str(folder / "out"), json.dumps(_rlimits(self.limits))],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        return ProcessHandle(f"process-{process.pid}", process, folder)


def _rlimits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": int(limits.timeout_s * limits.cpus) + 2,
        "RLIMIT_FSIZE": limits.tmp_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
