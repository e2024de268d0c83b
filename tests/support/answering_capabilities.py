"""Capabilities that answer with more than a plain value, and some that are not for every node."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from nova_node.capability import (
    Failed,
    NotOffered,
    Offer,
    Produced,
    capability,
    secret,
    setting,
)


@capability("answer.code")
def code(retryable: bool = False) -> None:
    raise Failed("no_such_table", "there is no table", "create it", retryable, "their traceback")


@capability("answer.files")
def files(names: list[str], large: bool = False) -> Produced:
    """The first of them as bytes, the others as files of this machine."""
    given: dict[str, Any] = {}
    for name in names:
        given[name] = name.encode() * 2
        if len(given) > 1:
            path = Path(f"made{len(given)}")
            path.write_bytes(given[name])
            given[name] = path
    return Produced("x" * (3 << 20 if large else 1), given)


@capability("answer.secret")
def tell() -> Produced:
    return Produced(secret("db"), {f"a-{secret('db')}": secret("db").encode()})


def absent() -> Offer:
    raise NotOffered(f"no table on {setting('name')}", "create it")


@capability("answer.absent", check=absent)
def one() -> None: ...


@capability("answer.also", check=absent)
def other() -> None: ...


@capability("answer.here", check=lambda: Offer({"table": "yes"}, local=True))
def here() -> None: ...


def clean_up() -> None:
    Path("cleaned").touch()


@capability("answer.killed", after_kill=clean_up)
def killed() -> None:
    sys.stdout.write("here\n")
    time.sleep(3600)
