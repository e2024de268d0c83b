"""What the file `<id>.sum` says of a blob: its size, its digests, which chunks are here, and whether
they are sealed. The magic tells the last one.
"""

from __future__ import annotations

from typing import NamedTuple

from nova_node.adapters.blob_chunks import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    check_digests,
    chunk_count,
    chunk_size,
)
from nova_node.core.errors import Corrupt
from nova_node.ports import SEALED_EXTRA_BYTES

_MAGIC = {b"novasum1": False, b"novasum2": True}
_MAGIC_BYTES = 8
_HEADER_BYTES = 16


class Sum(NamedTuple):
    size_bytes: int
    digests: bytes
    #: bit index % 8 of byte index // 8
    here: bytearray
    sealed: bool = False

    def has(self, index: int) -> bool:
        return bool(self.here[index >> 3] >> (index & 7) & 1)

    def digest(self, index: int) -> bytes:
        return self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def stored_bytes(self) -> int:
        """Of plaintext: what sealing adds is not counted."""
        found = [i for i in range(chunk_count(self.size_bytes)) if self.has(i)]
        return sum([chunk_size(self.size_bytes, i) for i in found])

    @property
    def chunk_bytes(self) -> int:
        """From the start of one chunk in the file to the start of the next."""
        return CHUNK_BYTES + self.sealed * SEALED_EXTRA_BYTES

    @property
    def file_bytes(self) -> int:
        return self.size_bytes + self.sealed * SEALED_EXTRA_BYTES * chunk_count(self.size_bytes)

    def here_at(self, index: int) -> int:
        """Where the file of the sum has the bit of this chunk."""
        return _HEADER_BYTES + len(self.digests) + (index >> 3)

    def to_bytes(self) -> bytes:
        magic = next(magic for magic, sealed in _MAGIC.items() if sealed == self.sealed)
        return magic + self.size_bytes.to_bytes(8, "big") + self.digests + self.here


def none_here(size_bytes: int, digests: bytes, sealed: bool) -> Sum:
    return Sum(size_bytes, digests, bytearray((chunk_count(size_bytes) + 7) // 8), sealed)


def all_here(size_bytes: int, digests: bytes, sealed: bool) -> Sum:
    count = chunk_count(size_bytes)
    here = ((1 << count) - 1).to_bytes((count + 7) // 8, "little")
    return Sum(size_bytes, digests, bytearray(here), sealed)


def sum_from_bytes(blob_id: str, data: bytes) -> Sum:
    """Raises Corrupt."""
    sealed = _MAGIC.get(data[:_MAGIC_BYTES])
    size_bytes = int.from_bytes(data[_MAGIC_BYTES:_HEADER_BYTES], "big")
    at = _HEADER_BYTES + DIGEST_BYTES * chunk_count(size_bytes)
    digests, here = data[_HEADER_BYTES:at], bytearray(data[at:])
    check_digests(blob_id, size_bytes, digests)
    if sealed is None or len(here) != (chunk_count(size_bytes) + 7) // 8:
        raise Corrupt(f"the sum of blob {blob_id} was damaged", "fetch the blob again")
    return Sum(size_bytes, digests, here, sealed)
