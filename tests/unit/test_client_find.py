"""Finding the local node."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from nova_client.find import DEFAULT_ADDRESS, find_address


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NOVA_NODE", raising=False)
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "nodes"
    folder.mkdir()
    return folder


def leave(folder: Path, name: str, note: object, age_s: float) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(note))
    os.utime(path, (1e9 - age_s, 1e9 - age_s))


def test_the_newest_living_node_is_found(nodes: Path):
    leave(nodes, "old", {"address": "127.0.0.1:1", "pid": os.getpid()}, 10)
    leave(nodes, "new", {"address": "127.0.0.1:2", "pid": os.getpid()}, 5)
    leave(nodes, "dead", {"address": "127.0.0.1:3", "pid": 2**31 - 1}, 0)
    leave(nodes, "number", 7, 0)
    leave(nodes, "text", {"pid": "1"}, 0)
    leave(nodes, "zero", {"address": "x", "pid": 0}, 0)
    (nodes / "torn.json").write_text('{"addr')
    assert find_address() == "127.0.0.1:2"


def test_the_variable_comes_first_and_the_default_last(
    nodes: Path, monkeypatch: pytest.MonkeyPatch
):
    assert find_address() == DEFAULT_ADDRESS
    monkeypatch.setenv("NOVA_NODE", "10.0.0.1:7600")
    assert find_address() == "10.0.0.1:7600"
