"""The generated protocol code is what its .proto files give, with the oldest supported tools."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.repo import ROOT

PROTO = ROOT / "proto"


def generated(folder: Path) -> dict[str, str]:
    found = (p for kind in ("*_pb2*.py", "*_pb2*.pyi") for p in folder.rglob(kind))
    return {str(p.relative_to(folder)): p.read_text() for p in found}


def floor(requirement: str) -> str:
    """The lower bound in pyproject.toml of a dependency."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        dependencies: list[str] = tomllib.load(file)["project"]["dependencies"]
    (line,) = (d for d in dependencies if d.startswith(requirement + ">="))
    return line.split(">=")[1].split(",")[0]


@pytest.mark.timeout(300)
def test_regenerating_changes_nothing(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", ".venv-proto/.ready"], cwd=ROOT, check=True)
    sources = sorted(str(p.relative_to(PROTO)) for p in PROTO.rglob("*.proto"))
    subprocess.run(
        [
            str(ROOT / ".venv-proto/bin/python"),
            *("-m", "grpc_tools.protoc", "-I", "."),
            *(f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")),
            *sources,
        ],
        cwd=PROTO,
        check=True,
    )
    fresh = generated(tmp_path)
    kept = generated(PROTO)
    assert fresh.keys() == kept.keys()
    stale = [name for name in fresh if fresh[name] != kept[name]]
    assert not stale, f"run `make proto` and commit: {stale}"


def test_generated_with_the_floor_of_the_supported_range() -> None:
    pinned = re.search(r"grpcio-tools==([\d.]+)", (ROOT / "Makefile").read_text())
    assert pinned
    assert pinned[1].startswith(floor("grpcio"))


def test_protobuf_floor_runs_the_generated_code() -> None:
    text = (PROTO / "nova_proto/v1/task_pb2.py").read_text()
    assert f"# Protobuf Python Version: {floor('protobuf')}\n" in text
