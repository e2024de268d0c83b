"""A program in a pseudo-terminal of its own: typed at, its output kept with the moment it came."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import psutil

KEPT_BYTES = 1 << 20


class Terminal:
    """160x45 as a modern one answers: true colour, synchronised output."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        self._master, slave = pty.openpty()
        width, height = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.began = time.perf_counter()
        self.program = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(slave)
        self.process = psutil.Process(self.program.pid)
        self.written_bytes = 0
        self._kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.program.poll() is None:
            self.program.terminate()
        while self.program.poll() is None:
            self.drain(0.05)
        os.close(self._master)

    def type(self, keys: bytes) -> None:
        """What came before it is forgotten."""
        self.drain(0.0)
        self._kept = b""
        os.write(self._master, keys)

    def wait(self, seen: Callable[[bytes], bool], timeout_s: float) -> float | None:
        """The moment (perf_counter) at which the output since the last key satisfies `seen`."""
        end = time.perf_counter() + timeout_s
        while not seen(self._kept):
            left_s = end - time.perf_counter()
            if left_s <= 0 or self.program.poll() is not None:
                return None
            self._read(left_s)
        return time.perf_counter()

    def drain(self, seconds: float) -> None:
        """Reads whatever comes in that time."""
        end = time.perf_counter() + seconds
        while self._read(max(0.0, end - time.perf_counter())):
            pass

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the program ended
            return False
        if b"\x1b[?2026$p" in data:
            os.write(self._master, b"\x1b[?2026;2$y")
        self.written_bytes += len(data)
        self._kept = (self._kept + data)[-KEPT_BYTES:]
        return bool(data)

    @property
    def output(self) -> bytes:
        """Since the last key."""
        return self._kept

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def rss_bytes(self) -> int:
        return self.process.memory_info().rss
