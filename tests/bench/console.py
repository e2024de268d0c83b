"""How fast the console is: in a pseudo-terminal of 160x45, on a scripted mesh in another process.

python tests/bench/console.py [keys] [start] [idle] [memory] [--nodes 100] [--rate 2000]

Without a name all of them. `keys`: from a key to the first bytes of the screen that it changes, while
events arrive; `start`: from the command to the first frame; `idle`: processor of a quiet mesh of
three; `memory`: resident memory while events arrive. The load of the machine stands beside each.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

TESTS = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, TESTS)

from bench.console_crowd import crowd_process  # noqa: E402
from bench.console_pty import Terminal  # noqa: E402

SIZE = (160, 45)
PATIENCE_S = 20.0
WARM_S = 5.0
PAUSE_S = (0.05, 0.35)
"""Between two keys, so that they fall anywhere between two frames."""
STARTS = 7
IDLE_S = 20.0
MEMORY_S = 180.0
MEMORY_EVERY_S = 5.0

_STYLE = re.compile(rb"\x1b\[[0-9;]*m")
_TASK = re.compile(rb"\x1b\[(?:\d+;)*7;[^m]*m(n\d{7}-\d+)")
_NODE = re.compile("▸(?:●|◆|▲|✖|○|◇) crowd-(\\d+)".encode())
_PROMPT_ROW = re.compile(rb"\x1b\[44;\d+H([^\r\n]*)")

Seen = Callable[[bytes], bool]


class Key(NamedTuple):
    """What is typed, and how the screen shows that it was; `kind` names its group in the report."""

    kind: str
    typed: bytes
    seen: Seen


def plain(output: bytes) -> bytes:
    return _STYLE.sub(b"", output)


# ------------------------------------------------------------ what a key changes


def view(number: int, title: str, inside: str) -> Key:
    """The crumb and something of the view itself."""

    def seen(output: bytes) -> bool:
        text = plain(output)
        return f"crowd ▸ {title} ".encode() in text and inside.encode() in text

    return Key("view", str(number).encode(), seen)


def holds(kind: str, typed: bytes, text: str) -> Key:
    def seen(output: bytes) -> bool:
        return text.encode() in plain(output)

    return Key(kind, typed, seen)


def letter(typed: str, line: str) -> Key:
    """In the prompt's line."""

    def seen(output: bytes) -> bool:
        return any(line.encode() in plain(row) for row in _PROMPT_ROW.findall(output))

    return Key("letter", typed.encode(), seen)


