"""What only a mesh has, measured on Nova alone: finding each other, and moving on after a death."""

from __future__ import annotations

import os
import signal
import statistics
import time
import uuid
from contextlib import suppress
from pathlib import Path

from bench.cases import Figures
from bench.mesh import Mesh
from nova_client import SyncClient

WAIT_S = 30.0
KILLS = 3


def found(scratch: Path) -> Figures:
    """From the start of a second node's process until the first node lists it, over mDNS alone."""
    mesh = Mesh(scratch, "bench-" + uuid.uuid4().hex[:8])
    try:
        mesh.spawn("first", "--slots", "1")
        with SyncClient(mesh.address("first")) as client:
            time.sleep(2)  # the first node's own announcements are over
            begin = time.perf_counter()
            mesh.spawn("second", "--slots", "1")
            _meet(client, 2)
            return {"found_s": time.perf_counter() - begin}
    finally:
        mesh.stop()


def reassigned(scratch: Path) -> Figures:
    """From SIGKILL of a node until the attempt that ran there has started on another."""
    mesh = Mesh(scratch)
    try:
        mesh.spawn("owner", "--no-mdns", "--slots", "0")
        address = mesh.address("owner")
        for number in range(KILLS + 1):
            mesh.spawn(f"worker-{number}", "--no-mdns", "--slots", "1", "--peer", address)
        with SyncClient(address) as client:
            _meet(client, len(mesh.nodes))
            took = [_reassigned_s(mesh, client, number) for number in range(KILLS)]
        return {"reassigned_s": statistics.median(took)}
    finally:
        mesh.stop()


def _reassigned_s(mesh: Mesh, client: SyncClient, number: int) -> float:
    marks = mesh.folder / f"marks-{number}"
    mark = {"path": str(marks), "number": number, "duration_s": 0.5}
    task = client.submit("bench.sleep_mark", mark)
    ((pid, _),) = _starts(marks, 1)
    pids = mesh.pids(mesh.node_of(pid))
    killed_at = time.time()
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    _, (_, again_at) = _starts(marks, 2)
    task.result(WAIT_S)
    return again_at - killed_at


def _meet(client: SyncClient, count: int) -> None:
    end = time.monotonic() + WAIT_S
    while len(client.nodes().nodes) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{count} nodes did not meet within {WAIT_S} s")
        time.sleep(0.01)


def _starts(marks: Path, count: int) -> list[tuple[int, float]]:
    """(process, time) of the first starts, once there are so many."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        lines = marks.read_bytes().splitlines() if marks.exists() else []
        starts = [line.split() for line in lines if line.startswith(b"S")]
        if len(starts) >= count:
            return [(int(pid), float(at)) for _, _, pid, at in starts[:count]]
        time.sleep(0.002)
    raise TimeoutError(f"the attempt did not start {count} times within {WAIT_S} s")
