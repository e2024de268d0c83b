"""What python.map has a sandbox run: the caller's code, for each item that comes on stdin.

The first line is the code, as JSON; then one item a line. Code that defines a function `each` is run
once, and each(item) called; other code is run for every item, with `item` set, and leaves `result`.
Rule: this text runs inside the container, so it uses the standard library only.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

SHOWN_CHARS = 200


def call_of(code: str) -> Callable[[Any], Any]:
    tree = ast.parse(code, "code.py")
    linecache.cache["code.py"] = (len(code), None, code.splitlines(keepends=True), "code.py")
    compiled = compile(tree, "code.py", "exec", dont_inherit=True)
    if not any(isinstance(part, ast.FunctionDef) and part.name == "each" for part in tree.body):
        return lambda item: run(compiled, item)
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(compiled, module)
    return module["each"]


def run(compiled: CodeType, item: object) -> object:
    module: dict[str, Any] = {"__name__": "__main__", "item": item}
    exec(compiled, module)
    return module.get("result")


def results(call: Callable[[Any], Any]) -> Iterator[Any]:
    for line in sys.stdin:
        if line.strip():
            try:
                yield call(json.loads(line))
            except Exception:
                sys.stderr.write(f"failed at the item {line.strip()[:SHOWN_CHARS]}\n")
                raise


if __name__ == "__main__":
    result = [*results(call_of(json.loads(sys.stdin.readline())))]
