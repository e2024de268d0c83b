"""Size and tidiness of what is written by hand, tests aside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.repo import ROOT, files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X")


def is_source(path: Path) -> bool:
    inside = path.relative_to(ROOT)
    return path.suffix == ".py" and inside.parts[0] != "tests" and "_pb2" not in path.name


SOURCES = [p for p in files() if is_source(p)]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_file_is_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_are_small(path: Path) -> None:
    long = [
        f"{node.name} ({size} lines)"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long


def test_nothing_is_left_for_later() -> None:
    marks = [
        f"{name(path)}:{number}"
        for path in files()
        if path.suffix in (".py", ".toml", ".proto", ".md", "") and "_pb2" not in path.name
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if any(mark in line for mark in UNFINISHED)
    ]
    assert not marks


def test_sources_were_found() -> None:
    assert ROOT / "nova_node/core/model.py" in SOURCES
