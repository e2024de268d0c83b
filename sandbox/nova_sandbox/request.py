"""What is to be run, and which requests are not taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nova_sandbox.events import Finished, Status
from nova_sandbox.limits import Limits

Language = Literal["python", "shell"]

MAX_ARGS = 256
MAX_ARG_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """`code` is source text: a Python program, or a script for /bin/sh."""

    code: str
    args: tuple[str, ...] = ()
    language: Language = "python"
    stdin: bytes = b""
    timeout_s: float | None = None


def refusal(request: Request, limits: Limits) -> Finished | None:
    """Why a request is not taken; None when it is."""
    for what, fix in (_code(request.code, limits), _args(request.args), _rest(request, limits)):
        if what:
            return Finished(Status.REFUSED, message=what, fix=fix)
    return None


NOTHING = ("", "")


def _code(code: str, limits: Limits) -> tuple[str, str]:
    if "\0" in code:
        return "the code holds a NUL byte", "send source text, not a compiled or binary file"
    if code.startswith("\ufeff"):
        return "the code starts with a byte order mark", "save it as UTF-8 without BOM"
    size = _utf8_size(code)
    if size is None:
        return "the code is not valid Unicode", "save it as UTF-8"
    if size > limits.code_bytes:
        return (
            f"the code is {size:,} bytes, more than {limits.code_bytes:,}",
            "pass the data on stdin, and keep only the program in the code",
        )
    return NOTHING


def _args(args: tuple[str, ...]) -> tuple[str, str]:
    sizes = [_utf8_size(arg) for arg in args]
    if any(size is None for size in sizes) or any("\0" in arg for arg in args):
        return "an argument holds a NUL byte or is not valid Unicode", "pass binary data on stdin"
    if len(args) > MAX_ARGS or sum(size or 0 for size in sizes) > MAX_ARG_BYTES:
        return (
            f"more than {MAX_ARGS} arguments, or more than {MAX_ARG_BYTES:,} bytes of them",
            "pass them on stdin",
        )
    return NOTHING


def _rest(request: Request, limits: Limits) -> tuple[str, str]:
    if request.language not in ("python", "shell"):
        return f"no such language: {request.language!r}", "use python or shell"
    if len(request.stdin) > limits.stdin_bytes:
        return (
            f"stdin is {len(request.stdin):,} bytes, more than {limits.stdin_bytes:,}",
            "split the input into several runs",
        )
    low = 0.05
    if request.timeout_s is not None and not low <= request.timeout_s < float("inf"):
        return f"timeout_s is {request.timeout_s}", f"give a number of seconds from {low}"
    return NOTHING


def _utf8_size(text: str) -> int | None:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None
