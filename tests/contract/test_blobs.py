"""What every Blobs promises: run against the disk and against the fake."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from support.data_keys import one_key

from nova_node.adapters.blob_chunks import CHUNK_BYTES, blob_id_of
from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.memory import MemoryBlobs
from nova_node.core.errors import Corrupt, Invalid, NotFound, Overloaded, Refused
from nova_node.core.model import BlobRef, Encoding

AnyBlobs = DiskBlobs | MemoryBlobs
LARGE = bytes(range(256)) * (10 * CHUNK_BYTES // 1024)  # 2.5 chunks
UNKNOWN = "0" * 64


def blobs_of(folder: Path, max_bytes: int, kind: str) -> AnyBlobs:
    match kind:
        case "memory":
            return MemoryBlobs(max_bytes, folder)
        case "memory with a key":
            return MemoryBlobs(max_bytes, folder, has_key=True)
        case "disk with a key":
            return DiskBlobs(folder / "blobs", max_bytes, one_key(folder))
        case _:
            return DiskBlobs(folder / "blobs", max_bytes)


@pytest.fixture(params=["disk", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], AnyBlobs]:
    """Of so many bytes at most; each has a folder of its own."""
    made: list[AnyBlobs] = []

    def make(max_bytes: int) -> AnyBlobs:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(blobs_of(folder, max_bytes, request.param))
        return made[-1]

    return make


with_a_key = pytest.mark.parametrize(
    "make", ["disk with a key", "memory with a key"], indirect=True
)


@pytest.fixture
def blobs(make: Callable[[int], AnyBlobs]) -> AnyBlobs:
    return make(1 << 30)


@pytest.mark.parametrize(
    "data", [b"", b"x", LARGE[:CHUNK_BYTES], LARGE[: CHUNK_BYTES + 1], LARGE], ids=len
)
def test_reads_what_was_put(blobs: AnyBlobs, data: bytes) -> None:
    ref = blobs.put([data], Encoding.JSON)
    digests = b"".join(
        sha256(data[at : at + CHUNK_BYTES]).digest() for at in range(0, len(data), CHUNK_BYTES)
    )
    assert ref == BlobRef(blob_id_of(len(data), digests), len(data), Encoding.JSON)
    assert blobs.read(ref.id) == data
    assert blobs.digests(ref.id) == (len(data), digests)
    assert blobs.missing(ref.id, 0, len(data)) == []
    assert blobs.size_bytes() == len(data)
    with open(blobs.path(ref.id), "rb") as file:
        assert file.read() == data


def test_the_id_is_the_documented_one(blobs: AnyBlobs) -> None:
    expected = sha256((3).to_bytes(8, "big") + sha256(b"abc").digest()).hexdigest()
    assert blobs.put([b"a", b"", b"bc"]).id == expected


def test_the_same_bytes_in_other_pieces_are_one_blob(blobs: AnyBlobs) -> None:
    one = blobs.put([LARGE])
    two = blobs.put(LARGE[at : at + 700_001] for at in range(0, len(LARGE), 700_001))
    assert one == two
    assert blobs.size_bytes() == len(LARGE)


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 1), (5, 0), (CHUNK_BYTES - 1, 2), (CHUNK_BYTES, CHUNK_BYTES), (1, len(LARGE) - 1)],
)
def test_reads_ranges(blobs: AnyBlobs, offset: int, size: int) -> None:
    ref = blobs.put([LARGE])
    assert blobs.read(ref.id, offset, size) == LARGE[offset : offset + size]
    assert blobs.read(ref.id, offset) == LARGE[offset:]


@pytest.mark.parametrize(("offset", "size"), [(0, 4), (4, 0), (-1, 1), (0, -1), (2, 2)])
def test_ranges_outside_are_not_found(blobs: AnyBlobs, offset: int, size: int) -> None:
    ref = blobs.put([b"abc"])
    with pytest.raises(NotFound):
        blobs.read(ref.id, offset, size)


def test_unknown_blobs_are_not_found(blobs: AnyBlobs) -> None:
    with pytest.raises(NotFound):
        blobs.read(UNKNOWN)
    with pytest.raises(NotFound):
        blobs.digests(UNKNOWN)
    with pytest.raises(NotFound):
        blobs.sync(UNKNOWN)
    with pytest.raises(NotFound):
        blobs.path(UNKNOWN)
    assert blobs.missing(UNKNOWN, CHUNK_BYTES, CHUNK_BYTES + 1) == [1, 2]


@pytest.mark.parametrize("blob_id", ["", "../../etc/passwd", "0" * 63, "F" * 64, "0" * 64 + "\n"])
def test_what_is_no_id_is_refused(blobs: AnyBlobs, blob_id: str) -> None:
    for use in (blobs.read, blobs.digests, blobs.path):
        with pytest.raises(Invalid):
            use(blob_id)
    with pytest.raises(Invalid):
        blobs.missing(blob_id, 0, 1)
    with pytest.raises(Invalid):
        blobs.add_chunk(blob_id, 1, b"", 0, b"")


def test_chunks_of_another_nodes_blob_come_one_by_one(
    make: Callable[[int], AnyBlobs],
) -> None:
    there, here = make(1 << 30), make(1 << 30)
    ref = there.put([LARGE])
    size_bytes, digests = there.digests(ref.id)
    chunks = [LARGE[at : at + CHUNK_BYTES] for at in range(0, len(LARGE), CHUNK_BYTES)]
    here.add_chunk(ref.id, size_bytes, digests, 2, chunks[2])
    here.add_chunk(ref.id, size_bytes, digests, 2, chunks[2])
    assert here.size_bytes() == len(chunks[2])
    assert here.missing(ref.id, 0, size_bytes) == [0, 1]
    assert here.missing(ref.id, 2 * CHUNK_BYTES, 10 * CHUNK_BYTES) == []
    assert here.read(ref.id, 2 * CHUNK_BYTES) == chunks[2]
    with pytest.raises(NotFound):
        here.read(ref.id)
    for index in (1, 0):
        here.add_chunk(ref.id, size_bytes, digests, index, chunks[index])
    assert here.read(ref.id) == LARGE
    assert here.put([LARGE]) == ref
    assert here.size_bytes() == len(LARGE)


def test_chunks_that_do_not_match_are_corrupt(make: Callable[[int], AnyBlobs]) -> None:
    there, here = make(1 << 30), make(1 << 30)
    ref = there.put([LARGE])
    size, digests = there.digests(ref.id)
    chunk = LARGE[:CHUNK_BYTES]
    bad: list[tuple[int, bytes, int, bytes]] = [
        (size, digests, 0, b"x" + chunk[1:]),
        (size, digests, 2, chunk),
        (size, digests, 3, b""),
        (size, digests, -1, chunk),
        (size + 1, digests, 0, chunk),
        (size, digests[:-1], 0, chunk),
        (size, b"x" + digests[1:], 0, chunk),
        (1 << 64, digests, 0, chunk),
        (-1, b"", 0, b""),
    ]
    for size_bytes, sums, index, data in bad:
        with pytest.raises(Corrupt):
            here.add_chunk(ref.id, size_bytes, sums, index, data)
    assert here.size_bytes() == 0
    with pytest.raises(NotFound):
        here.digests(ref.id)


def test_holds_no_more_than_allowed(make: Callable[[int], AnyBlobs]) -> None:
    there, here = make(1 << 30), make(100)
    here.put([b"x" * 60])
    with pytest.raises(Overloaded) as caught:
        here.put([b"y" * 41])
    assert caught.value.fix
    other = there.put([b"z" * 41])
    with pytest.raises(Overloaded):
        here.add_chunk(other.id, *there.digests(other.id), 0, b"z" * 41)
    assert here.size_bytes() == 60
    assert here.collect([], 0) == 60
    here.put([b"y" * 41])


def test_collects_what_is_not_referenced_and_not_used_lately(blobs: AnyBlobs) -> None:
    kept, gone = blobs.put([b"kept"]), blobs.put([b"gone!"])
    assert blobs.collect([], 1000) == 0
    assert blobs.collect([kept.id], 0) == 5
    assert blobs.read(kept.id) == b"kept"
    assert blobs.missing(gone.id, 0, 5) == [0]
    with pytest.raises(NotFound):
        blobs.read(gone.id)
    assert blobs.size_bytes() == 4


def test_the_last_discard_deletes(blobs: AnyBlobs) -> None:
    one, two = blobs.put([b"one"]), blobs.put([b"two"], durable=False)
    blobs.put([b"two"])
    blobs.discard([one.id, two.id, UNKNOWN])
    with pytest.raises(NotFound):
        blobs.read(one.id)
    assert blobs.read(two.id) == b"two"
    blobs.discard([two.id])
    assert blobs.size_bytes() == 0
    blobs.discard([two.id])
    blobs.put([b"two"])
    assert blobs.read(two.id) == b"two"


def test_chunks_are_no_put(make: Callable[[int], AnyBlobs]) -> None:
    there, here = make(1 << 30), make(1 << 30)
    ref = there.put([b"abc"])
    here.add_chunk(ref.id, *there.digests(ref.id), 0, b"abc")
    here.discard([ref.id])
    here.put([b"abc"])
    here.discard([ref.id])
    assert here.read(ref.id) == b"abc"


# ---------------------------------------------------------------- sensitive ones


def test_without_a_key_a_sensitive_blob_is_refused(make: Callable[[int], AnyBlobs]) -> None:
    there, here = make(1 << 30), make(1 << 30)
    with pytest.raises(Refused, match="no data key") as caught:
        here.put([b"abc"], sensitive=True)
    assert "nova-node init" in caught.value.fix
    ref = there.put([b"abc"])
    with pytest.raises(Refused):
        here.add_chunk(ref.id, *there.digests(ref.id), 0, b"abc", sensitive=True)
    assert here.size_bytes() == 0


@with_a_key
@pytest.mark.parametrize("data", [b"", b"x", LARGE[:CHUNK_BYTES], LARGE], ids=len)
def test_a_sensitive_blob_reads_as_any_other(make: Callable[[int], AnyBlobs], data: bytes) -> None:
    blobs, plain = make(1 << 30), make(1 << 30)
    ref = blobs.put([data], sensitive=True)
    assert ref == plain.put([data])
    assert blobs.is_sensitive(ref.id)
    assert not plain.is_sensitive(ref.id)
    assert blobs.read(ref.id) == data
    assert blobs.read(ref.id, len(data) // 2) == data[len(data) // 2 :]
    assert blobs.digests(ref.id) == plain.digests(ref.id)
    assert blobs.size_bytes() == len(data)
    blobs.discard([ref.id])
    assert blobs.size_bytes() == 0


@with_a_key
def test_once_sensitive_always_sensitive(make: Callable[[int], AnyBlobs]) -> None:
    blobs, other = make(1 << 30), make(1 << 30)
    for first in (True, False):
        ref = blobs.put([LARGE], sensitive=first)
        assert blobs.put([LARGE], sensitive=not first) == ref
        assert blobs.is_sensitive(ref.id)
        assert blobs.read(ref.id) == LARGE
        assert blobs.size_bytes() == len(LARGE)
        blobs.discard([ref.id, ref.id])
        assert blobs.size_bytes() == 0
    size_bytes, digests = blobs.digests(blobs.put([LARGE]).id)
    for index, sensitive in enumerate((False, True, False)):
        chunk = LARGE[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        other.add_chunk(ref.id, size_bytes, digests, index, chunk, sensitive)
        assert other.is_sensitive(ref.id) == (index > 0)
    assert other.read(ref.id) == LARGE


@with_a_key
def test_a_sensitive_blob_has_a_path_while_it_is_lent(make: Callable[[int], AnyBlobs]) -> None:
    blobs = make(1 << 30)
    ref = blobs.put([LARGE], sensitive=True)
    with pytest.raises(NotFound):
        blobs.path(ref.id)
    blobs.lend(ref.id, CHUNK_BYTES + 5, 10)
    blobs.lend(ref.id, 0, len(LARGE))
    with open(blobs.path(ref.id), "rb") as file:
        assert file.read() == LARGE
    blobs.take_back(ref.id, 0, len(LARGE))
    with open(blobs.path(ref.id), "rb") as file:
        file.seek(CHUNK_BYTES)
        assert file.read(CHUNK_BYTES) == LARGE[CHUNK_BYTES : 2 * CHUNK_BYTES]
    blobs.take_back(ref.id, CHUNK_BYTES + 5, 10)
    with pytest.raises(NotFound):
        blobs.path(ref.id)
    blobs.take_back(ref.id, 0, 1)


@with_a_key
def test_what_is_not_here_is_not_lent(make: Callable[[int], AnyBlobs]) -> None:
    there, here = make(1 << 30), make(1 << 30)
    ref = there.put([LARGE], sensitive=True)
    here.add_chunk(ref.id, *there.digests(ref.id), 0, LARGE[:CHUNK_BYTES], sensitive=True)
    with pytest.raises(NotFound):
        here.lend(ref.id, 0, len(LARGE))
    with pytest.raises(NotFound):
        here.path(ref.id)


def test_a_plain_blob_needs_no_loan(blobs: AnyBlobs) -> None:
    ref = blobs.put([b"abc"])
    blobs.lend(ref.id, 0, 3)
    blobs.take_back(ref.id, 0, 3)
    with open(blobs.path(ref.id), "rb") as file:
        assert file.read() == b"abc"
