"""What a run tells, in order: any number of Output, then the File values, then one Finished."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Stream = Literal["stdout", "stderr"]


class Status(StrEnum):
    OK = "ok"
    ERROR = "error"
    """The program raised, or left with an exit code other than 0."""
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    OUTPUT_CAP = "output_cap"
    REFUSED = "refused"
    """The request, or what the program left in /out, is not taken."""


@dataclass(frozen=True, slots=True)
class Output:
    """What the program wrote, as it comes."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class File:
    """A regular file that the program left in /out. `name` is relative, with `/`, without `..`."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    status: Status
    message: str = ""
    fix: str = ""
    traceback: str = ""
    exit_code: int | None = None
    """Minus the signal's number when a signal ended the program."""
    result: str | None = None
    """JSON text of the program's variable `result`."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


Event = Output | File | Finished
