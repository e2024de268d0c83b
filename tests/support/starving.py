"""A share of a processor, and no more, for some processes: a control group of Linux, either version."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

V1 = Path("/sys/fs/cgroup/cpu")
V2 = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


def refused() -> str:
    """Why this machine gives no such groups; "" when it does."""
    group = V1 if V1.is_dir() else V2
    if not os.access(group / "cgroup.procs", os.W_OK):
        return "needs a control group that it may write to"
    if group is V2 and "cpu" not in (group / "cgroup.subtree_control").read_text().split():
        return "needs the controller cpu of control groups"
    return ""


class Starved:
    """`with Starved(pid, 0.02)`: that process and all below it share 2 % of one processor."""

    def __init__(self, pid: int, share: float) -> None:
        self._pid = pid
        self._quota_us = int(PERIOD_US * share)
        self._root = V1 if V1.is_dir() else V2
        self._group = self._root / f"nova-{secrets.token_hex(4)}"

    def __enter__(self) -> Self:
        self._group.mkdir()
        if self._root is V1:
            (self._group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._group / "cpu.cfs_quota_us").write_text(str(self._quota_us))
        else:
            (self._group / "cpu.max").write_text(f"{self._quota_us} {PERIOD_US}")
        node = psutil.Process(self._pid)
        self._move([node, *node.children(recursive=True)], self._group)
        return self

    def __exit__(self, *_: object) -> None:
        pids = (self._group / "cgroup.procs").read_text().split()
        with suppress(psutil.NoSuchProcess):
            self._move([psutil.Process(int(pid)) for pid in pids], self._root)
        self._group.rmdir()

    def _move(self, processes: list[psutil.Process], group: Path) -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(process.pid))
