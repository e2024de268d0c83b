"""Where a person's identities are: one folder for each mesh, and in it the node last logged in at.

NOVA_IDENTITY_DIR names another place than the platform's. Rule: who has none pays nothing, so what
reads certificates is loaded when there is one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, cast

from nova_proto.identity import names

MESHES_MAX = 64
_NODE, _NODE_BYTES_MAX = "node.json", 4_096


class Remembered(NamedTuple):
    """A node that was there: host:port, and its id."""

    address: str
    node: str


def home() -> Path:
    given = os.environ.get("NOVA_IDENTITY_DIR")
    if given:
        return Path(given)
    import platformdirs  # only needed when no variable says where

    return Path(platformdirs.user_config_dir("nova", appauthor=False)) / "identity"


def folder_of(mesh: str) -> Path:
    """Raises IdentityError: identity_malformed."""
    return home() / names.check_mesh(mesh)


def folders() -> list[Path]:
    """Those with an identity in them, the one that was changed last first."""
    try:
        there = sorted(home().iterdir())[:MESHES_MAX]
    except OSError:
        return []
    if not there:
        return []
    from nova_proto.identity import folder

    return sorted((each for each in there if folder.exists(each)), key=_changed_at, reverse=True)


def remember(where: Path, node: Remembered) -> None:
    """Raises OSError."""
    from nova_proto.identity import folder

    folder.replace_file(where / _NODE, json.dumps(node._asdict()).encode())


def remembered(where: Path) -> Remembered | None:
    try:
        with (where / _NODE).open("rb") as file:
            note: Any = json.loads(file.read(_NODE_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(note, dict):
        return None
    said = cast("dict[str, Any]", note)
    address, node = said.get("address"), said.get("node")
    if not isinstance(address, str) or not isinstance(node, str):
        return None
    return Remembered(address, node)


def _changed_at(where: Path) -> float:
    try:
        return (where / "chain.pem").stat().st_mtime
    except OSError:
        return 0.0
