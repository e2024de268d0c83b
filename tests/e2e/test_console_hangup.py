"""A console that loses its terminal, or is told to end, is gone soon, however busy the mesh is."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

import psutil
import pytest
from bench.console_crowd import crowd_process
from support.mesh import NOVA, PATIENCE_S

NODES, EVENTS_PER_S = 100, 2_000
ENDS_S = 4.0
"""The console takes two at the most; the rest is for a machine that does other things too."""
STUCK_S = 20.0
TIMES = 3


@pytest.fixture(scope="module")
def crowd() -> Iterator[str]:
    with crowd_process(NODES, EVENTS_PER_S) as address:
        yield address


class Console:
    """In a pseudo-terminal; `controls` makes that the one whose end the kernel signals."""

    def __init__(self, address: str, *, controls: bool) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
        command = [NOVA, "console", "--node", address]
        if controls:  # whoever opens it after a new session began has it
            command = ["sh", "-c", f'exec "$@" <{os.ttyname(slave)}', "sh", *command]
        self._program = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "NOVA_CONSOLE_CONFIG": os.devnull},
            start_new_session=True,
        )
        os.close(slave)
        self._drawn = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._program.poll() is None:
            self._program.kill()
            self._program.wait()
        self.close()

    def read(self, timeout_s: float) -> None:
        if select.select([self._master], [], [], timeout_s)[0]:
            with suppress(OSError):  # it has ended
                self._drawn = (self._drawn + os.read(self._master, 1 << 16))[-(1 << 16) :]

    def shows(self, wanted: bytes) -> None:
        end = time.monotonic() + PATIENCE_S
        while wanted not in self._drawn:
            self.read(0.1)
            assert time.monotonic() < end, self._drawn[-2_000:]

    def close(self) -> None:
        """The window is closed, the connection is cut."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def tell(self, number: signal.Signals) -> None:
        self._program.send_signal(number)

    def stick(self) -> None:
        """Nobody reads what it writes, until it cannot go on: it uses no processor any more."""
        process, end = psutil.Process(self._program.pid), time.monotonic() + STUCK_S
        used = -1.0
        while (now := sum(process.cpu_times()[:2])) - used > 0.05:
            used = now
            time.sleep(1.0)
            assert time.monotonic() < end

    def ended(self, *, reading: bool = False) -> int:
        """How it ended, soon; `reading` as a terminal does."""
        end = time.monotonic() + ENDS_S
        while self._program.poll() is None:
            assert time.monotonic() < end, "the console goes on"
            if reading:
                self.read(0.02)
            else:
                time.sleep(0.02)
        return self._program.wait()


def close(console: Console) -> None:
    console.close()


def terminate(console: Console) -> None:
    console.tell(signal.SIGTERM)


def hang_up(console: Console) -> None:
    console.tell(signal.SIGHUP)


@pytest.mark.parametrize("controls", [True, False])
def test_a_terminal_that_goes_away_ends_it(crowd: str, controls: bool) -> None:
    """With the signal of the kernel, and without: then only the end of its input tells."""
    for _ in range(TIMES):
        with Console(crowd, controls=controls) as console:
            console.shows(b"crowd-001")
            console.close()
            assert console.ended() == (-signal.SIGHUP if controls else 128 + signal.SIGHUP)


def test_told_to_end_it_gives_the_terminal_back(crowd: str) -> None:
    for _ in range(TIMES):
        with Console(crowd, controls=True) as console:
            console.shows(b"crowd-001")
            console.tell(signal.SIGTERM)
            assert console.ended(reading=True) == 0
            console.shows(b"\x1b[?1049l")


@pytest.mark.parametrize("act", [close, terminate, hang_up])
def test_a_terminal_that_nobody_reads_does_not_keep_it(
    crowd: str, act: Callable[[Console], None]
) -> None:
    with Console(crowd, controls=False) as console:
        console.shows(b"crowd-001")
        console.stick()
        act(console)
        assert console.ended() != 0
