"""A disk of its own whose power can be cut: ext4 in a file, on a loop device.

A cut forgets all that was not synced, the file system's own journal included: as pulling the plug does,
but for a disk that lies about what it has written. One thing is unlike it: to a sync that is under way
the file system may report success although nothing was written (Linux 6.18 does, at 1 cut in 30). So
whoever writes stands still at a cut, and either tells nobody of it or has no sync under way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

from support.mesh import wait_for

TOOLS = ("mkfs.ext4", "losetup", "mount", "umount")
SHUTDOWN = 0x8004587D
"""The ioctl EXT4_IOC_SHUTDOWN."""

NO_LOG_FLUSH = 2
CAP_SYS_ADMIN = 21


def missing() -> str:
    """What a machine that may have such disks lacks; "" when it lacks nothing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(absent)}" if absent else ""


def refused() -> str:
    """Why this machine may have no such disk, whatever is installed; "" when it may."""
    if os.name != "posix" or os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices"
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    if not int(status["CapEff"], 16) >> CAP_SYS_ADMIN & 1:
        return "this container may not mount"
    return ""


class Disk:
    """`with Disk(image, at)`: mounted at the folder `at`, which is made; gone on exit."""

    def __init__(self, image: Path, at: Path, size_bytes: int = 1 << 30) -> None:
        self._image = image
        self._at = at
        self._size_bytes = size_bytes

    def __enter__(self) -> Self:
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._at.mkdir()
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        if os.path.ismount(self._at):
            self._unmount()
        self._image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self._at))

    def _unmount(self) -> None:
        """Those who were killed may take a moment to let go of it."""
        umount = ["umount", str(self._at)]
        wait_for(
            lambda: subprocess.run(umount, check=False, capture_output=True).returncode == 0,
            f"{self._at} to be let go of",
        )

    def cut(self) -> None:
        """From now on nothing reaches the disk: who writes or syncs gets an error."""
        folder = os.open(self._at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def power_on(self) -> None:
        """After a cut, when nobody uses it any more: what is on it is what was synced."""
        self._unmount()
        self._mount()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
