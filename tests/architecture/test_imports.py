"""Rules on imports that a layer contract cannot say. The layers are in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from support.repo import imports, modules, within

PURE = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "fnmatch",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",  # for the type of a seeded source that is handed in: see below
    "re",
    "types",
    "typing",
}
"""What the core may use of the standard library: nothing that waits, looks at a clock, draws,
logs or touches the outside."""

CORE = sorted(m for m in modules() if within(m, "nova_node.core"))


@pytest.mark.parametrize("module", CORE)
def test_core_imports_only_pure_modules_and_itself(module: str) -> None:
    allowed = {*PURE, "nova_node.core"}
    impure = {name for name in imports(module) if not any(within(name, a) for a in allowed)}
    assert not impure, f"{module} is in the pure core but imports {sorted(impure)}"


@pytest.mark.parametrize("module", CORE)
def test_core_calls_nothing_of_the_outside(module: str) -> None:
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        match node:
            case ast.Call(func=ast.Name(id=called)):
                assert called not in {"open", "print", "input", "exec", "eval", "__import__"}
            case ast.Attribute(value=ast.Name(id="random"), attr=used):
                assert used == "Random", f"{module} draws from the global random.{used}"
            case ast.ImportFrom(module="random", names=names):
                assert [n.name for n in names] == ["Random"], f"{module} imports {names}"
            case _:
                pass


def test_no_module_imports_itself_by_a_detour() -> None:
    known = modules()
    graph: dict[str, set[str]] = {}
    for module in known:
        targets = {n if n in known else n.rpartition(".")[0] for n in imports(module)}
        graph[module] = (targets & known.keys()) - {module}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle: list[str] = error.args[1]
        pytest.fail("import cycle: " + " <- ".join(cycle))


def test_built_in_capabilities_use_only_what_an_author_has() -> None:
    allowed = {"nova_node.capability", "nova_node.capabilities", "nova_node.models", "nova_sandbox"}
    allowed |= sys.stdlib_module_names
    for module in modules():
        if not within(module, "nova_node.capabilities"):
            continue
        foreign = {n for n in imports(module) if not any(within(n, a) for a in allowed)}
        assert not foreign, f"{module} imports {sorted(foreign)}"


def test_reader_of_imports_sees_them() -> None:
    """The rules above would pass over what it misses."""
    assert {"nova_node.core.model.Failure", "dataclasses.dataclass"} <= imports(
        "nova_node.core.signals"
    )
