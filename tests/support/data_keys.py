"""Data keys of a test."""

from __future__ import annotations

from pathlib import Path

from nova_node.identity.data_keys import DataKeys


def one_key(folder: Path) -> DataKeys:
    """The same key for every folder."""
    keys = DataKeys(folder / "identity" / "data_keys")
    keys.add(1, b"k" * 32)
    return keys
