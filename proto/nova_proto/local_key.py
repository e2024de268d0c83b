"""How callers on one machine show that they are one user's, where there is no identity.

A random key lies in a file that only its user can read; every call carries it as metadata. Nodes make
the file (docs/local-nodes.md), everybody else reads it.
"""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path
from typing import Any

FILE = "local.key"
METADATA_KEY = "nova-local-key"
KEY_CHARS = 64


def read(runtime_dir: Path) -> str:
    """The key; "" when there is no file that this user alone can read, or it holds no key."""
    try:
        with os.fdopen(os.open(runtime_dir / FILE, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                return ""
            text = file.read(KEY_CHARS + 1).decode("ascii", "replace")
    except OSError:
        return ""
    return text if len(text) == KEY_CHARS and text.isalnum() and text.isascii() else ""


class Keyed:
    """In the place of a channel where stubs are made: each of their calls carries the key."""

    def __init__(self, channel: Any, key: str) -> None:
        self._channel = channel
        self._metadata = ((METADATA_KEY, key),)

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_key(self._channel.unary_unary(*args, **kwargs))

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_key(self._channel.unary_stream(*args, **kwargs))

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_key(self._channel.stream_unary(*args, **kwargs))

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_key(self._channel.stream_stream(*args, **kwargs))

    def _with_key(self, call: Any) -> Any:
        return functools.partial(call, metadata=self._metadata)
