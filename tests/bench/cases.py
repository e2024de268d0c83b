"""The measured tests, the same for every peer. Each returns figures by name, unit last."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from bench.corpus import SIZE_BYTES, corpus
from bench.peer import Peer

Figures = dict[str, float]
MIB = 1 << 20


def one_at_a_time(peer: Peer, count: int) -> Figures:
    """A no-op there and back, nothing else under way."""
    peer.round_trips_s(100)
    took = sorted(peer.round_trips_s(count or 1_000))
    return {"p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[len(took) * 99 // 100] * 1e3}


def all_at_once(peer: Peer, count: int) -> Figures:
    """So many no-ops submitted together, until the last result is here."""
    count = count or 10_000
    peer.map("noop", range(min(500, count)))
    begin = time.perf_counter()
    results = peer.map("noop", range(count))
    took_s = time.perf_counter() - begin
    assert results == list(range(count)), "wrong results"
    return {"tasks_per_s": count / took_s}


def words(peer: Peer, _: int) -> Figures:
    """Count the words of 50 MB in 64 shards and merge the counts; the code is loaded before."""
    path = corpus(peer.scratch.parent)
    peer.map("worker_pid", range(8))
    few = peer.scratch / "few.txt"
    few.write_text("some words to begin with, and some more " * 64)
    peer.count_words(few)
    begin = time.perf_counter()
    total = peer.count_words(path)
    took_s = time.perf_counter() - begin
    letters = sum(len(word) * times for word, times in total.items())
    spaces = SIZE_BYTES - letters
    assert total.total() - spaces in (0, 1), "wrong counts"  # one after each word but the last
    return {"took_s": took_s}


def large(peer: Peer, count: int) -> Figures:
    """1 MiB in and the same out; megabytes both ways a second, alone and 16 at a time."""
    count = count or 64
    data = os.urandom(MIB)
    peer.map("echo", [data] * 8)
    begin = time.perf_counter()
    for _ in range(count):
        assert peer.map("echo", [data]) == [data]
    alone_s = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(0, count, 16):
        assert peer.map("echo", [data] * 16)[-1] == data
    deep_s = time.perf_counter() - begin
    moved = 2 * count * MIB / 1e6
    return {"alone_mb_per_s": moved / alone_s, "deep_mb_per_s": moved / deep_s}


def killed(peer: Peer, count: int) -> Figures:
    """Tasks of 50 ms; a third of the way, SIGKILL the node (the worker, where there are no nodes).

    `beyond_ideal_s` compares with the one worker left doing the rest without a pause."""
    count, duration_s = count or 200, 0.05
    marks = peer.scratch / "marks"
    marks.unlink(missing_ok=True)
    peer.map("worker_pid", range(8))
    kill = threading.Thread(target=_kill_at, args=(peer, marks, count // 3))
    kill.start()
    begin = time.perf_counter()
    arguments = [(str(marks), number, duration_s) for number in range(count)]
    got = peer.count(peer.begin("sleep_mark", arguments), 60.0)
    took_s = time.perf_counter() - begin
    kill.join()
    ideal_s = (count // 3) * duration_s / 2 + (count - count // 3) * duration_s
    starts, ends = _runs(marks, b"S"), _runs(marks, b"E")
    return {
        "took_s": took_s,
        "beyond_ideal_s": took_s - ideal_s,
        "lost": count - got,
        "started_twice": sum(times > 1 for times in starts.values()),
        "finished_twice": sum(times > 1 for times in ends.values()),
    }


def _kill_at(peer: Peer, marks: Path, done: int) -> None:
    """Kill who started last, once so many tasks ended."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = marks.read_bytes().splitlines() if marks.exists() else []
        ended = {line.split()[1] for line in lines if line.startswith(b"E")}
        open_pids = [
            int(x.split()[2]) for x in lines if x[:1] == b"S" and x.split()[1] not in ended
        ]
        if len(ended) >= done and open_pids:
            return peer.kill_node(open_pids[-1])
        time.sleep(0.005)
    return None


def _runs(marks: Path, kind: bytes) -> Counter[bytes]:
    lines = marks.read_bytes().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith(kind))


def fresh(peer: Peer, _: int) -> Figures:
    """From the start of a process to the first result, and what rests in memory afterwards.

    The clock runs from BENCH_SPAWNED, set by who started this process."""
    peer.map("noop", [1])
    first_s = time.time() - float(os.environ["BENCH_SPAWNED"])
    workers = set(peer.map("worker_pid", range(16)))
    time.sleep(3)
    processes = _tree()
    rss = {p.pid: p.memory_info().rss / 1e6 for p in processes}
    begin, before = time.perf_counter(), sum(map(_cpu_s, processes))
    time.sleep(3)
    cores = (sum(map(_cpu_s, processes)) - before) / (time.perf_counter() - begin)
    return {
        "first_result_s": first_s,
        "rss_all_mb": sum(rss.values()),
        "rss_worker_mb": statistics.median(rss[pid] for pid in workers),
        "idle_cores": cores,
        "processes": len(processes),
    }


def _tree() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


CASES: dict[str, Callable[[Peer, int], Figures]] = {
    "a": one_at_a_time,
    "b": all_at_once,
    "c": words,
    "d": large,
    "e": killed,
    "f": fresh,
}
