"""The resident runner: it waits, with a child ready, for one request on stdin.

It is not to be killed or read by the program, reaps what the program leaves, and takes the container
with it when its stdin closes: a host that died leaves nothing running.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

from nova_sandbox.inside.leftovers import empty
from nova_sandbox.inside.program import Child, dumpable
from nova_sandbox.inside.run import Run, text_of
from nova_sandbox.inside.wire import HEAD, read_exact, send, write_all


def facts() -> dict[str, Any]:
    """What the host compares with what it asked for."""
    status = dict(line.split(":\t", 1) for line in text_of("/proc/self/status").splitlines())
    mounts = [line.split(" - ")[0].split() for line in text_of("/proc/self/mountinfo").splitlines()]
    return {
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "uid": os.getuid(),
        "capabilities": status.get("CapEff", "") + status.get("CapBnd", ""),
        "no_new_privileges": status.get("NoNewPrivs", "?"),
        "seccomp": status.get("Seccomp", "?"),
        "interfaces": [n.split(":")[0].strip() for n in text_of("/proc/net/dev").splitlines()[2:]],
        "mounts": {mount[4]: mount[5] for mount in mounts if len(mount) > 5},
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "core_bytes": resource.getrlimit(resource.RLIMIT_CORE)[1],
    }


def on_child(number: int, frame: object) -> None:
    """Python writes to the wakeup descriptor for signals that have a handler."""


def serve(out: str) -> None:
    """Requests one after the other, until one does not ask to keep the container."""
    dumpable(False)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, on_child)
    wake, woken = os.pipe()
    for fd in (wake, woken):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    keep = True
    first = True
    while keep:
        child = Child(out)
        if first:
            send(b"Y", bytes(16), json.dumps(facts()).encode())
            first = False
        size, nonce, _ = HEAD.unpack(read_exact(0, HEAD.size))
        body = read_exact(0, size)
        (head_size,) = struct.unpack_from(">I", body)
        asked = json.loads(body[4 : 4 + head_size])
        keep = asked["keep"]
        run = Run(child, wake, nonce, asked, body[4 + head_size :])
        signal.signal(signal.SIGALRM, run.on_alarm)
        signal.setitimer(signal.ITIMER_REAL, asked["timeout_s"], 0.25)
        program = json.dumps(asked["program"]).encode()
        with contextlib.suppress(OSError):  # if the child is gone, its exit code tells
            write_all(child.control, struct.pack(">I", len(program)) + program)
        os.close(child.control)
        run.supervise()
        run.finish(out)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if keep:
            empty(out)
    read_exact(0, 1)  # the host chooses when it has the time to clear up


def limit(wanted: dict[str, int]) -> None:
    """Where no container sets them."""
    for name, value in wanted.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def main() -> None:
    """Arguments: the output folder, and limits to set as JSON."""
    if sys.argv[2:]:
        limit(json.loads(sys.argv[2]))
    serve(sys.argv[1])
