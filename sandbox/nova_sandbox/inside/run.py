"""One run, seen from the main process: pump what the program writes, stop it in time, judge its end.

As process 1 it ends everything by `kill(-1)`, which no process of the container can avoid. The alarm
works even while nobody reads what is being written: a host that hangs stops no deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import struct
import time
from typing import Any

from nova_sandbox.inside.leftovers import TooMuch, Unsafe, collect, send_files
from nova_sandbox.inside.program import MAX_TEXT_BYTES, Child
from nova_sandbox.inside.wire import CHUNK, HOST_GONE_EXIT, send

UNTOLD_EXIT = 124
UNTOLD_S = 0.75
IS_INIT = os.getpid() == 1


def text_of(path: str) -> str:
    try:
        with open(path) as file:
            return file.read(CHUNK)
    except OSError:
        return ""


def oom_kills() -> int:
    """The kernel's count for this container, by cgroup v1 or v2."""
    for path in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        for line in text_of(path).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


class Run:
    def __init__(
        self, child: Child, wake: int, nonce: bytes, asked: dict[str, Any], stdin: bytes
    ) -> None:
        self.child, self.wake, self.nonce, self.asked = child, wake, nonce, asked
        self.stdin = memoryview(stdin)
        self.began = time.monotonic()
        self.ooms = oom_kills()
        self.output_bytes = 0
        self.result = bytearray()
        self.verdict: tuple[str, str] | None = None
        self.status: int | None = None
        self.used: resource.struct_rusage | None = None
        os.set_blocking(child.stdin, False)
        for fd in (child.stdout, child.stderr, child.result):
            os.set_blocking(fd, False)

    def kill(self) -> None:
        """Everything but this process. Process 1 reaches all of its container, whatever they did."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if IS_INIT:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(self.child.pid, signal.SIGKILL)

    def stop(self, status: str, message: str) -> None:
        if self.verdict is None:
            self.verdict = (status, message)
        self.kill()

    def on_alarm(self, *_: object) -> None:
        over_s = time.monotonic() - self.began - self.asked["timeout_s"]
        if over_s > UNTOLD_S:
            self.kill()
            os._exit(UNTOLD_EXIT)  # nobody reads what is to be told
        if over_s >= 0:
            self.stop("timeout", f"still running after {self.asked['timeout_s']:g} s")

    def supervise(self) -> None:
        """Until the program has left and all that it wrote is read."""
        child = self.child
        poll = select.poll()
        for fd in (child.stdout, child.stderr, child.result, self.wake, 0):
            poll.register(fd, select.POLLIN)
        if self.stdin:
            poll.register(child.stdin, select.POLLOUT)
        else:
            os.close(child.stdin)
        open_ends = {child.stdout, child.stderr, child.result}
        while open_ends or self.status is None:
            for fd, _ in poll.poll():
                if fd == 0:
                    os._exit(HOST_GONE_EXIT)
                elif fd == self.wake:
                    self.reap()
                elif fd == child.stdin:
                    self.feed(poll)
                elif not self.drain(fd):
                    poll.unregister(fd)
                    open_ends.discard(fd)
        if self.stdin:
            os.close(child.stdin)
        for fd in (child.stdout, child.stderr, child.result):
            os.close(fd)

    def reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 512)
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.child.pid:
                self.status, self.used = os.waitstatus_to_exitcode(status), used
                self.kill()  # what it left running

    def feed(self, poll: select.poll) -> None:
        try:
            self.stdin = self.stdin[os.write(self.child.stdin, self.stdin[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self.stdin = memoryview(b"")
        if not self.stdin:
            poll.unregister(self.child.stdin)
            os.close(self.child.stdin)

    def drain(self, fd: int) -> bool:
        """False at the end of the pipe."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        if fd == self.child.result:
            self.result += data
            if len(self.result) > self.asked["result_bytes"] + 4 * MAX_TEXT_BYTES:
                self.result.clear()
                self.stop("output_cap", "the result is too large")
            return bool(data)
        room = self.asked["output_bytes"] - self.output_bytes
        self.output_bytes += len(data)
        if data[:room] and room > 0:
            send(b"O" if fd == self.child.stdout else b"E", self.nonce, data[:room])
        if len(data) > room:
            limit = self.asked["output_bytes"]
            self.stop("output_cap", f"more than {limit:,} bytes on stdout and stderr")
        return bool(data)

    def told(self) -> tuple[dict[str, Any], bytes]:
        """What the program's interpreter said of its end."""
        if len(self.result) < 4:
            return {}, b""
        (size,) = struct.unpack_from(">I", self.result)
        try:
            told = json.loads(self.result[4 : 4 + size])
            value = bytes(self.result[4 + size :])
            json.loads(value or b"0")
        except (ValueError, RecursionError):
            return {}, b""
        return (told if isinstance(told, dict) else {}), value  # type: ignore

    def judge(self, told: dict[str, Any]) -> tuple[str, str]:
        if self.verdict:
            return self.verdict
        message = str(told.get("message", ""))[:1000]
        if self.status == -signal.SIGKILL and oom_kills() > self.ooms:
            return "out_of_memory", "the kernel killed it at the container's memory limit"
        if told.get("out_of_memory") is True:
            return "out_of_memory", message
        if self.status == 0:
            return "ok", ""
        if self.status is not None and self.status < 0:
            return "error", f"ended by {signal.Signals(-self.status).name}"
        return "error", message or f"left with exit code {self.status}"

    def finish(self, out: str) -> None:
        told, value = self.told()
        status, message = self.judge(told)
        found: list[tuple[str, int]] = []
        if len(value) > self.asked["result_bytes"]:
            status, message = "output_cap", "the result is too large"
        if status in ("ok", "error"):
            try:
                found = collect(out, self.asked)
                send_files(out, found, self.nonce)
            except TooMuch as error:
                status, message = "output_cap", str(error)
            except (Unsafe, OSError) as error:
                status, message = "refused", f"in /out: {error}"
        if status == "ok":
            for begin in range(0, len(value), CHUNK):
                send(b"V", self.nonce, value[begin : begin + CHUNK])
        used = self.used
        summary = {
            "status": status,
            "message": message,
            "traceback": str(told.get("traceback", ""))[: MAX_TEXT_BYTES + 100],
            "exit_code": self.status,
            "wall_s": time.monotonic() - self.began,
            "cpu_s": used.ru_utime + used.ru_stime if used else 0.0,
            "peak_bytes": used.ru_maxrss * 1024 if used else 0,
        }
        send(b"S", self.nonce, json.dumps(summary).encode())
