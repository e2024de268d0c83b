"""Capabilities that the executor's tests run, well-behaved and not."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from nova_node.capability import Fatal, Files, Limits, Shards, capability, secret


@capability("sample.double")
def double(n: int) -> int:
    return 2 * n


@capability("sample.fail")
def fail(fatal: bool = False) -> None:
    if fatal:
        raise Fatal("never again", "ask for something else")
    raise ValueError("not today")


@capability("sample.hang")
def hang() -> None:
    time.sleep(3600)


@capability("sample.die")
def die(how: str = "exit") -> None:
    if how == "segfault":
        ctypes.string_at(0)
    os._exit(3)


@capability("sample.say")
def say(text: str) -> None:
    sys.stdout.write(text)


@capability("sample.tell")
def tell() -> dict[str, str]:
    sys.stdout.write(f"it is {secret('db')}\n")
    return {"found": secret("db")}


@capability("sample.blame")
def blame() -> None:
    raise ValueError(f"{secret('db')} is wrong")


@capability("sample.sum")
def total(files: Files) -> int:
    return sum(sum(chunk) for piece in files for chunk in piece.chunks())


@total.split
def _(files: Files, *, shards: int) -> Iterator[dict[str, object]]:
    for part in files.cut(shards):
        yield {"files": part}


@total.merge
def _(parts: Iterator[int]) -> int:
    return sum(parts)


@capability("sample.mixed", version="2", limits=Limits(output_bytes=100))
def mixed(size: int, fill: str = "x") -> str:
    return fill * size


@capability("sample.nested")
def nested(depth: int) -> Any:
    if depth:
        return Shards([{"depth": depth - 1}, {"depth": 0}])
    return 1


@capability("sample.shards")
def shards(count: int) -> Any:
    return Shards({"count": n} for n in range(count))


@capability("sample.loud")
def loud(size: int, raw: bool = False) -> str:
    if raw:
        subprocess.run(["head", "-c", str(size), "/dev/zero"], check=True)
    else:
        for _ in range(size // 100):
            sys.stdout.write("y" * 99 + "\n")
    return "done"


@capability("sample.shell")
def shell(command: str) -> str:
    subprocess.run(["sh", "-c", command], check=True)
    return sys.stdin.read()


@capability("sample.burn", limits=Limits(cpu_s=1))
def burn() -> None:
    while True:
        pass


@capability("sample.hoard")
def hoard(mib: int) -> int:
    held = bytearray(mib << 20)
    for at in range(0, len(held), 4096):
        held[at] = 1
    time.sleep(0.5)
    return len(held)


@capability("sample.spawn")
def spawn() -> None:
    child = subprocess.Popen(["sleep", "3600"])
    sys.stdout.write(f"{child.pid}\n")
    time.sleep(3600)


@capability("sample.bytes")
def some_bytes(data: bytes) -> bytes:
    return data[::-1]


@capability("sample.odd")
def odd() -> object:
    return {1, 2}
