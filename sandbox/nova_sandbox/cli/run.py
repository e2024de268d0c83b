"""`nova-sandbox run`: one program, with live output and a plain end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from nova_sandbox.cli.fault import EXIT_LIMIT, EXIT_REFUSED, Fault, printable
from nova_sandbox.cli.options import engine_option, image_option, json_option, tier_option
from nova_sandbox.events import Event, File, Finished, Output, Status
from nova_sandbox.limits import MIB, Limits, Tier
from nova_sandbox.pool import PoolSize
from nova_sandbox.sandbox import Sandbox, Settings

EXITS = {
    Status.OK: 0,
    Status.ERROR: 1,
    Status.OUT_OF_MEMORY: EXIT_LIMIT,
    Status.TIMEOUT: EXIT_LIMIT,
    Status.OUTPUT_CAP: EXIT_LIMIT,
    Status.REFUSED: EXIT_REFUSED,
}
NO_BOUNDARY = "warning: runtime `process` is no boundary; the program can read what you can"


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("program", type=click.Path(allow_dash=True))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--shell", is_flag=True, help="PROGRAM is a script for /bin/sh, not for Python.")
@click.option("--stdin", "stdin_path", type=click.Path(allow_dash=True), help="What it may read.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for its files of /out.")
@click.option(
    "--timeout", "timeout_s", type=float, default=60.0, show_default=True, help="Seconds."
)
@click.option("--memory", "memory_mib", type=int, default=256, show_default=True, help="MiB.")
@click.option("--cpus", type=float, default=1.0, show_default=True)
@tier_option
@click.option(
    "--runtime", type=click.Choice(["docker", "process"]), default="docker", show_default=True
)
@click.option("--oci-runtime", default="", help="Another runtime of the engine, such as crun.")
@click.option("--no-self-test", is_flag=True, help="Do not try first whether the limits bite.")
@image_option
@engine_option
@json_option
def run(
    program: str,
    args: tuple[str, ...],
    shell: bool,
    stdin_path: str | None,
    out: Path | None,
    timeout_s: float,
    memory_mib: int,
    cpus: float,
    tier: str,
    runtime: Literal["docker", "process"],
    oci_runtime: str,
    no_self_test: bool,
    image_name: str,
    engine: str,
    as_json: bool,
) -> None:
    """Run PROGRAM, a file or - for stdin, in a container of its own.

    Put options before PROGRAM: what follows it is for the program."""
    if out and out.exists():
        raise Fault(f"{out} exists already", "name a new folder", 2)
    try:
        limits = Limits(timeout_s=timeout_s, memory_bytes=memory_mib * MIB, cpus=cpus)
    except ValueError as error:
        raise Fault(str(error), "give another number", 2) from None
    settings = Settings(
        image=image_name,
        tier=Tier(tier),
        limits=limits,
        pool=PoolSize(min_warm=0, max_warm=0, max_boxes=1),
        runtime=runtime,
        engine=engine,
        oci_runtime=oci_runtime,
        node="command",
        self_test=not no_self_test,
    )
    if runtime == "process":
        click.echo(NO_BOUNDARY, err=True)
    code = _text(program)
    stdin = _bytes(stdin_path) if stdin_path else b""

    async def main() -> Finished:
        finished: Finished | None = None
        async with Sandbox(settings) as sandbox:
            language = "shell" if shell else "python"
            async for event in sandbox.run(code, args, language=language, stdin=stdin):
                _show(event, out, as_json)
                if isinstance(event, Finished):
                    finished = event
        assert finished is not None
        return finished

    sys.exit(EXITS[asyncio.run(main()).status])


def _bytes(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Fault(
            f"cannot read {path}: {error.strerror}", "name a file that can be read", 2
        ) from None


def _text(path: str) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError:
        raise Fault(f"{path} is not UTF-8 text", "name a program's source", 2) from None


def _show(event: Event, out: Path | None, as_json: bool) -> None:
    match event:
        case Output(stream=stream, data=data):
            if as_json:
                _line(event="output", stream=stream, text=data.decode(errors="replace"))
            else:
                _copy(data, err=stream == "stderr")
        case File(name=name, data=data):
            if out:
                save(out, name, data)
            if as_json:
                _line(event="file", name=name, size_bytes=len(data))
            elif not out:
                click.echo(f"file: {name}, {len(data):,} bytes; keep files with --out", err=True)
        case Finished():
            if as_json:
                _line(event="finished", **asdict(event))
            else:
                _end(event)


def _line(**fields: object) -> None:
    click.echo(json.dumps(fields))


def _copy(data: bytes, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        click.echo(
            printable(data.decode(errors="replace").replace("\r\n", "\n")), nl=False, err=err
        )
    else:
        stream.buffer.write(data)
        stream.flush()


def _end(finished: Finished) -> None:
    if finished.result is not None:
        click.echo(f"result: {printable(finished.result)}")
    if finished.status is Status.OK:
        return
    if finished.traceback:
        click.echo(printable(finished.traceback), nl=False, err=True)
    click.echo(f"{finished.status}: {printable(finished.message)}", err=True)
    if finished.fix:
        click.echo(f"  fix: {finished.fix}", err=True)


def save(folder: Path, name: str, data: bytes) -> None:
    """Writes one file of a run below `folder`, never through a link and never over another file.
    `name` was checked by intake."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.write(data)
