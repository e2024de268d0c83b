"""Results that worker processes left in files: kept as blobs, then the files are cleared away.

Rule: a file goes when its process is gone, but not one that is being kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
from collections.abc import Callable

from nova_node.adapters.worker_frames import Spooled, ended
from nova_node.core.errors import NovaError
from nova_node.core.model import BlobRef, Encoding, Failure, Value
from nova_node.core.signals import (
    RanItem,
)

Keep = Callable[..., BlobRef]
"""Of a path, an encoding, whether it is sensitive, and whether it is to survive a power cut even if
small."""


class Results:
    """`spool` is a folder of its own, emptied at `open`. `keep`, called in a thread, makes the file of
    a large result a blob, a sensitive one if its task is."""

    def __init__(self, spool: str, keep: Keep) -> None:
        self._spool, self._keep = spool, keep
        self._keeping: dict[str, asyncio.Task[None]] = {}

    def make_folder(self) -> None:
        os.makedirs(self._spool, mode=0o700, exist_ok=True)

    def open(self) -> None:
        self.make_folder()
        self.clear("")

    def clear(self, stem: str) -> None:
        """Remove what a process left behind."""
        for path in glob.glob(os.path.join(glob.escape(self._spool), f"{stem}*")):
            if path not in self._keeping:
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def store(self, result: Spooled, tell: Callable[[RanItem], None]) -> None:
        task = asyncio.create_task(self._store(result, tell))
        self._keeping.update(dict.fromkeys(result.paths, task))

    async def settled(self) -> None:
        await asyncio.gather(*self._keeping.values())

    async def _store(self, result: Spooled, tell: Callable[[RanItem], None]) -> None:
        end: Value | Failure
        try:
            end = await asyncio.to_thread(self._value, result)
        except NovaError as error:
            end = error.failure()
        except OSError as error:
            fix = "free some space on the node's disk"
            end = Failure("unavailable", f"cannot store the result: {error}", fix, True)
        for path in result.paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            del self._keeping[path]
        tell(ended(result.key, result.attempt, result.elapsed_us, end))

    def _value(self, result: Spooled) -> Value:
        sensitive = result.attempt.demand.sensitive
        value = Value(result.encoding, result.data)
        if result.path:
            value = value._replace(blob=self._keep(result.path, result.encoding, sensitive))
        if result.pack:
            pack = self._keep(result.pack, Encoding.RAW, sensitive, True)
            value = value._replace(pack=pack, files=result.extents(pack.id))
        return value
