"""The `nova` command that does what the console just did, or shows what it shows. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

NAMED_MAX = 8


def command(*words: str, node: str = "") -> str:
    """`nova WORDS`, of the node at an address."""
    options = ["--node", node] if node else []
    return shlex.join(["nova", *options, *words])


def run(capability: str, args: Mapping[str, Any], inputs: Mapping[str, str], node: str = "") -> str:
    """`inputs` are paths by parameter."""
    words = ["run", capability]
    if args:
        words += ["--json-args", json.dumps(dict(args))]
    for name, path in inputs.items():
        words += ["--input", f"{name}={path}"]
    return command(*words, node=node)


def tasks(status: str, capability: str, node: str = "") -> str:
    words = ["tasks"]
    words += ["--status", status] if status else []
    words += ["--capability", capability] if capability else []
    return command(*words, node=node)


def requeue(ids: Sequence[str], node: str = "") -> str:
    """All by their names while these still fit on a line or two."""
    return command("requeue", *(ids if len(ids) <= NAMED_MAX else ["--all"]), node=node)
