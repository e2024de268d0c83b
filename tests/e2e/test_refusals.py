"""What a node refuses to start with: one message, the fix, an exit code, no traceback."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from support.mesh import Mesh, Node, wait_for


def refused(node: Node, code: int, *words: str) -> None:
    assert node.exit_code() == code, node.said()
    said = node.said()
    assert "Traceback" not in said
    for word in ("error: ", "fix: ", *words):
        assert word in said


def test_a_data_folder_in_use(mesh: Mesh) -> None:
    first = mesh.start("first")
    assert first.address
    refused(mesh.start("second", "--data-dir", str(first.data_dir)), 1, str(first.data_dir))
    assert first.process.poll() is None


def test_a_copy_of_a_data_folder(mesh: Mesh, tmp_path: Path) -> None:
    """A copy would be a second node with the same id; moved and meant so, it may start."""
    first = mesh.start("first")
    assert first.address
    copy = tmp_path / "copy"
    shutil.copytree(first.data_dir, copy)
    refused(mesh.start("second", "--data-dir", str(copy)), 5, "is a copy", "--adopt")
    id_ = first.id
    first.kill()
    third = mesh.start("third", "--data-dir", str(copy), "--adopt")
    assert third.id == id_


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_listening_beyond_this_machine(mesh: Mesh, address: str) -> None:
    refused(mesh.start("open", "--listen", address), 5, "identity", "127.0.0.1")


def test_a_busy_port(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        refused(mesh.start("late", "--listen", address), 1, address, "--listen")
    first = mesh.start("first")
    refused(mesh.start("same", "--listen", first.address), 1, first.address)


def test_a_setting_that_does_not_exist(mesh: Mesh) -> None:
    refused(mesh.start("typo", "--set", "limits.wal_s=5"), 2, "limits.wall_s")


def test_a_module_that_does_not_load_is_a_warning(mesh: Mesh) -> None:
    """One broken plug-in must not take a node down."""
    node = mesh.start("worn", "--capability", "support.no_such_module")
    assert node.address
    assert wait_for(lambda: "no_such_module" in node.said(), "the warning")
