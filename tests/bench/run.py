"""Nova beside Ray, Dask and a bare process pool, on this machine: writes docs/benchmarks.md.

`make bench`, or `.venv/bin/python tests/bench/run.py --rounds 5 --cases ab --peers nova,ray`.
Each test of each peer runs in a process of its own, round after round, so that a busy minute hits
all of them; the table holds medians. Ray and Dask get virtual environments, made on first use."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.report import Row, report  # noqa: E402

PINNED = {
    "ray": ("ray==2.60.0", "psutil"),
    "dask": ("dask==2026.8.0", "distributed==2026.8.0", "psutil"),
}
PEERS = ("nova", "nova-volatile", "ray", "dask", "pool")
NOVA_ONLY = "gh"
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
TIMEOUT_S = 600


class Job(NamedTuple):
    peer: str
    case: str
    tasks: int = 0


def jobs(peers: list[str], cases: str) -> list[Job]:
    """One round, the peers of a case next to each other."""
    found: list[Job] = []
    for case in cases:
        for peer in peers:
            nova = peer.startswith("nova")
            if case in NOVA_ONLY and peer != "nova":
                continue
            if peer == "nova-volatile" and case not in "abd":
                continue
            counts = GROWTH if nova and case == "b" else (0,)
            found += [Job(peer, case, count) for count in counts]
    return found


def interpreter(peer: str) -> str:
    """The Python that has the peer; its environment is made when it is not there."""
    pinned = PINNED.get(peer)
    if pinned is None:
        return sys.executable
    venv = ROOT / f".venv-bench-{peer}"
    python = venv / "bin/python"
    ready = venv / ".ready"
    if not ready.exists():
        say(f"installing {' '.join(pinned)} (once)")
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *pinned], check=True)
        ready.touch()
    return str(python)


def run(job: Job, scratch: Path) -> dict[str, float] | None:
    """The figures, or None (and a line that says why) when the peer could not do it."""
    folder = scratch / f"{job.peer}-{job.case}-{time.monotonic_ns()}"
    folder.mkdir()
    command = [interpreter(job.peer), "-m", "bench.one", job.peer, job.case, str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests"),
        "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}",
        "BENCH_SPAWNED": repr(time.time()),
    }
    try:
        done = subprocess.run(
            [*command, str(job.tasks)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        say(f"{job}: nothing after {TIMEOUT_S} s")
        return None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        say(f"{job}: failed\n{done.stderr[-2_000:]}")
        return None
    return json.loads(lines[-1])


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="abcdefgh", help="letters of the tests")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()
    peers: list[str] = options.peers.split(",")
    for peer in peers:
        interpreter(peer)
    rows: list[Row] = []
    raw = ROOT / ".benchmarks"
    raw.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="nova-bench-") as scratch,
        (raw / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl").open("w") as log,
    ):
        for turn in range(options.rounds):
            for job in jobs(peers, options.cases):
                figures = run(job, Path(scratch))
                row = Row(*job, figures)
                rows.append(row)
                log.write(json.dumps(row._asdict()) + "\n")
                log.flush()
                say(f"round {turn + 1}/{options.rounds} {job.peer} {job.case} {figures}")
    options.out.write_text(report(rows, options.rounds))
    say(f"wrote {options.out}")


if __name__ == "__main__":
    main()
