"""Capabilities on files of any kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from nova_node.capability import Files, capability


@capability("file.digest")
def digest(files: Files) -> dict[str, str]:
    """The SHA-256 of each file, in hex, by name."""
    return {piece.name: _sha256(piece.chunks()) for piece in files}


@digest.split
def _(files: Files, *, shards: int) -> Iterator[dict[str, object]]:
    for part in files.cut(shards):
        yield {"files": part}


@digest.merge
def _(parts: Iterator[dict[str, str]]) -> dict[str, str]:
    return {name: each for part in parts for name, each in part.items()}


def _sha256(chunks: Iterator[bytes]) -> str:
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
    return hashed.hexdigest()
