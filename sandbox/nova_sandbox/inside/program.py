"""The child that becomes the program.

It is forked before the request comes, so it never holds the run's nonce. Its descriptors: 0 to 2 as
always, 3 for the result, 4 to be told the program.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import json
import linecache
import os
import signal
import struct
import sys
import traceback
import types
from typing import Any, NoReturn, TextIO

from nova_sandbox.inside.wire import read_exact

MAX_TEXT_BYTES = 65536
FILENAME = "<inside>"
PR_SET_DUMPABLE = 4
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
LIBC = ctypes.CDLL(None)


def dumpable(yes: bool) -> None:
    """A process that is not dumpable is closed to others of its user: memory, files, environment."""
    LIBC.prctl(PR_SET_DUMPABLE, int(yes), 0, 0, 0)


class Child:
    """A forked process that waits for its program. Pipes: ends that this side holds."""

    def __init__(self, out: str) -> None:
        pipes = [os.pipe() for _ in range(5)]  # control, stdin, stdout, stderr, result
        (c_r, self.control), (i_r, self.stdin), (self.stdout, o_w), (self.stderr, e_w) = pipes[:4]
        self.result, r_w = pipes[4]
        theirs = (i_r, o_w, e_w, r_w, c_r)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()  # the parent may kill the group in place of the container
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 32) for fd in theirs]
            for target, fd in enumerate(high):
                os.dup2(fd, target)
            os.closerange(5, max(high) + 1)
            become_program(out)
        for fd in theirs:
            os.close(fd)


def become_program(out: str) -> NoReturn:
    """In the child: wait for the program, be it, and leave as it leaves."""
    for number in (signal.SIGALRM, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    dumpable(True)  # else /proc/self belongs to root
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # the kernel takes the program, not the runner
    (size,) = struct.unpack(">I", read_exact(4, 4))
    program = json.loads(read_exact(4, size))
    os.close(4)
    os.environ.clear()
    os.environ.update(ENVIRONMENT, NOVA_OUT=out)
    if program["language"] == "shell":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.close(3)
        os.execv("/bin/sh", ["sh", "-c", program["code"], "sh", *program["args"]])
    leave(run_python(program))


def leave(left: object) -> NoReturn:
    """As an interpreter does, without taking itself apart piece by piece, which is the slow part."""
    if left is not None and not isinstance(left, int):
        sys.stderr.write(f"{left}\n")
        left = 1
    try:
        if threading := sys.modules.get("threading"):
            threading._shutdown()
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(int(left or 0) & 0xFF)


def run_python(program: dict[str, Any]) -> object:
    sys.argv = ["program.py", *program["args"]]
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = writer(1)
    sys.stderr = sys.__stderr__ = writer(2)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    told: dict[str, Any] = {}
    left: object = 0
    try:
        code = compile(program["code"], "program.py", "exec", dont_inherit=True)
        exec(code, module.__dict__)
        if "result" in module.__dict__:
            told["result"] = encode_result(module.__dict__["result"])
    except SystemExit as error:
        left = error.code
    except BaseException as error:
        told.update(describe(error, program["code"]))
        left = 1
    payload = json.dumps({k: v for k, v in told.items() if k != "result"}).encode()
    body = struct.pack(">I", len(payload)) + payload + told.get("result", b"")
    with contextlib.suppress(OSError), open(3, "wb") as file:  # unless the program closed it
        file.write(body)
    return left


def writer(fd: int) -> TextIO:
    return os.fdopen(
        fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def encode_result(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"`result` is not JSON: {error}; give plain values, or rename it") from None


def describe(error: BaseException, source: str) -> dict[str, Any]:
    lines = source.splitlines(keepends=True)
    linecache.cache["program.py"] = (len(source), None, lines, "program.py")
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == FILENAME:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    if len(text) > MAX_TEXT_BYTES:
        text = text[: MAX_TEXT_BYTES // 2] + "\n  ...\n" + text[-MAX_TEXT_BYTES // 2 :]
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    memory = isinstance(error, MemoryError)
    return {"message": last[:1000], "traceback": text, "out_of_memory": memory}
