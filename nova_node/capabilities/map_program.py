"""What python.map has a sandbox run: the author's code for each item that comes on stdin.

The first line is the code, as JSON; then one item a line. Code that defines `each` is run once and
each(item) called; other code is run for every item, with `item` set, and leaves its `result`.
This text runs inside the container, so it uses the standard library only.
"""

import json
import linecache
import sys


def call_for(code):
    compiled = compile(code, "code", "exec", dont_inherit=True)
    linecache.cache["code"] = (len(code), None, code.splitlines(keepends=True), "code")
    if "each" not in compiled.co_names and "each" not in code:
        return lambda item: run(compiled, item)
    module = {"__name__": "__main__"}
    exec(compiled, module)
    return module["each"]


def run(compiled, item):
    module = {"__name__": "__main__", "item": item}
    exec(compiled, module)
    return module.get("result")


def results(call):
    for line in sys.stdin:
        if line.strip():
            try:
                yield call(json.loads(line))
            except Exception:
                print(f"failed at the item {line.strip()[:200]}", file=sys.stderr)
                raise


if __name__ == "__main__":
    result = list(results(call_for(json.loads(sys.stdin.readline()))))
