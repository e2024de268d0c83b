"""What makes two programs one, found out in a process of its own: a parser is no match for hostile text.

Reads a program and the name of its function as JSON; writes a digest of what it does, its signature and
what its docstring says. The digest leaves out formatting, comments, docstrings, annotations, and what
parameters and locals are called. Standard library only; run with -I.
"""

from __future__ import annotations

import ast
import hashlib
import json
import resource
import sys

CPU_S = 2
MEMORY_BYTES = 512 << 20

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


class Normal(ast.NodeTransformer):
    """Calls the locals of each outermost function v0, v1, ... in the order in which they appear."""

    def __init__(self) -> None:
        self._names: dict[str, str] | None = None

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, Documented):
            _forget_docstring(node)
        if isinstance(node, Function | ast.Lambda) and self._names is None:
            self._names = {}
            local = _locals(node)
            for each in local:
                self._names[each] = f"v{len(self._names)}"
            self._rename(node, outermost=True)
            self.generic_visit(node)
            self._names = None
            return node
        if self._names is not None:
            self._rename(node, outermost=False)
        self.generic_visit(node)
        return node

    def _rename(self, node: ast.AST, outermost: bool) -> None:
        names = self._names or {}
        match node:
            case ast.Name():
                node.id = names.get(node.id, node.id)
            case ast.arg():
                node.arg, node.annotation = names.get(node.arg, node.arg), None
            case ast.ExceptHandler(name=str(name)):
                node.name = names.get(name, name)
            case ast.Nonlocal():
                node.names = [names.get(each, each) for each in node.names]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
                if not outermost:
                    node.name = names.get(node.name, node.name)
            case _:
                pass


def _locals(function: Function | ast.Lambda) -> list[str]:
    """In the order of the text; what is global is none."""
    found: dict[str, None] = {}
    foreign: set[str] = set()
    named: set[str] = set()
    for node in _in_order(function):
        match node:
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                found[name] = None
            case ast.Name(id=name, ctx=ast.Store()):
                found[name] = None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if node is not function:
                    found[name] = None
            case ast.Global(names=names):
                foreign.update(names)
            case ast.keyword(arg=str(name)):
                named.add(name)
            case _:
                pass
    return [name for name in found if name not in foreign and name not in named]


def _in_order(node: ast.AST) -> list[ast.AST]:
    open_, found = [node], list[ast.AST]()
    while open_:
        each = open_.pop()
        found.append(each)
        open_ += reversed([*ast.iter_child_nodes(each)])
    return found


def _forget_docstring(node: Documented) -> None:
    first = node.body[0] if node.body else None
    match first:
        case ast.Expr(value=ast.Constant(value=str())):
            node.body = node.body[1:] or [ast.Pass()]
        case _:
            pass


def normal(code: str, entry: str) -> dict[str, str]:
    """Raises ValueError: the code has no such function, or cannot be read."""
    try:
        tree = ast.parse(code)
        found = [n for n in tree.body if isinstance(n, Function) and n.name == entry]
        if not found:
            raise ValueError(f"it defines no function {entry}")
        doc = ast.get_docstring(found[-1]) or ""
        signature = f"{entry}({ast.unparse(found[-1].args)})"
        text = ast.dump(Normal().visit(tree), annotate_fields=False)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"it cannot be read: {type(error).__name__}") from None
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:40]
    return {"digest": digest, "signature": signature, "doc": doc}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    json.dump(normal(asked["code"], asked["entry"]), sys.stdout)


if __name__ == "__main__":
    main()
