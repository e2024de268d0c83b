"""From rows of figures to the page docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One run. `figures` None: the peer could not do it."""

    peer: str
    case: str
    tasks: int
    figures: dict[str, float] | None


class Line(NamedTuple):
    """A line of the table: which figure of which case, and how it is told."""

    case: str
    figure: str
    title: str
    digits: int
    #: a smaller figure is the better one; None: not to be compared
    smaller: bool | None = True


LINES = (
    Line("a", "p50_ms", "a no-op there and back, median, ms", 2),
    Line("a", "p99_ms", "the same, 99th percentile, ms", 2),
    Line("b", "tasks_per_s", "10,000 no-ops at once, tasks/s", 0, smaller=False),
    Line("c", "took_s", "words of 50 MB in 64 shards, s", 2),
    Line("d", "alone_mb_per_s", "1 MiB in and out, one at a time, MB/s", 0, smaller=False),
    Line("d", "deep_mb_per_s", "the same, 16 at a time, MB/s", 0, smaller=False),
    Line("e", "took_s", "200 tasks of 50 ms, a node killed, s", 2),
    Line("e", "beyond_ideal_s", "the same, beyond the ideal, s", 2),
    Line("e", "lost", "tasks lost", 0, smaller=None),
    Line("e", "started_twice", "tasks started twice", 0, smaller=None),
    Line("f", "first_result_s", "start of a process to the first result, s", 2),
    Line("f", "rss_all_mb", "memory of all processes at rest, MB", 0),
    Line("f", "idle_cores", "cores used at rest", 3),
)
GROWTH_CASE = "b"
GROWTH_BASE = 10_000
NOVA_LINES = (
    Line("g", "found_s", "a second node is found over mDNS, s", 2),
    Line("h", "reassigned_s", "SIGKILL of a node to its attempts running elsewhere, s", 3),
)

NOTES = """\
Nova: an owner without slots and worker nodes of one slot each, all separate processes that talk
gRPC over loopback. *nova* journals every task with an fsync before it acknowledges; *nova-volatile*
does not. Ray, Dask: their ordinary set-up for one machine with two workers, and separate nodes
where one is killed. *pool*: `ProcessPoolExecutor`, which has no network, no retry and loses its
tasks when a worker is killed. A figure in brackets is how many times better Nova's journaled figure
is; below 1 it is worse. Figures move with the load of the machine; the ratios hold better.
`make bench` writes this page again; raw figures are left in `.benchmarks/`.
"""


def median(rows: Iterable[Row], peer: str, line: Line, count: int = 0) -> float | None:
    values = [
        row.figures[line.figure]
        for row in rows
        if row.figures and (row.peer, row.case, row.tasks) == (peer, line.case, count)
    ]
    return statistics.median(values) if values else None


def report(rows: Sequence[Row], rounds: int) -> str:
    peers = list(dict.fromkeys(row.peer for row in rows))
    parts = ["# Benchmarks", "", NOTES, machine(rounds), "", *comparison(rows, peers)]
    parts += ["", "## No-ops at once, as their number grows", "", *growth(rows, peers)]
    parts += ["", "## Nova alone", "", "| | median |", "|---|---|"]
    parts += [
        f"| {line.title} | {value:,.{line.digits}f} |"
        for line in NOVA_LINES
        if (value := median(rows, "nova", line)) is not None
    ]
    return "\n".join(parts) + "\n"


def comparison(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    table = ["| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for line in LINES:
        cells = [cell(rows, peer, line) for peer in peers]
        if any(text != "-" for text in cells):
            table.append(f"| {line.title} | " + " | ".join(cells) + " |")
    return table


def cell(rows: Sequence[Row], peer: str, line: Line) -> str:
    def of(name: str) -> float | None:
        grows = line.case == GROWTH_CASE and name.startswith("nova")
        return median(rows, name, line, GROWTH_BASE if grows else 0)

    value, ours = of(peer), of("nova")
    if value is None:
        return "-"
    text = f"{value:,.{line.digits}f}"
    if peer.startswith("nova") or line.smaller is None or not ours or min(value, ours) <= 0:
        return text
    return f"{text} ({value / ours if line.smaller else ours / value:.1f}x)"


def growth(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    line = next(x for x in LINES if x.case == GROWTH_CASE)
    ours = [peer for peer in peers if peer.startswith("nova")]
    table = ["| tasks | " + " | ".join(f"{peer}, tasks/s" for peer in ours) + " |"]
    table.append("|---" * (len(ours) + 1) + "|")
    for count in sorted({row.tasks for row in rows if row.case == GROWTH_CASE and row.tasks}):
        values = [median(rows, peer, line, count) for peer in ours]
        cells = ["-" if value is None else f"{value:,.0f}" for value in values]
        table.append(f"| {count:,} | " + " | ".join(cells) + " |")
    return table


def machine(rounds: int) -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    versions = f"nova-mesh {version('nova-mesh')}, grpcio {version('grpcio')}"
    return (
        f"Medians of {rounds} rounds, {time.strftime('%Y-%m-%d')}, on {os.cpu_count()} cores"
        f" ({processor()}), {memory_gib:.0f} GiB, {platform.system()} {platform.release()},"
        f" CPython {platform.python_version()}, {versions}, ray 2.60.0, distributed 2026.8.0."
    )


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
