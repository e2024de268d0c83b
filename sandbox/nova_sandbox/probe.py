"""The self-test: does this engine, on this kernel, really hold what it was asked to hold?

One container with small limits, and a program that runs into each of them. Cgroup limits in particular
may be accepted and do nothing, so they are tried and not read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from nova_sandbox.container import ContainerMaker
from nova_sandbox.errors import Insecure
from nova_sandbox.events import Finished, Output, Status
from nova_sandbox.limits import MIB, Limits
from nova_sandbox.profile import source
from nova_sandbox.request import Request

LIMITS = Limits(
    timeout_s=15.0,
    memory_bytes=64 * MIB,
    cpus=0.5,
    pids=24,
    open_files=64,
    tmp_bytes=2 * MIB,
    tmp_inodes=200,
    shm_bytes=MIB,
)


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    good: bool
    detail: str


async def checks(maker: ContainerMaker) -> list[Check]:
    """Every limit and what it did. Raises SandboxError when no container starts."""
    box = await replace(maker, limits=LIMITS).make()
    text = b""
    finished: Finished | None = None
    try:
        async for event in box.run(Request(source("probe_program.py")), LIMITS, False):
            match event:
                case Output(stream="stdout", data=data):
                    text += data
                case Finished():
                    finished = event
                case _:
                    pass
    finally:
        await box.close()
    lines = text.decode().splitlines()
    if not lines:
        why = f"{finished.status}: {finished.message}" if finished else "lost"
        raise Insecure(f"the self-test did not get far: {why}", "see nova-sandbox doctor")
    seen: dict[str, Any] = json.loads(lines[0])
    return [*_judge(seen), _memory(finished, lines)]


async def check(maker: ContainerMaker) -> None:
    """Raises Insecure, naming all that does not bite."""
    if bad := [c for c in await checks(maker) if not c.good]:
        raise Insecure(
            "limits do not bite here: " + "; ".join(f"{c.name} ({c.detail})" for c in bad),
            "see nova-sandbox doctor; on cgroup v1 boot with cgroup_enable=memory swapaccount=1",
        )


def _judge(seen: dict[str, Any]) -> list[Check]:
    def errno(name: str, wanted: str) -> Check:
        got = str(seen.get(name, "the program ended before"))
        return Check(name, got == wanted, got)

    processes = int(seen.get("processes", 1 << 20))
    return [
        Check("processes", processes < LIMITS.pids, f"{processes} of {LIMITS.pids}"),
        _cpu(*seen.get("cpu", (99.0, False, ""))),
        errno("open files", "EMFILE"),
        errno("write to the root", "EROFS"),
        errno("fill /tmp", "ENOSPC"),
        errno("inodes of /tmp", "ENOSPC"),
        errno("fill /dev/shm", "ENOSPC"),
        errno("execute from /tmp", "EACCES"),
        errno("netlink socket", "EPERM"),
        errno("vsock socket", "EPERM"),
        errno("new user namespace", "EPERM"),
        errno("io_uring", "EPERM"),
        errno("reach the network", "ENETUNREACH"),
    ]


def _cpu(share: float, throttled: bool, quota: str) -> Check:
    """It was held back; or it never got as much as it may have, on a busy machine, and has a quota."""
    held = throttled or not quota.startswith(("-1", "max"))
    detail = f"{share:.2f} of {LIMITS.cpus} CPUs"
    return Check("cpu", held and share < LIMITS.cpus * 1.5, detail)


def _memory(finished: Finished | None, lines: list[str]) -> Check:
    status = finished.status if finished else "lost"
    good = status == Status.OUT_OF_MEMORY and "survived" not in lines
    return Check("memory", good, str(status))
