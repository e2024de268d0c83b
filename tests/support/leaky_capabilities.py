"""Capabilities that let out the secret `db` in every way that is not on purpose, for a worker process
(`support.leaky_capabilities`) or a whole node."""

import base64
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nova_node.capability import Fatal, Shards, capability, secret

FILL = 3 << 20


def _raise() -> None:
    try:
        raise KeyError(secret("db"))
    except KeyError as error:
        raise ValueError("x" * 995 + secret("db")) from error


def _fatal() -> None:
    raise Fatal("no", f"do not use {secret('db')}")


def _print_in_pieces() -> None:
    value = secret("db")
    for at in range(0, len(value), 3):
        sys.stdout.write(value[at : at + 3])
        sys.stdout.flush()


def _write_in_pieces() -> None:
    value = secret("db").encode()
    for at in range(0, len(value), 3):
        os.write(2, value[at : at + 3])
        time.sleep(0.002)


_left: list[threading.Thread] = []
_nudged = threading.Event()


def _later() -> None:
    value = secret("db")

    def speak() -> None:
        _nudged.wait()
        os.write(1, f"late {value}\n".encode())
        sys.stderr.write(f"too late {value}\n")

    _left.append(threading.Thread(target=speak, daemon=True))
    _left[0].start()


WAYS: dict[str, Callable[[], Any]] = {
    "text": lambda: secret("db"),
    "key": lambda: {secret("db"): [{"deep": (1, secret("db"))}]},
    "number": lambda: {"pin": int(secret("pin")), "other": 12},
    "base64": lambda: base64.b64encode(f"user:{secret('db')}".encode()).decode(),
    "hex": lambda: secret("db").encode().hex(),
    "bytes": lambda: b"\xff" + secret("db").encode() + b"\x00",
    "large": lambda: "y" * FILL + secret("db"),
    "large-bytes": lambda: b"y" * FILL + secret("db").encode(),
    "shards": lambda: Shards([{"way": secret("db"), "raw": secret("db").encode()}]),
    "raise": _raise,
    "fatal": _fatal,
    "bad": lambda: {secret("db"), 1},
    "print": lambda: sys.stderr.write(f"say {secret('db')} twice {secret('db')}\n"),
    "print-pieces": _print_in_pieces,
    "write": lambda: os.write(1, f"raw {secret('db')}\n".encode()),
    "write-pieces": _write_in_pieces,
    "child": lambda: subprocess.run(["echo", secret("db")], check=True).returncode,
    "half": lambda: sys.stdout.write(secret("db")[:-2]),
    "half-raw": lambda: os.write(1, secret("db").encode()[:-2]),
    "later": _later,
}


@capability("leaky.leak")
def leak(way: str, raw: bytes = b"") -> Any:
    return WAYS[way]()


@capability("leaky.cut")
def cut(word: str) -> str:
    return word


@cut.split
def _(word: str) -> Iterator[dict[str, object]]:
    yield {"word": word + secret("db")}


@cut.merge
def _(parts: Iterator[str]) -> str:
    return "".join([*parts, secret("db")])


@capability("leaky.hold")
def hold(path: str) -> None:
    """Says it every way, writes a file so that others know, and hangs."""
    value = secret("db")
    sys.stdout.write(f"said {value}\n")
    os.write(2, f"wrote {value} and half of it again {value[:-2]}".encode())
    part = Path(path).with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(path)
    time.sleep(3600)


@capability("leaky.around")
def around() -> dict[str, Any]:
    """What of it is around the process."""
    value = secret("db")
    return {
        "environ": value in repr(os.environ),
        "arguments": value in Path("/proc/self/cmdline").read_text(),
        "cores": resource.getrlimit(resource.RLIMIT_CORE),
    }


@capability("leaky.length")
def length() -> int:
    return len(secret("db"))


@capability("leaky.nudge")
def nudge() -> None:
    """Lets the thread speak that an earlier attempt left behind."""
    _nudged.set()
    _left[0].join()


@capability("leaky.after")
def after() -> str:
    """Asks for what an earlier attempt was given."""
    return secret("db")
