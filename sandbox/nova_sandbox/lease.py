"""Whose a container is, as labels, and which ones nobody holds any more. No I/O but /proc.

A container belongs to the process that made it. It is an orphan when that process is known to be
gone (same boot, same process namespace, no such process), or, where that cannot be known, when its
lease has run out: no container lives longer than its idle time and its longest run together.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

LABEL = "nova.sandbox"
OWNER = LABEL + ".owner"
NODE = LABEL + ".node"
LEASE = LABEL + ".lease"
MARGIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Owner:
    """One sandbox of a process: `boot` and `namespace` say where the process's number means something,
    `started` tells it from a later one with that number."""

    boot: str
    namespace: str
    pid: int
    started: str
    sandbox: str

    def __str__(self) -> str:
        return f"{self.boot}/{self.namespace}/{self.pid}/{self.started}/{self.sandbox}"


def read_owner(text: str) -> Owner | None:
    parts = text.split("/")
    if len(parts) != 5 or not parts[2].isdecimal():
        return None
    return Owner(parts[0], parts[1], int(parts[2]), parts[3], parts[4])


def new_owner() -> Owner:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:  # no Linux: then the lease decides
        boot = namespace = ""
    return Owner(boot, namespace, os.getpid(), started(os.getpid()), secrets.token_hex(4))


def labels(owner: Owner, node: str, lease_until: float) -> dict[str, str]:
    """`lease_until` in seconds of Unix time."""
    return {LABEL: "1", OWNER: str(owner), NODE: node, LEASE: str(int(lease_until))}


def is_orphan(found: dict[str, str], me: Owner, now: float | None = None) -> bool:
    """By the labels of a container that is not among one's own. `now` in seconds of Unix time."""
    owner = read_owner(found.get(OWNER, ""))
    if owner and owner.boot and (owner.boot, owner.namespace) == (me.boot, me.namespace):
        return started(owner.pid) != owner.started
    lease = found.get(LEASE, "")
    return not lease.isdecimal() or (now or time.time()) > int(lease) + MARGIN_S


def started(pid: int) -> str:
    """Clock ticks from boot to the process's start; empty when there is none, or only its corpse."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
