"""Foreign code, each program in a container of its own: python.run, python.map, shell.run.

A program's end is a statement of plain values. Any but `ok` is a failure with a code of its own, unless
the caller sets `check` to false and takes the statement, whatever it says.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nova_node.capabilities.sandbox_offer import offer
from nova_node.capability import BadArgument, Failed, Files, Produced, capability, setting

if TYPE_CHECKING:
    from nova_sandbox import Finished
    from nova_sandbox.request import Language

    from nova_node.capabilities.sandbox_driver import Program

MIB = 1 << 20
STDIN_MAX_BYTES = 16 * MIB
MEMORY_MIB = 256
NO_FILES = Files()

CODES = {
    "error": "program_failed",
    "out_of_memory": "sandbox_memory",
    "timeout": "sandbox_timeout",
    "output_cap": "sandbox_output",
    "refused": "sandbox_refused",
}
"""By the status of a statement; see docs/errors.md."""

Code = Annotated[str, "the source, in place of a file"]
Args = Annotated[list[Any], "what it finds in sys.argv, or in $1, $2 ..."]
Stdin = Annotated[Files, "what it may read from stdin, 16 MiB at most"]
Image = Annotated[str, "name of an image; the node's first one if empty"]
Seconds = Annotated[float, "it is killed after so long"]
Mib = Annotated[int, "of memory, its files in /tmp and /out included"]
Check = Annotated[bool, "whether any status but ok is a failure"]


def warm() -> None:
    from nova_node.capabilities.sandbox_driver import driver

    driver().warm(setting("sandbox.images")[0], MEMORY_MIB * MIB)


@capability("python.run", check=offer, after_kill=warm)
def python_run(
    program: Annotated[bytes, "a Python file"] = b"",
    code: Code = "",
    args: Args = [],  # noqa: B006
    stdin: Stdin = NO_FILES,
    image: Image = "",
    timeout_s: Seconds = 60.0,
    memory_mib: Mib = MEMORY_MIB,
    check: Check = True,
    stdin_bytes: Annotated[bytes, "in place of stdin, for those that have it at hand"] = b"",
) -> Produced:
    """Runs a Python program in a container of its own.

    Its variable `result` is in the statement that this returns; what it leaves in /out are files."""
    source = _source(program, code)
    given = stdin_bytes or _read(stdin)
    made = _program(source, args, "python", given, image, timeout_s, memory_mib)
    return _run(made, check)


@capability("shell.run", check=offer, after_kill=warm)
def shell_run(
    program: Annotated[bytes, "a script for /bin/sh"] = b"",
    code: Code = "",
    args: Args = [],  # noqa: B006
    stdin: Stdin = NO_FILES,
    image: Image = "",
    timeout_s: Seconds = 60.0,
    memory_mib: Mib = MEMORY_MIB,
    check: Check = True,
) -> Produced:
    """Runs a shell script in a container of its own.

    Returns a statement of its end; what it leaves in /out are files."""
    source = _source(program, code)
    made = _program(source, args, "shell", _read(stdin), image, timeout_s, memory_mib)
    return _run(made, check)


@capability("python.map", check=offer, after_kill=warm)
def python_map(
    items: Annotated[Files, "JSON, one item a line"],
    code: Annotated[str, "defines each(item), or reads `item` and sets `result`"],
    image: Image = "",
    timeout_s: Annotated[float, "a shard is killed after so long"] = 60.0,
    memory_mib: Mib = MEMORY_MIB,
) -> list[Any]:
    """Runs Python code for each item, in containers on all nodes that have some.

    Returns what it made of each, in order."""
    stdin = json.dumps(code).encode() + b"\n" + _read(items)
    text = Path(__file__).with_name("map_program.py").read_text()
    made = _program(text, [], "python", stdin, image, timeout_s, memory_mib)
    done = _run(made, check=True)
    if done.files:
        raise Failed(
            CODES["refused"],
            f"the code left a file, {sorted(done.files)[0]}, where there is room for values only",
            "return values, or use python.run",
        )
    statement: Any = done.value
    return statement["result"]


@python_map.split
def _(
    items: Files, *, shards: int, code: str, image: str, timeout_s: float, memory_mib: int
) -> Iterator[dict[str, object]]:
    given = {"code": code, "image": image, "timeout_s": timeout_s, "memory_mib": memory_mib}
    wanted = max(shards, -(-items.size_bytes // (STDIN_MAX_BYTES // 2)))
    for part in items.cut(wanted, b"\n"):
        yield {"items": part, **given}


@python_map.merge
def _(parts: Iterator[list[Any]]) -> list[Any]:
    return [value for part in parts for value in part]


# ---------------------------------------------------------------- in


def _source(program: bytes, code: str) -> str:
    if bool(program) == bool(code):
        raise BadArgument("give either `program` or `code`", "a file as program, or text as code")
    try:
        return program.decode() if program else code
    except UnicodeDecodeError:
        raise BadArgument("the program is not UTF-8 text", "send source text") from None


def _read(stdin: Files) -> bytes:
    if stdin.size_bytes > STDIN_MAX_BYTES:
        raise BadArgument(
            f"{stdin.size_bytes:,} bytes for stdin, more than {STDIN_MAX_BYTES:,}",
            "split them, with python.map for instance",
        )
    return b"".join(piece.read() for piece in stdin)


def _program(
    code: str,
    args: list[Any],
    language: Language,
    stdin: bytes,
    image: str,
    timeout_s: float,
    memory_mib: int,
) -> Program:
    from nova_node.capabilities.sandbox_driver import LONGEST_S, Program

    if not 0 < timeout_s <= LONGEST_S:
        raise BadArgument(f"timeout_s is {timeout_s:g}", f"give seconds up to {LONGEST_S:g}")
    if not 64 <= memory_mib <= 1 << 20:
        raise BadArgument(f"memory_mib is {memory_mib}", "give MiB from 64 on")
    texts = tuple(each if isinstance(each, str) else json.dumps(each) for each in args)
    image = image or setting("sandbox.images")[0]
    return Program(code, texts, language, stdin, timeout_s, memory_mib * MIB, image)


# ---------------------------------------------------------------- out


def _run(program: Program, check: bool) -> Produced:
    """Relays what it writes as it comes. Raises Failed."""
    from nova_sandbox import File, Finished, Output, SandboxError

    from nova_node.capabilities.sandbox_driver import driver

    decoder = codecs.getincrementaldecoder("utf-8")
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    decoders = {name: decoder(errors="replace") for name in streams}
    files: dict[str, bytes] = {}
    end: Finished | None = None
    try:
        for event in driver().run(program):
            match event:
                case Output(stream=name, data=data):
                    streams[name].write(decoders[name].decode(data))
                case File(name=name, data=data):
                    files[name] = data
                case Finished():
                    end = event
    except SandboxError as error:
        raise _not_run(error.code, error.message, error.fix, program.image) from None
    if end is None:
        raise _not_run("unavailable", "the run has no end", "run it again", program.image)
    if check and end.status != "ok":
        raise Failed(CODES[end.status], end.message, end.fix, False, end.traceback)
    return Produced(_statement(end, files), files)


def _statement(end: Finished, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "status": str(end.status),
        "result": None if end.result is None else json.loads(end.result),
        "exit_code": end.exit_code,
        "message": end.message,
        "fix": end.fix,
        "traceback": end.traceback,
        "files": [{"name": name, "size_bytes": len(data)} for name, data in files.items()],
        "wall_s": round(end.wall_s, 4),
        "cpu_s": round(end.cpu_s, 4),
        "peak_bytes": end.peak_bytes,
    }


def _not_run(code: str, message: str, fix: str, image: str) -> Failed:
    """The fault is this node's, so another may do better."""
    if code == "image_missing":
        fix = f"{fix}; or ask for a node that has it: --label sandbox.image.{image}=yes"
        return Failed("sandbox_image", message, fix, retryable=True)
    return Failed("sandbox_unavailable", message, fix, retryable=True)
