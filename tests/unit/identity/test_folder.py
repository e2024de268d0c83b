"""An identity on disk is read back, kept from others, and refused when it is not whole."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from nova_proto.identity import certificates, folder
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from support.forge import NODE, Mesh

MESH = Mesh()


def credentials() -> Credentials:
    key = certificates.new_key()
    return Credentials(NODE, certificates.key_to_pem(key), MESH.chain(NODE, key), b"trust")


def code_of(path: Path) -> str:
    with pytest.raises(IdentityError) as refusal:
        folder.load(path)
    assert refusal.value.fix
    return refusal.value.code


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "identity"
    assert not folder.exists(path)
    for given in (credentials(), credentials()):
        folder.save(path, given)
        assert folder.exists(path)
        assert folder.load(path) == given


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    path.mkdir(mode=0o755)
    folder.save(path, credentials())
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in path.iterdir()} == {0o600}
    assert {p.name for p in path.iterdir()} == {"key.pem", "chain.pem", "trust.pb"}


@pytest.mark.parametrize("name", ["key.pem", "chain.pem", "trust.pb"])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    folder.save(tmp_path, credentials())
    (tmp_path / name).chmod(0o640)
    with pytest.raises(IdentityError, match="others can read") as refusal:
        folder.load(tmp_path)
    assert refusal.value.fix == f"chmod 600 {tmp_path / name}"


def test_none_there(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "identity_missing"
    assert code_of(tmp_path / "nothing") == "identity_missing"


@pytest.mark.parametrize("name", ["key.pem", "trust.pb"])
def test_a_file_less(tmp_path: Path, name: str) -> None:
    folder.save(tmp_path, credentials())
    (tmp_path / name).unlink()
    assert code_of(tmp_path) == "identity_malformed"


@pytest.mark.parametrize("name", ["key.pem", "chain.pem"])
@pytest.mark.parametrize("content", [b"", b"\0\xff", b"x" * (folder.FILE_BYTES_MAX + 1)])
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes) -> None:
    folder.save(tmp_path, credentials())
    (tmp_path / name).write_bytes(content)
    assert code_of(tmp_path) == "identity_malformed"


def test_the_key_has_to_be_of_the_certificate(tmp_path: Path) -> None:
    folder.save(tmp_path, replace(credentials(), chain=credentials().chain))
    assert code_of(tmp_path) == "identity_malformed"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityError):
        folder.save(tmp_path / "file" / "identity", credentials())


def test_a_draft_that_was_left_over_is_no_hindrance(tmp_path: Path) -> None:
    folder.replace_file(tmp_path / "a", b"old")
    folder.replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_key_is_not_printed() -> None:
    given = credentials()
    assert "PRIVATE" not in repr(given)
