"""Files of a blob flipped, cut, zeroed and deleted: the right bytes, or an error that says so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nova_node.adapters.blob_chunks import CHUNK_BYTES
from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.core.errors import Corrupt, NotFound

DATA = bytes(range(256)) * (CHUNK_BYTES // 128)  # two chunks
PLACES = [0, 7, 8, 12, 15, 16, 40, 79, 80]


def stored(folder: Path) -> str:
    return DiskBlobs(folder, 1 << 30).put([DATA]).id


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0xFF]))


def read_or_error(folder: Path, blob_id: str) -> bytes | None:
    try:
        return DiskBlobs(folder, 1 << 30).read(blob_id)
    except (Corrupt, NotFound) as error:
        return None if error.fix else b""


def check_heals(folder: Path, blob_id: str) -> None:
    again = DiskBlobs(folder, 1 << 30)
    again.put([DATA])
    assert again.read(blob_id) == DATA
    assert again.size_bytes() == len(DATA)
    assert DiskBlobs(folder, 1 << 30).size_bytes() == len(DATA)


@pytest.mark.parametrize("at", [0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES - 1])
def test_a_flipped_byte_is_found_and_set_aside(tmp_path: Path, at: int) -> None:
    blob_id = stored(tmp_path)
    path = tmp_path / blob_id[:2] / blob_id
    flip(path, at)
    blobs = DiskBlobs(tmp_path, 1 << 30)
    with pytest.raises(Corrupt, match="quarantine"):
        blobs.read(blob_id, at, 1)
    assert len(list((tmp_path / "quarantine").iterdir())) == 2
    assert not path.exists()
    assert blobs.size_bytes() == 0
    assert blobs.missing(blob_id, 0, len(DATA)) == [0, 1]
    with pytest.raises(NotFound):
        blobs.read(blob_id)
    check_heals(tmp_path, blob_id)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, len(DATA) - 1])
def test_a_cut_file_is_found(tmp_path: Path, size: int) -> None:
    blob_id = stored(tmp_path)
    os.truncate(tmp_path / blob_id[:2] / blob_id, size)
    assert read_or_error(tmp_path, blob_id) is None
    check_heals(tmp_path, blob_id)


def test_a_file_that_is_gone_is_found(tmp_path: Path) -> None:
    blob_id = stored(tmp_path)
    (tmp_path / blob_id[:2] / blob_id).unlink()
    assert read_or_error(tmp_path, blob_id) is None
    check_heals(tmp_path, blob_id)


@pytest.mark.parametrize("at", PLACES)
def test_no_damage_of_the_sum_gives_wrong_bytes(tmp_path: Path, at: int) -> None:
    blob_id = stored(tmp_path)
    flip(tmp_path / blob_id[:2] / f"{blob_id}.sum", at)
    assert read_or_error(tmp_path, blob_id) in (None, DATA)
    check_heals(tmp_path, blob_id)


@pytest.mark.parametrize("at", PLACES)
def test_a_cut_sum_is_found(tmp_path: Path, at: int) -> None:
    blob_id = stored(tmp_path)
    os.truncate(tmp_path / blob_id[:2] / f"{blob_id}.sum", at)
    assert read_or_error(tmp_path, blob_id) is None
    check_heals(tmp_path, blob_id)


def test_what_a_killed_put_leaves_is_dropped(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "new" / "leftover").write_bytes(b"x" * 1000)
    assert DiskBlobs(tmp_path, 1 << 30).size_bytes() == len(DATA)
    assert list((tmp_path / "new").iterdir()) == []


def test_collects_by_last_use_also_after_a_restart(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path, 1 << 30)
    old, used = blobs.put([b"old"]), blobs.put([b"used"])
    for ref in (old, used):
        past = time.time() - 500
        os.utime(tmp_path / ref.id[:2] / f"{ref.id}.sum", (past, past))
    assert blobs.read(used.id) == b"used"
    assert DiskBlobs(tmp_path, 1 << 30).collect([], 100) == 3
    assert blobs.read(used.id) == b"used"


def test_a_chunk_that_was_never_written_is_found(tmp_path: Path) -> None:
    """The bitmap says it is here, as after a power cut."""
    blob_id = stored(tmp_path / "there")
    size_bytes, digests = DiskBlobs(tmp_path / "there", 1 << 30).digests(blob_id)
    here = DiskBlobs(tmp_path / "here", 1 << 30)
    here.add_chunk(blob_id, size_bytes, digests, 0, DATA[:CHUNK_BYTES])
    flip(tmp_path / "here" / blob_id[:2] / f"{blob_id}.sum", 80)
    blobs = DiskBlobs(tmp_path / "here", 1 << 30)
    with pytest.raises((Corrupt, NotFound)):
        blobs.read(blob_id, CHUNK_BYTES)


def test_a_discard_spares_what_was_here_before_the_process(tmp_path: Path) -> None:
    blob_id = stored(tmp_path)
    blobs = DiskBlobs(tmp_path, 1 << 30)
    blobs.put([DATA])
    blobs.discard([blob_id])
    assert blobs.read(blob_id) == DATA
