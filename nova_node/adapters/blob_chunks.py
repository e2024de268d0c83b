"""How a blob is cut and named, the same on every node.

The id is the SHA-256 of the size and of each chunk's SHA-256, so the list of digests proves itself
against the id, and then each chunk against its digest: any range can be fetched from anybody.
"""

from __future__ import annotations

from hashlib import sha256

from nova_node.core.errors import Corrupt, NotFound

CHUNK_BYTES = 1 << 20
DIGEST_BYTES = 32

_FETCH_AGAIN = "fetch it from another holder, or put the blob again"


def blob_id_of(size_bytes: int, digests: bytes) -> str:
    return sha256(size_bytes.to_bytes(8, "big") + digests).hexdigest()


def chunk_count(size_bytes: int) -> int:
    return -(-size_bytes // CHUNK_BYTES)


def chunk_size(size_bytes: int, index: int) -> int:
    return min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES)


def chunks_of(offset: int, size_bytes: int) -> range:
    """Indexes of the chunks that hold these bytes."""
    if size_bytes <= 0:
        return range(0)
    return range(offset // CHUNK_BYTES, (offset + size_bytes - 1) // CHUNK_BYTES + 1)


def check_digests(blob_id: str, size_bytes: int, digests: bytes) -> None:
    """Raises Corrupt."""
    if (
        not 0 <= size_bytes < 1 << 63
        or len(digests) != DIGEST_BYTES * chunk_count(size_bytes)
        or blob_id_of(size_bytes, digests) != blob_id
    ):
        raise Corrupt(f"the digests are not those of blob {blob_id}", _FETCH_AGAIN)


def is_chunk(size_bytes: int, digests: bytes, index: int, data: bytes) -> bool:
    """Whether `data` is chunk `index`, of the blob with these digests."""
    if not 0 <= index < chunk_count(size_bytes) or len(data) != chunk_size(size_bytes, index):
        return False
    return sha256(data).digest() == digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]


def check_chunk(blob_id: str, size_bytes: int, digests: bytes, index: int, data: bytes) -> None:
    """Raises Corrupt."""
    check_digests(blob_id, size_bytes, digests)
    if not is_chunk(size_bytes, digests, index, data):
        raise Corrupt(f"chunk {index} of blob {blob_id} does not match", _FETCH_AGAIN)


def range_end(blob_id: str, total_bytes: int, offset: int, size_bytes: int | None) -> int:
    """Raises NotFound when the blob has no such range. None is to the end."""
    end = total_bytes if size_bytes is None else offset + size_bytes
    if not 0 <= offset <= end <= total_bytes:
        raise NotFound(
            f"blob {blob_id} has {total_bytes} bytes, not {offset} to {end}",
            "ask for a range within its size",
        )
    return end


def not_here(blob_id: str) -> NotFound:
    return NotFound(f"blob {blob_id} is not here", "fetch it from a holder, or put it again")
