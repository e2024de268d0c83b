"""Whether litellm is here, and is not a release that steals keys. Does not load it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

BAD_RELEASES = frozenset({"1.82.7", "1.82.8"})
"""Published by thieves of its author's token (PYSEC-2026-2); pyproject.toml excludes them."""


def missing() -> tuple[str, str] | None:
    """Why no model can be asked here, and the fix; None when it can."""
    try:
        found = version("litellm")
    except PackageNotFoundError:
        return "litellm is not installed", "pip install 'nova-mesh[models]', then restart the node"
    if found in BAD_RELEASES:
        fix = "remove it, change every key that this machine could read, then install a later one"
        return f"litellm {found} is a stolen release that steals keys", fix
    return None
