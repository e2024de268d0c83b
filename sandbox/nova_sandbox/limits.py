"""How much a program may use. Every number is checked when it is given."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum

MIB = 1024 * 1024


class Tier(StrEnum):
    """How far the code is trusted: which OCI runtime stands between it and the kernel."""

    TRUSTED = "trusted"
    """runc: one's own code, kept from mistakes. Not a boundary for hostile code."""
    UNTRUSTED = "untrusted"
    """runsc (gVisor): refused where it is not installed."""


RANGES: dict[str, tuple[float, float]] = {
    "timeout_s": (0.05, 86_400),
    "memory_bytes": (64 * MIB, 1 << 50),
    "cpus": (0.1, 1024),
    "pids": (16, 32_768),
    "open_files": (64, 1 << 20),
    "tmp_bytes": (MIB, 1 << 40),
    "tmp_inodes": (100, 10_000_000),
    "shm_bytes": (MIB, 1 << 40),
    "output_bytes": (1024, 64 * MIB),
    "files_bytes": (0, 256 * MIB),
    "files": (0, 10_000),
    "result_bytes": (1024, 16 * MIB),
    "code_bytes": (1024, 16 * MIB),
    "stdin_bytes": (0, 256 * MIB),
}


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_s: float = 60.0
    """Wall time of one run. The program is killed by then, whatever it does."""
    memory_bytes: int = 256 * MIB
    """All memory of the container, its tmpfs folders included; swap is not added."""
    cpus: float = 1.0
    pids: int = 64
    """Processes and threads, the runner's two included."""
    open_files: int = 256
    tmp_bytes: int = 64 * MIB
    """Of /tmp; and of /out, which counts for itself."""
    tmp_inodes: int = 10_000
    shm_bytes: int = 16 * MIB
    output_bytes: int = MIB
    """stdout and stderr together."""
    files_bytes: int = 16 * MIB
    """All files of /out together."""
    files: int = 100
    result_bytes: int = MIB
    code_bytes: int = MIB
    stdin_bytes: int = 16 * MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ValueError(f"{field.name} is {value}, but has to be {low:g} to {high:g}")

    def within(self, timeout_s: float | None) -> Limits:
        """These limits with a shorter wall time; a longer one is cut to theirs."""
        return (
            self if timeout_s is None else replace(self, timeout_s=min(timeout_s, self.timeout_s))
        )
