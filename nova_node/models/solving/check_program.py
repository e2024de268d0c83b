"""What a sandbox runs to check a solution. This process holds the tests, a child of it the solution.

On stdin: {"code", "entry", "calls": [[argument, ...], ...], "tests", "nonce", "timeout_s"}. Its `result`:
{"nonce", "loading", "names", "calls": [answer, ...], "checks", "passed", "failures": [text, ...], "ended",
"unfit"}, an answer being {"value"} or {"raised": [type, message, traceback]}.

Rules: standard library only, for this text runs inside the container. The child is forked before stdin
is read, so it never holds tests or nonce; this process is closed to it (not dumpable), hears plain values
alone, and imports nothing from a folder that the child can write to.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import fcntl
import json
import math
import os
import select
import signal
import struct
import sys
import time
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FRAME_BYTES = 4 << 20
FAILURES_MAX = 5
SHOWN_CHARS = 300
TRACE_CHARS = 2000
KEPT_FD = 64
REAP_S = 0.2
PR_SET_DUMPABLE = 4
MISLEADING = (StopIteration, StopAsyncIteration)
"""Raised by a solution they could end a loop of the tests as if nothing were amiss."""


class Ended(Exception):
    """The child answers no more: it left, was killed, hangs, or floods."""


# ---------------------------------------------------------------- plain values


def wrap(value: Any) -> Any:
    """As JSON that tells lists from tuples. Raises TypeError for what is no plain value."""
    kind: Any = type(value)  # type: ignore
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [wrap(each) for each in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [wrap(each) for each in value]}
    if kind in (bytes, bytearray):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"dict": [[wrap(k), wrap(v)] for k, v in value.items()]}  # type: ignore
    raise TypeError(f"{kind.__name__} is not a plain value (number, text, list, dict, tuple, set)")


def unwrap(form: Any) -> Any:
    """The opposite. Raises ValueError or TypeError for what wrap never makes."""
    if type(form) is list:
        return [unwrap(each) for each in form]  # type: ignore
    if type(form) is not dict:
        return form
    pairs: Any = form.items()  # type: ignore
    ((kind, inner),) = pairs
    if kind == "dict":
        return {unwrap(k): unwrap(v) for k, v in inner}
    makers: dict[str, Callable[[Any], Any]] = {
        "tuple": lambda x: tuple(map(unwrap, x)),
        "set": lambda x: set(map(unwrap, x)),
        "frozenset": lambda x: frozenset(map(unwrap, x)),
        "bytes": bytes.fromhex,
        "float": float,
    }
    if kind not in makers:
        raise ValueError(f"no such kind: {kind!r}")
    return makers[kind](inner)


# ---------------------------------------------------------------- the child: the solution


def be_solution(inlet: int, outlet: int) -> None:
    """Answers calls until its inlet closes. Everything else of its parent it gives up first."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    inlet, outlet = (fcntl.fcntl(fd, fcntl.F_DUPFD, KEPT_FD) for fd in (inlet, outlet))
    os.closerange(3, KEPT_FD)
    os.closerange(max(inlet, outlet) + 1, KEPT_FD * 4)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    asked = json.loads(take(inlet, math.inf))
    answer(outlet, lambda: load(module, asked["code"]))
    while True:
        asked = json.loads(take(inlet, math.inf))
        answer(outlet, lambda asked=asked: call(module, asked))


def load(module: types.ModuleType, code: str) -> list[str]:
    import linecache

    linecache.cache["solution.py"] = (len(code), None, code.splitlines(True), "solution.py")
    exec(compile(code, "solution.py", "exec", dont_inherit=True), module.__dict__)
    return [name for name, value in vars(module).items() if callable(value)]


def call(module: types.ModuleType, asked: dict[str, Any]) -> Any:
    function = getattr(module, asked["name"])
    return function(*unwrap(asked["args"]), **unwrap(asked["kwargs"]))


def answer(outlet: int, work: Callable[[], Any]) -> None:
    try:
        told = json.dumps({"value": wrap(work())})
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARS:]
        told = json.dumps({"raised": [type(error).__name__, str(error)[:TRACE_CHARS], trace]})
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    give(outlet, told.encode(errors="replace"))


# ---------------------------------------------------------------- frames between them


def give(fd: int, data: bytes) -> None:
    view = memoryview(struct.pack(">I", len(data)) + data)
    while view:
        view = view[os.write(fd, view) :]


def take(fd: int, deadline: float) -> bytes:
    (size,) = struct.unpack(">I", exactly(fd, 4, deadline))
    if size > FRAME_BYTES:
        raise Ended(f"it answered with more than {FRAME_BYTES >> 20} MiB")
    return exactly(fd, size, deadline)


