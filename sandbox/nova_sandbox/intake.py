"""What a runner says of one run, made into events. No I/O. Nothing is taken on trust: a wrong nonce,
a frame out of order, a name that could leave a folder or more bytes than agreed is a Violation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nova_sandbox import frames
from nova_sandbox.events import Event, File, Finished, Output, Status
from nova_sandbox.frames import Frame, Violation
from nova_sandbox.limits import Limits

MAX_NAME = 500
MAX_TEXT = 80_000


class Intake:
    """Feed it frames; the last event it gives is a Finished."""

    def __init__(self, nonce: bytes, limits: Limits) -> None:
        self._nonce = nonce
        self._limits = limits
        self._output_bytes = 0
        self._files: dict[str, bytearray] = {}
        self._missing = 0
        self._name = ""
        self._files_bytes = 0
        self._result = bytearray()
        self.finished: Finished | None = None

    def feed(self, frame: Frame) -> Iterator[Event]:
        if frame.nonce != self._nonce or self.finished:
            raise Violation("a frame that belongs to no run")
        if self._missing and frame.kind != frames.DATA:
            raise Violation(f"{self._name!r} ended too early")
        match frame.kind:
            case frames.STDOUT | frames.STDERR:
                yield self._output(frame)
            case frames.NAME:
                self._open(frame.json())
            case frames.DATA:
                self._more(frame.payload)
            case frames.RESULT:
                self._result += frame.payload
                if len(self._result) > self._limits.result_bytes:
                    raise Violation("a result larger than agreed")
            case frames.FINISHED:
                self.finished = self._finish(frame.json())
                if self.finished.status in (Status.OK, Status.ERROR):
                    yield from (File(name, bytes(data)) for name, data in self._files.items())
                yield self.finished
            case _:
                raise Violation(f"a frame of kind {frame.kind!r} within a run")

    def _output(self, frame: Frame) -> Output:
        self._output_bytes += len(frame.payload)
        if self._output_bytes > self._limits.output_bytes:
            raise Violation("more output than agreed")
        return Output("stdout" if frame.kind == frames.STDOUT else "stderr", frame.payload)

    def _open(self, head: dict[str, Any]) -> None:
        name, size = head.get("name"), head.get("size")
        if not isinstance(name, str) or not is_safe(name) or name in self._files:
            raise Violation(f"a file named {str(name)[:100]!r}")
        if type(size) is not int or size < 0:
            raise Violation(f"a file of {size!r} bytes")
        self._files_bytes += size
        limits = self._limits
        if self._files_bytes > limits.files_bytes or len(self._files) >= limits.files:
            raise Violation("more files than agreed")
        self._name, self._missing = name, size
        self._files[name] = bytearray()

    def _more(self, data: bytes) -> None:
        if not 0 < len(data) <= self._missing:
            raise Violation(f"{self._name!r} is larger than announced")
        self._missing -= len(data)
        self._files[self._name] += data

    def _finish(self, told: dict[str, Any]) -> Finished:
        try:
            status = Status(str(told["status"]))
            exit_code = told["exit_code"]
            if exit_code is not None and type(exit_code) is not int:
                raise ValueError("exit_code")
            return Finished(
                status=status,
                message=str(told["message"])[:MAX_TEXT],
                fix=FIXES.get(status, ""),
                traceback=str(told["traceback"])[:MAX_TEXT],
                exit_code=exit_code,
                result=self._json() if status is Status.OK else None,
                wall_s=float(told["wall_s"]),
                cpu_s=float(told["cpu_s"]),
                peak_bytes=int(told["peak_bytes"]),
            )
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise Violation(f"an ending that makes no sense: {error}") from None

    def _json(self) -> str | None:
        if not self._result:
            return None
        try:
            text = self._result.decode()
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Violation(f"a result that is not JSON: {error}") from None
        return text


FIXES = {
    Status.OUT_OF_MEMORY: "use less memory at once, or ask for more",
    Status.TIMEOUT: "split the work, or ask for more time",
    Status.OUTPUT_CAP: "print less, and leave large data as few files in /out",
    Status.REFUSED: "leave plain files only in /out, without links",
}


def is_safe(name: str) -> bool:
    """A relative path of plain printable parts, that stays in the folder it is joined to."""
    parts = name.split("/")
    return (
        0 < len(name) <= MAX_NAME
        and name.isprintable()
        and "\\" not in name
        and all(part not in ("", ".", "..") for part in parts)
    )
