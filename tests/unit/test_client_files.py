"""Packing files: every file, once, in the same order, with the right bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nova_client import BlobRef, Invalid, files
from nova_client.files import PIECE_BYTES, Packer, unpack, walk
from nova_client.model import Extent, Files


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_extents_point_at_the_bytes_of_each_file(tmp_path: Path):
    contents = {
        "0.bin": os.urandom(2 * PIECE_BYTES),
        "b/z.bin": os.urandom(2 * PIECE_BYTES + 3),
        "b/empty": b"",
        "a.txt": b"alpha",
        "b/c/d.txt": b"delta",
    }
    packer = Packer(walk([fill(tmp_path / "top", contents)]))
    pieces = list(packer.pieces())
    assert [len(piece) for piece in pieces[:-1]] == [PIECE_BYTES] * 4
    packed = b"".join(pieces)
    made = packer.files(BlobRef("id", len(packed)))
    assert [item.name for item in made.extents] == sorted(f"top/{name}" for name in contents)
    for item in made.extents:
        data = packed[item.offset : item.offset + item.size_bytes]
        assert data == contents[item.name.removeprefix("top/")]
    assert made.size_bytes == len(packed)


def test_links_to_files_are_read_and_to_folders_not_followed(tmp_path: Path):
    top = fill(tmp_path / "top", {"real.txt": b"real"})
    other = fill(tmp_path / "other", {"hidden.txt": b"hidden"})
    (top / "link.txt").symlink_to(other / "hidden.txt")
    (top / "folder").symlink_to(other)
    (top / "loop").symlink_to(top)
    (top / "broken").symlink_to(tmp_path / "nowhere")
    assert [name for name, _ in walk([top])] == ["top/link.txt", "top/real.txt"]


def test_a_folder_named_by_a_dot_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(fill(tmp_path / "here", {"a": b""}))
    assert [name for name, _ in walk(["."])] == ["here/a"]


def test_what_cannot_be_packed_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = fill(tmp_path / "one", {"x": b"1", "y": b"1"})
    two = fill(tmp_path / "two", {"x": b"2"})
    (tmp_path / "none").mkdir()
    for paths, message in (
        ([tmp_path / "absent"], "no file or folder"),
        ([tmp_path / "none"], "no file in"),
        ([one / "x", two / "x"], "both be called"),
    ):
        with pytest.raises(Invalid, match=message) as caught:
            walk(paths)
        assert caught.value.fix
    monkeypatch.setattr(files, "FILES_MAX", 1)
    with pytest.raises(Invalid, match="more than 1 files"):
        walk([one])


def test_a_file_that_vanishes_is_named(tmp_path: Path):
    found = walk([fill(tmp_path / "top", {"gone": b"x"})])
    (tmp_path / "top" / "gone").unlink()
    with pytest.raises(Invalid, match="gone"):
        list(Packer(found).pieces())


def test_files_are_saved_where_their_names_say(tmp_path: Path):
    names = ("a", "b/c d.txt", "b/é")
    extents = tuple(Extent(name, "id", 2 * at, 2) for at, name in enumerate(names))
    unpack(Files(extents, (BlobRef("id", 6),)), b"aabbcc", tmp_path / "new")
    assert [(tmp_path / "new" / name).read_bytes() for name in names] == [b"aa", b"bb", b"cc"]


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a//b", "b/../a", "", ".", "a\x1b", "a\\b", "link/a"]
)
def test_no_file_is_saved_elsewhere(tmp_path: Path, name: str):
    folder, outside = tmp_path / "new", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "a").write_bytes(b"mine")
    (folder / "link").symlink_to(outside / "a")
    with pytest.raises(Invalid):
        unpack(Files((Extent(name, "id", 0, 2),), (BlobRef("id", 2),)), b"no", folder)
    assert not list(outside.iterdir())
    assert (folder / "a").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "outside"}


@pytest.mark.parametrize("name", ["a", "link"])
def test_a_file_that_is_there_stays(tmp_path: Path, name: str):
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(Invalid, match="cannot write") as caught:
        unpack(Files((Extent(name, "id", 0, 2),), (BlobRef("id", 2),)), b"no", tmp_path)
    assert caught.value.fix == "give an empty folder"
    assert (tmp_path / "a").read_bytes() == b"mine"
