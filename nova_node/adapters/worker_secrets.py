"""Attempts that are given secrets, inside a worker process.

Rule: what leaves the process through Nova is redacted before it goes to the node or into a file; the
values are forgotten when the attempt ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nova_node.adapters.worker_calls import (
    INLINE_BYTES,
    JSON,
    PART_INLINE_BYTES,
    RAW,
    Caller,
    Done,
    Job,
    Packed,
    Piled,
    Spool,
    failure,
)
from nova_node.capability import Capability, Files, Produced
from nova_node.secrets.redact import Redactor


class SecretCaller(Caller):
    """As Caller; results, the arguments of shards, and failures are redacted."""

    def __init__(self, spool: Spool, redactor: Redactor) -> None:
        super().__init__(spool)
        self._store, self._redactor = spool, redactor
        self._spool, self._pack = self._hold, self._clean_pack
        self._held = b""

    def _clean_pack(self, files: Mapping[str, Piled]) -> Packed:
        named = {self._redactor.text(name): each for name, each in files.items()}
        return self._store.pack(named, self._redactor.data)

    def _hold(self, data: bytes) -> str:
        self._held = data
        return ""

    def failed(self, job: Job, error: BaseException) -> list[Any]:
        return failure(error, job.memory_bytes, self._redactor.text)

    def _shards(self, found: Capability[..., Any], calls: Iterable[Mapping[str, object]]) -> Done:
        return super()._shards(found, map(self._clean_call, calls))

    def result(self, found: Capability[..., Any], value: object, part: bool) -> Done:
        data, note = super().result(found, value, part)
        if isinstance(value, Produced):
            return data, note  # its value and its files came by here
        if note and "shards" in note:
            return data, note
        if note and "file" in note:
            data = self._held
        encoding = note["encoding"] if note else JSON
        clean = self._redactor.json(data) if encoding == JSON else self._redactor.data(data)
        if len(clean) > (PART_INLINE_BYTES if part else INLINE_BYTES):
            return b"", {"file": self._store(clean), "encoding": encoding}
        return clean, None if encoding == JSON else {"encoding": RAW}

    def _clean_call(self, call: Mapping[str, object]) -> dict[str, object]:
        return {name: self._clean(value) for name, value in call.items()}

    def _clean(self, value: object) -> object:
        if isinstance(value, bytes):
            return self._redactor.data(value)
        if isinstance(value, Files):
            return value
        try:
            return json.loads(self._redactor.json(json.dumps(value).encode()))
        except (TypeError, ValueError, RecursionError):
            return value  # it is no argument, which is then said


class Ears:
    """What an attempt says while it holds secrets, in the pieces in which it comes."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = {1: b"", 2: b""}

    def hear(self, fd: int, data: bytes) -> bytes:
        """What may be told now."""
        ready, self._held[fd] = self._redactor.pour(self._held[fd] + data)
        return ready

    def rest(self, fd: int) -> bytes:
        data, self._held[fd] = self._held[fd], b""
        return self._redactor.data(data)
