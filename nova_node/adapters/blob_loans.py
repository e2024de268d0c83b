"""Sensitive blobs in plain for as long as attempts read them: in memory that ends with the process.

A loan is a range of one blob. A chunk is there while any loan holds it. Where the system has no
memory files, a 0600 file in a folder that is emptied at each start stands in.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from nova_node.adapters.blob_chunks import CHUNK_BYTES
from nova_node.core.errors import NotFound, Overloaded

LENT_MAX_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4

_PUNCH_HOLE_KEEP_SIZE = 3


class _View:
    def __init__(self, folder: Path) -> None:
        #: of each chunk
        self.loans: Counter[int] = Counter()
        self.loans_total = 0
        if sys.platform == "linux":
            self.file = os.memfd_create("nova-blob", os.MFD_CLOEXEC)
            self.path = f"/proc/{os.getpid()}/fd/{self.file}"
        else:
            self.file, self.path = tempfile.mkstemp(dir=folder)

    def drop(self, index: int) -> None:
        if sys.platform == "linux":
            at, size = ctypes.c_int64(index * CHUNK_BYTES), ctypes.c_int64(CHUNK_BYTES)
            ctypes.CDLL(None).fallocate64(self.file, _PUNCH_HOLE_KEEP_SIZE, at, size)

    def close(self) -> None:
        os.close(self.file)
        if sys.platform != "linux":
            os.unlink(self.path)


class Loans:
    """Safe to call from several threads."""

    def __init__(self, folder: Path, max_bytes: int = LENT_MAX_BYTES) -> None:
        self._folder = folder
        self._max_chunks = max(1, max_bytes // CHUNK_BYTES)
        self._lock = Lock()
        self._views: dict[str, _View] = {}
        self._chunks = 0

    def lend(
        self, blob_id: str, size_bytes: int, chunks: Iterable[int], read: Callable[[int], bytes]
    ) -> None:
        """`size_bytes` is that of the blob, `read` gives a chunk. Raises Overloaded and what `read`
        raises; then nothing is lent."""
        with self._lock:
            view = self._views.get(blob_id)
            if view is None:
                view = self._views[blob_id] = _View(self._folder)
                os.ftruncate(view.file, size_bytes)
            view.loans_total += 1
            lent: list[int] = []
            try:
                for index in chunks:
                    if not view.loans[index]:
                        self._check_room()
                        os.pwrite(view.file, read(index), index * CHUNK_BYTES)
                        self._chunks += 1
                    view.loans[index] += 1
                    lent.append(index)
            except BaseException:
                self._end(blob_id, view, lent)
                raise

    def take_back(self, blob_id: str, chunks: Iterable[int]) -> None:
        with self._lock:
            view = self._views.get(blob_id)
            if view is not None:
                self._end(blob_id, view, chunks)

    def path(self, blob_id: str) -> str:
        """Raises NotFound."""
        with self._lock:
            view = self._views.get(blob_id)
            if view is None:
                raise NotFound(f"blob {blob_id} is sensitive and not lent", "lend what is read")
            return view.path

    def _end(self, blob_id: str, view: _View, chunks: Iterable[int]) -> None:
        for index in chunks:
            view.loans[index] -= 1
            if not view.loans[index]:
                del view.loans[index]
                self._chunks -= 1
                view.drop(index)
        view.loans_total -= 1
        if not view.loans_total:
            del self._views[blob_id]
            view.close()

    def _check_room(self) -> None:
        if self._chunks >= self._max_chunks:
            raise Overloaded(
                f"{self._chunks} MiB of sensitive blobs are in memory, as much as is allowed",
                "wait until attempts have ended, or give sensitive data in smaller files",
            )
