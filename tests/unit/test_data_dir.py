"""A data directory is one node's, once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nova_node.adapters import data_dir
from nova_node.adapters.data_dir import PEERS_MAX, DataDir
from nova_node.core.errors import Corrupt, InUse, Refused, Unavailable


def edit(path: Path, **changes: Any) -> None:
    """In place: the file stays the same file."""
    values = json.loads((path / "node.json").read_text()) | changes
    (path / "node.json").write_text(json.dumps(values))


def test_is_made_private_and_stays_the_same_node(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    first = DataDir(path)
    first.close()
    first.close()
    again = DataDir(path)
    assert again.identity == first.identity
    assert len(again.node) == 16
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "node.json").stat().st_mode & 0o777 == 0o600
    again.close()


def test_nodes_differ(tmp_path: Path) -> None:
    nodes = [DataDir(tmp_path / str(n)) for n in range(5)]
    assert len({node.node for node in nodes}) == 5
    for node in nodes:
        node.close()


def test_is_held_by_one_process(tmp_path: Path) -> None:
    held = DataDir(tmp_path)
    with pytest.raises(InUse, match=str(os.getpid())) as caught:
        DataDir(tmp_path)
    assert f"kill {os.getpid()}" in caught.value.fix
    held.close()
    DataDir(tmp_path).close()


def test_a_copy_is_refused_until_adopted(tmp_path: Path) -> None:
    original = DataDir(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    with pytest.raises(Refused, match=original.node) as caught:
        DataDir(tmp_path / "copy")
    assert "--adopt" in caught.value.fix
    original.close()
    adopted = DataDir(tmp_path / "copy", adopt=True)
    assert adopted.node == original.node
    adopted.close()
    DataDir(tmp_path / "copy").close()


def test_a_folder_of_another_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_dir, "host_fingerprint", lambda: "here")
    DataDir(tmp_path).close()
    monkeypatch.setattr(data_dir, "host_fingerprint", lambda: "there")
    with pytest.raises(Refused):
        DataDir(tmp_path)
    monkeypatch.setattr(data_dir, "host_fingerprint", lambda: "here")
    DataDir(tmp_path).close()


def test_a_renamed_folder_is_the_same_node(tmp_path: Path) -> None:
    first = DataDir(tmp_path / "a")
    first.close()
    (tmp_path / "a").rename(tmp_path / "b")
    again = DataDir(tmp_path / "b")
    assert again.node == first.node
    again.close()


@pytest.mark.parametrize(
    "changes",
    [{"node": "../x"}, {"node": None}, {"created": "x"}, {"host": 1}, {"stamp": []}],
    ids=str,
)
def test_a_bad_identity_is_corrupt(tmp_path: Path, changes: dict[str, Any]) -> None:
    DataDir(tmp_path).close()
    edit(tmp_path, **changes)
    with pytest.raises(Corrupt) as caught:
        DataDir(tmp_path)
    assert "node.json" in caught.value.fix


DAMAGED = [b"", b"\xff", b"{}", b"[1, null]", b"[" * 60000, b"9" * 5000, b" " * 70000]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_identity_is_corrupt_and_lets_go(tmp_path: Path, data: bytes) -> None:
    DataDir(tmp_path).close()
    (tmp_path / "node.json").write_bytes(data)
    for _ in range(2):
        with pytest.raises(Corrupt):
            DataDir(tmp_path)


def test_a_file_in_its_place_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(Unavailable):
        DataDir(tmp_path / "x")


def test_remembers_some_peers(tmp_path: Path) -> None:
    held = DataDir(tmp_path)
    assert held.load_peers() == []
    held.save_peers([f"10.0.0.1:{port}" for port in range(1, 100)])
    assert held.load_peers() == [f"10.0.0.1:{port}" for port in range(1, PEERS_MAX + 1)]
    held.close()


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_peers_are_none(tmp_path: Path, data: bytes) -> None:
    held = DataDir(tmp_path)
    (tmp_path / "peers.json").write_bytes(data)
    assert held.load_peers() == []
    held.close()