def exactly(fd: int, size: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while size:
        if deadline < math.inf:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise Ended("it did not answer in time")
        data = os.read(fd, min(size, 1 << 16))
        if not data:
            raise Ended("its process ended")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


# ---------------------------------------------------------------- this process: the tests


class Solution:
    """The child, as its parent sees it: somebody who answers with plain values, or not at all."""

    def __init__(self) -> None:
        inlet, self._to = os.pipe()
        self._from, outlet = os.pipe()
        self.deadline = 0.0
        self.ended = ""
        self._reaped = False
        self.pid = os.fork()
        if self.pid == 0:
            try:
                be_solution(inlet, outlet)
            finally:
                os._exit(0)
        os.close(inlet)
        os.close(outlet)

    def load(self, code: str) -> Any:
        return self._ask({"code": code})

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        return self._ask({"name": name, "args": wrap(args), "kwargs": wrap(kwargs)})

    def _ask(self, what: dict[str, Any]) -> Any:
        """Raises Ended, now and at each later call."""
        if self.ended:
            raise Ended(self.ended)
        try:
            give(self._to, json.dumps(what).encode())
            told = json.loads(take(self._from, self.deadline))
            if "value" in told:
                unwrap(told["value"])
            else:
                name, message, trace = told["raised"]
                told = {"raised": [str(name), str(message), str(trace)]}
            return told
        except Ended as error:
            self.ended = str(error) + self._how()
        except BrokenPipeError:
            self.ended = "its process ended" + self._how()
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            self.ended = "it answered with what is no answer"
        raise Ended(self.ended)

    def kill(self) -> None:
        if not self._reaped:
            os.kill(self.pid, signal.SIGKILL)

    def _how(self) -> str:
        deadline = time.monotonic() + REAP_S
        while not (left := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.005)
        self._reaped = True
        code = os.waitstatus_to_exitcode(left[1])
        return f", by {signal.Signals(-code).name}" if code < 0 else f", with exit code {code}"


class Tests:
    """Statement by statement, so that one that fails hides no other; then functions named test_*."""

    def __init__(self, solution: Solution, names: list[str], entry: str) -> None:
        self._solution = solution
        self.checks = self.passed = 0
        self.failures: list[str] = []
        self._module: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
        self._module |= {"_nova_counted": self._counted, "_nova_told": told}
        module = sys.modules["solution"] = types.ModuleType("solution")
        for name in (*names, entry):
            if name.isidentifier() and (name == entry or not hasattr(builtins, name)):
                self._module[name] = stand_in = self._stand_in(name)
                setattr(module, name, stand_in)

    def run(self, source: str) -> None:
        tree = ast.fix_missing_locations(Telling(source).visit(ast.parse(source, "tests.py")))
        for statement in tree.body:
            part = compile(ast.Module([statement], []), "tests.py", "exec", dont_inherit=True)
            self._one(ast.get_source_segment(source, statement) or "", exec, part, self._module)
        for name, value in [*self._module.items()]:
            if name.startswith("test_") and isinstance(value, types.FunctionType):
                self._one(name, value)

    def _one(self, what: str, run: Callable[..., object], *args: object) -> None:
        begun = self.checks
        try:
            run(*args)
        except Ended:
            raise
        except Exception as error:
            self.checks += self.checks == begun
            self.passed -= 1
            told = isinstance(error, AssertionError) and str(error)
            self._failed(told or f"{what}\nraised {type(error).__name__}: {error}")
        self.passed += self.checks - begun

    def _failed(self, text: str) -> None:
        if len(self.failures) < FAILURES_MAX:
            self.failures.append(text[:TRACE_CHARS])

    def _counted(self) -> bool:
        self.checks += 1
        return True

    def _stand_in(self, name: str) -> Callable[..., Any]:
        def stand_in(*args: object, **kwargs: object) -> Any:
            answer = self._solution.call(name, args, kwargs)
            if "value" in answer:
                return unwrap(answer["value"])
            kind, message, _ = answer["raised"]
            raise error_like(kind, message)

        stand_in.__name__ = name
        return stand_in


def error_like(kind: str, message: str) -> Exception:
    """A builtin error of that name; one of another name is made, so that it can at least be read."""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception) and known not in MISLEADING:
        try:
            return known(message)
        except TypeError:  # such as UnicodeDecodeError, which wants five arguments
            pass
    return RuntimeError(f"{kind}: {message}")


class Telling(ast.NodeTransformer):
    """Each assert is counted, and one that compares tells both sides."""

    def __init__(self, source: str) -> None:
        self._source = source

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        shown = ast.Constant((ast.get_source_segment(self._source, node) or "")[:SHOWN_CHARS])
        test, sides = node.test, list[ast.expr]()
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            left, right = (ast.Name(f"_nova_{s}", ast.Store()) for s in ("left", "right"))
            sides = [ast.Name(each.id, ast.Load()) for each in (left, right)]
            right_side = ast.NamedExpr(right, test.comparators[0])
            test = ast.Compare(ast.NamedExpr(left, test.left), test.ops, [right_side])
        counted = ast.Call(ast.Name("_nova_counted", ast.Load()), [], [])
        said = ast.Call(ast.Name("_nova_told", ast.Load()), [shown, *sides], [])
        return ast.Assert(ast.BoolOp(ast.And(), [counted, test]), said)


def told(source: str, *sides: object) -> str:
    named = zip(("left", "right"), sides, strict=False)
    return "\n".join([source, *(f"{name}: {repr(side)[:SHOWN_CHARS]}" for name, side in named)])


def main(solution: Solution) -> dict[str, Any]:
    asked = json.load(sys.stdin)
    solution.deadline = time.monotonic() + asked["timeout_s"]
    given: dict[str, Any] = {"nonce": asked["nonce"], "names": [], "calls": [], "failures": []}
    given |= {"checks": 0, "passed": 0, "ended": "", "unfit": ""}
    tests: Tests | None = None
    try:
        loaded = solution.load(asked["code"])
        if "raised" in loaded:
            given["loading"] = loaded["raised"]
            return given
        given["names"] = names = [n for n in loaded["value"] if isinstance(n, str)][:1000]
        if asked["entry"] not in names:
            return given
        for args in asked["calls"]:
            given["calls"].append(solution.call(asked["entry"], args, {}))
        if asked["tests"]:
            tests = Tests(solution, names, asked["entry"])
            tests.run(asked["tests"])
    except SyntaxError as error:
        given["unfit"] = f"the tests cannot be read: {error}"
    except Ended as error:
        given["ended"] = str(error)
    if tests:
        given |= {"checks": tests.checks, "passed": tests.passed, "failures": tests.failures}
    return given


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = [each for each in sys.path if each.startswith((sys.prefix, sys.base_prefix))]
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    solution = Solution()
    try:
        result = main(solution)
    finally:
        solution.kill()
