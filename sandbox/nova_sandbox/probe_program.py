"""Runs inside a container with the small limits of probe.py: runs into each, prints what it met."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable


def met(action: Callable[[], object]) -> str:
    """The name of the error that an action meets."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "nothing"


def processes() -> int:
    """How many can be started, of a few more than are allowed."""
    started: list[int] = []
    try:
        while len(started) < 40:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            started.append(pid)
    except OSError:
        pass
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(started)


def text_of(*paths: str) -> str:
    """Of the first that can be read: the paths of cgroup v1 and v2."""
    for path in paths:
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            pass
    return ""


def throttled() -> bool:
    """Whether the kernel held this container back."""
    lines = text_of("/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu.stat").splitlines()
    return any(line.startswith("nr_throttled ") and line.split()[1] != "0" for line in lines)


def cpu() -> tuple[float, bool, str]:
    """CPUs that a process gets which wants one, whether it was held back, and its quota in words of
    the kernel. On a busy machine it may get so little that nothing holds it back."""
    began, used = time.monotonic(), time.process_time()
    while True:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        wall_s = time.monotonic() - began
        if throttled() or wall_s > 1.5:
            quota = text_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max")
            return (time.process_time() - used) / wall_s, throttled(), quota.strip()


def open_files() -> None:
    held: list[int] = []
    try:
        while len(held) < 10_000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for fd in held:
            os.close(fd)


def fill(path: str, pieces: int) -> None:
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(pieces):
                if file.write(bytes(65536)) < 65536:
                    raise OSError(errno.ENOSPC, "short write")
    finally:
        os.unlink(path)


def many_files() -> None:
    for number in range(2000):
        os.close(os.open(f"/tmp/{number}", os.O_CREAT))


def execute() -> None:
    with open("/tmp/program", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod("/tmp/program", 0o755)
    os.execv("/tmp/program", ["program"])


def new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


def io_uring() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(425, 1, ctypes.create_string_buffer(120)) < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")


def reach(address: str) -> None:
    with socket.socket() as connection:
        connection.settimeout(2)
        connection.connect((address, 53))


seen: dict[str, object] = {
    "processes": processes(),
    "cpu": cpu(),
    "open files": met(open_files),
    "write to the root": met(lambda: os.open("/written", os.O_CREAT | os.O_WRONLY)),
    "fill /tmp": met(lambda: fill("/tmp/large", 100)),
    "fill /dev/shm": met(lambda: fill("/dev/shm/large", 100)),
    "execute from /tmp": met(execute),
    "inodes of /tmp": met(many_files),
    "netlink socket": met(lambda: socket.socket(16, socket.SOCK_RAW)),
    "vsock socket": met(lambda: socket.socket(40, socket.SOCK_STREAM)),
    "new user namespace": met(new_namespace),
    "io_uring": met(io_uring),
    "reach the network": met(lambda: reach("192.0.2.1")),
}
sys.stdout.write(json.dumps(seen) + "\n")
eaten: list[bytearray] = []
for _ in range(32):
    eaten.append(bytearray(b"x" * (8 << 20)))
sys.stdout.write("survived\n")
