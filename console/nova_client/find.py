"""Where the local node is. Each running node leaves one JSON file in the runtime folder."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

DEFAULT_ADDRESS = "127.0.0.1:7600"


def runtime_dir() -> Path | None:
    """None when the platform's folder is not this user's."""
    given = os.environ.get("NOVA_RUNTIME_DIR")
    if given:
        return Path(given)
    import platformdirs  # only needed when no variable says where

    with warnings.catch_warnings():  # that there is no XDG_RUNTIME_DIR; its fallback will do
        warnings.simplefilter("ignore")
        try:
            return Path(platformdirs.user_runtime_dir("nova", appauthor=False))
        except PermissionError:
            return None


def find_address() -> str:
    """host:port from NOVA_NODE, else of the newest running node of this user, else the default."""
    given = os.environ.get("NOVA_NODE")
    if given:
        return given
    folder = runtime_dir()
    found = running_addresses(folder / "nodes") if folder else iter(())
    return next(found, DEFAULT_ADDRESS)


def running_addresses(folder: Path) -> Iterator[str]:
    """Addresses of this user's living nodes that left a file in `folder`, newest first."""
    for path in sorted(folder.glob("*.json"), key=_modified_at, reverse=True):
        try:
            if path.stat().st_uid != os.geteuid():
                continue
            note: Any = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if not isinstance(note, dict):
            continue
        fields = cast("dict[str, Any]", note)
        address, pid = fields.get("address"), fields.get("pid")
        if isinstance(address, str) and isinstance(pid, int) and _is_alive(pid):
            yield address


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
