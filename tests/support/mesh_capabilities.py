"""Capabilities for real nodes (`--capability support.mesh_capabilities`) whose effects tests can see."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nova_node.capability import Shards, capability


@capability("mesh.mark")
def mark(path: str, number: int, seconds: float) -> int:
    """Writes a start line, waits, writes an end line: the file tells what really ran."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, b"S %d %d %.6f\n" % (number, os.getpid(), time.time()))
        time.sleep(seconds)
        os.write(file, b"E %d %d %.6f\n" % (number, os.getpid(), time.time()))
    finally:
        os.close(file)
    return number


@capability("mesh.draw")
def draw(size_bytes: int) -> bytes:
    """No two attempts have the same value."""
    return os.urandom(size_bytes)


@capability("mesh.tree")
def tree(depth: int, wide: int) -> Any:
    """Splits again and again while it runs; its value is the number of leaves."""
    if not depth:
        return 1
    return Shards({"depth": depth - 1, "wide": wide} for _ in range(wide))


@tree.merge
def _(parts: Iterator[int]) -> int:
    return sum(parts)


@capability("mesh.talk")
def talk(path: str) -> str:
    """Says one line, waits for a file, says another."""
    os.write(1, b"before\n")
    while not Path(path).exists():
        time.sleep(0.01)
    os.write(2, b"after\n")
    return "said"


@capability("mesh.child")
def child(path: str) -> None:
    """Starts a process that would outlive it, writes its id to a file, and hangs."""
    process = subprocess.Popen(["sleep", "3600"])
    part = Path(path).with_suffix(".part")
    part.write_text(str(process.pid))
    part.rename(path)
    time.sleep(3600)
