"""The work that every peer runs. Importable by their workers; the standard library only."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any


def noop(number: int) -> int:
    return number


def echo(data: bytes) -> bytes:
    return data


def count_words(text: bytes) -> Counter[str]:
    """A Counter and not a dict: Dask walks a plain dict item by item, 1.5 s for each shard."""
    return Counter(text.decode("ascii").split())


def worker_pid(_: int) -> int:
    """Long enough that every worker gets at least one of a handful."""
    time.sleep(0.02)
    return os.getpid()


def sleep_mark(mark: tuple[str, int, float]) -> int:
    """(file, number, seconds): write a start line, sleep, write an end line.

    The file tells what really ran, whatever the peer reports."""
    path, number, duration_s = mark
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, b"S %d %d %.6f\n" % (number, os.getpid(), time.time()))
        time.sleep(duration_s)
        os.write(file, b"E %d %d %.6f\n" % (number, os.getpid(), time.time()))
    finally:
        os.close(file)
    return number


WORK: dict[str, Callable[[Any], Any]] = {
    f.__name__: f for f in (noop, echo, count_words, worker_pid, sleep_mark)
}