class Cursor:
    """Sees the selection move: what is selected is drawn again, and is something else."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._chosen = b""

    def key(self, typed: bytes, kind: str) -> Key:
        return Key(kind, typed, self._moved)

    def _moved(self, output: bytes) -> bool:
        found = self._pattern.findall(output if self._pattern is _TASK else plain(output))
        if not found or found[-1] == self._chosen:
            return False
        self._chosen = found[-1]
        return True


def story(rounds: int) -> Iterator[Key | bytes]:
    """Keys to measure; bytes are typed and not measured."""
    task, node = Cursor(_TASK), Cursor(_NODE)
    for _ in range(rounds):
        yield view(2, "Tasks", "CAPABILITY")
        yield b"j"  # from the top, where the newest is chosen and changes by itself
        for step in (b"j", b"j", b"k", b"j", b"j", b"k"):
            yield task.key(step, "cursor")
        yield holds("prompt", b"/", "filter: word")
        yield letter("o", "o ")
        yield letter("k", "ok ")
        yield b"\x1b"
        yield view(4, "Events", "following")
        yield view(1, "Mesh", "Topology")
        for step in (b"l", b"j", b"h", b"k", b"l", b"h"):
            yield node.key(step, "node")
        yield holds("sheet", b"?", "EVERYWHERE")
        yield b"\x1b"


# ------------------------------------------------------------ measurements


def open_console(address: str) -> Terminal:
    command = [sys.executable, "-m", "nova_console.cli", "console", "--node", address]
    environment = {**os.environ, "NOVA_CONSOLE_CONFIG": os.devnull}
    return Terminal(command, environment, SIZE)


def shows(terminal: Terminal, text: str) -> float:
    at = terminal.wait(lambda output: text.encode() in output, PATIENCE_S)
    if at is None:
        raise RuntimeError(f"{text!r} did not come: {plain(terminal.output)[-2_000:]!r}")
    return at


def keys(nodes: int, rate: float, rounds: int) -> None:
    pause = random.Random(7)
    took_ms: dict[str, list[float]] = {}
    lost: list[bytes] = []
    with crowd_process(nodes, rate) as address, open_console(address) as terminal:
        shows(terminal, "crowd-001")
        terminal.drain(WARM_S)
        psutil.cpu_percent()
        began, used_s = time.perf_counter(), terminal.cpu_s()
        for key in story(rounds):
            terminal.drain(pause.uniform(*PAUSE_S))
            if isinstance(key, bytes):
                terminal.type(key)
                terminal.drain(0.5)
                continue
            terminal.type(key.typed)
            typed_at = time.perf_counter()
            at = terminal.wait(key.seen, 3.0)
            if at is None:
                lost.append(key.typed)
            else:
                took_ms.setdefault(key.kind, []).append((at - typed_at) * 1e3)
        share = (terminal.cpu_s() - used_s) / (time.perf_counter() - began)
    everything = [one for several in took_ms.values() for one in several]
    say(f"key to paint, {nodes} nodes, {rate:,.0f} events/s: {spread(everything)}")
    for kind, several in took_ms.items():
        say(f"    {kind:<8} {spread(several)}")
    say(f"    keys without an effect seen: {lost or 'none'}; console {share:.0%} of a processor")


def start(nodes: int) -> None:
    paints: list[float] = []
    meshes: list[float] = []
    with crowd_process(nodes, 0) as address:
        for _ in range(STARTS):
            with open_console(address) as terminal:
                paints.append((shows(terminal, "Topology") - terminal.began) * 1e3)
                meshes.append((shows(terminal, "crowd-001") - terminal.began) * 1e3)
    say(f"start to first paint: {spread(paints)}; best {min(paints):.0f} ms")
    say(f"    to {nodes} nodes shown: {spread(meshes)}")


def idle() -> None:
    with crowd_process(3, 0) as address, open_console(address) as terminal:
        shows(terminal, "crowd-001")
        terminal.drain(WARM_S)
        used_s, written = terminal.cpu_s(), terminal.written_bytes
        terminal.drain(IDLE_S)
        share = (terminal.cpu_s() - used_s) / IDLE_S
        sent = (terminal.written_bytes - written) / IDLE_S
        rss = terminal.rss_bytes()
    say(f"idle, 3 nodes, Mesh view: {share:.2%} of a processor, {sent:,.0f} bytes/s written")
    say(f"    resident {rss / 1e6:.0f} MB")


def memory(nodes: int, rate: float, seconds: float) -> None:
    """The slope is that of its second half, when all that is bounded is full."""
    points: list[tuple[float, float]] = []
    with crowd_process(nodes, rate) as address, open_console(address) as terminal:
        shows(terminal, "crowd-001")
        began = time.perf_counter()
        used_s = terminal.cpu_s()
        while (now := time.perf_counter() - began) < seconds:
            points.append((now, terminal.rss_bytes() / 1e6))
            terminal.drain(MEMORY_EVERY_S)
        share = (terminal.cpu_s() - used_s) / seconds
    late = [point for point in points if point[0] > seconds / 2]
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope * 3600
    say(f"memory: {points[0][1]:.0f} MB, after {seconds:.0f} s {points[-1][1]:.0f} MB,")
    say(f"    {slope:+.0f} MB/h in the second half; console {share:.0%} of a processor")


# ------------------------------------------------------------ told


def spread(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values}"
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return (
        f"p50 {statistics.median(values):.0f} ms, p95 {cuts[18]:.0f} ms,"
        f" worst {max(values):.0f} ms of {len(values)}"
    )


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["keys", "start", "idle", "memory"])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2_000.0)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=MEMORY_S)
    asked = parser.parse_args()
    for what in asked.what:
        psutil.cpu_percent()
        match what:
            case "keys":
                keys(asked.nodes, asked.rate, asked.rounds)
            case "start":
                start(asked.nodes)
            case "idle":
                idle()
            case "memory":
                memory(asked.nodes, asked.rate, asked.seconds)
            case _:
                parser.error(f"no measurement {what!r}")
        load = os.getloadavg()[0]
        say(f"    machine: {psutil.cpu_percent():.0f} % of {os.cpu_count()} busy, load {load:.1f}")


if __name__ == "__main__":
    main()
