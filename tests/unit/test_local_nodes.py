"""The files by which tools on this machine find its nodes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from nova_proto import local_key

from nova_node.adapters.local_nodes import (
    LocalNode,
    announce,
    key_for,
    local_key_in,
    nodes_dir,
    running,
    withdraw,
)
from nova_node.core.errors import Refused


def node(name: str = "a", pid: int | None = None, address: str = "127.0.0.1:7600") -> LocalNode:
    return LocalNode(f"id-of-{name}", name, address, "nova", "data", pid or os.getpid())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return nodes_dir({"NOVA_RUNTIME_DIR": str(tmp_path / "runtime")})


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """Of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_announced_until_withdrawn(folder: Path) -> None:
    assert running(folder) == []
    announce(node("b"), folder)
    announce(node("a"), folder)
    assert [n.name for n in running(folder)] == ["a", "b"]
    withdraw(node("a"), folder)
    withdraw(node("a"), folder)
    assert running(folder) == [node("b")]
    assert [path.name for path in folder.iterdir()] == ["id-of-b.json"]


def test_the_file_is_as_documented(folder: Path) -> None:
    announce(node(), folder)
    path = folder / "id-of-a.json"
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "node": "id-of-a",
        "name": "a",
        "address": "127.0.0.1:7600",
        "mesh": "nova",
        "data_dir": "data",
        "pid": os.getpid(),
        "secure": False,
        "local": "",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_tools_of_this_machine_have_an_address_of_their_own(folder: Path) -> None:
    announce(node("a", address="192.0.2.7:7600")._replace(local="127.0.0.1:7600"), folder)
    announce(node("b", address="127.0.0.1:7601"), folder)
    first, second = running(folder)
    assert (first.asked_at, second.asked_at) == ("127.0.0.1:7600", "127.0.0.1:7601")
    assert first.is_at("192.0.2.7:7600")
    assert first.is_at("127.0.0.1:7600")
    assert not second.is_at("127.0.0.1:7600")


def test_the_file_of_a_dead_process_is_removed(folder: Path, dead_pid: int) -> None:
    announce(node("gone", dead_pid), folder)
    announce(node("here"), folder)
    assert running(folder) == [node("here")]
    assert [path.name for path in folder.iterdir()] == ["id-of-here.json"]


def test_a_restarted_node_keeps_its_file_when_the_old_process_withdraws(folder: Path) -> None:
    announce(node("a", pid=1), folder)
    announce(node("a"), folder)
    withdraw(node("a", pid=1), folder)
    assert running(folder) == [node("a")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "[" * 10_000,
        "{}",
        '{"schema": 1, "pid": 1}',
        '{"schema": 2, "node": "x", "name": "", "address": "", "mesh": "", "data_dir": "", "pid": 1}',
        '{"schema": 1, "node": "y", "name": "", "address": "", "mesh": "", "data_dir": "", "pid": 1}',
        '{"schema": 1, "node": "x", "name": "", "address": "", "mesh": "", "data_dir": "", "pid": -1}',
        '{"schema": 1, "node": "x", "name": 1, "address": "", "mesh": "", "data_dir": "", "pid": 1}',
        " " * 20_000,
    ],
)
def test_what_is_no_such_file_is_passed_over(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, mode=0o700)
    (folder / "x.json").write_text(text)
    assert running(folder) == []


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    announce(node(), folder)
    (folder / "id-of-a.json").rename(tmp_path / "elsewhere.json")
    (folder / "id-of-a.json").symlink_to(tmp_path / "elsewhere.json")
    assert running(folder) == []


def test_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(Refused, match="written by others"):
        announce(node(), folder)


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden", "x" * 64])
def test_an_id_is_no_path(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a node id"):
        announce(node()._replace(node=name), folder)


def test_nodes_of_one_user_share_one_key(folder: Path) -> None:
    key = local_key_in(folder)
    assert local_key_in(folder) == key
    assert local_key.read(folder.parent) == key
    path = folder.parent / "local.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 64
    assert [p.name for p in folder.iterdir()] == []


def test_the_key_is_shown_only_where_a_node_of_this_user_runs(folder: Path, dead_pid: int) -> None:
    key = local_key_in(folder)
    assert key_for("127.0.0.1:7600", folder) == ""
    announce(node("gone", dead_pid), folder)
    assert key_for("127.0.0.1:7600", folder) == ""
    announce(node("here"), folder)
    assert key_for("127.0.0.1:7600", folder) == key
    assert key_for("127.0.0.1:7601", folder) == ""
    assert key_for("127.0.0.1:7600", folder, "id-of-here") == key
    assert key_for("127.0.0.1:7600", folder, "id-of-gone") == ""
    assert key_for("127.0.0.1:7600", folder, "../nodes/id-of-here") == key
    assert key_for("127.0.0.1:7601", folder, "id-of-here") == ""


@pytest.mark.parametrize("spoil", ["mode", "link", "empty", "long", "folder"])
def test_a_key_that_others_could_know_is_refused(folder: Path, spoil: str, tmp_path: Path) -> None:
    key = local_key_in(folder)
    path = folder.parent / "local.key"
    if spoil == "mode":
        path.chmod(0o640)
    elif spoil == "folder":
        folder.chmod(0o777)
    else:
        path.unlink()
        if spoil == "link":
            (tmp_path / "other").write_text(key)
            path.symlink_to(tmp_path / "other")
        else:
            path.write_text("" if spoil == "empty" else key + "0")
            path.chmod(0o600)
    with pytest.raises(Refused):
        local_key_in(folder)
