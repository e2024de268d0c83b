"""The node's side of the frames: attempts into bytes, bytes into outcomes.

Columns rather than rows, and a note only where an attempt is more than a call with JSON arguments:
the parsing of ten thousand empty calls costs next to nothing.
"""

from __future__ import annotations

import io
import json
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_node.adapters.worker_main import LARGE_BYTES
from nova_node.core.model import (
    Attempt,
    Call,
    Capability,
    Demand,
    Encoding,
    Extent,
    Failure,
    Input,
    Limits,
    Outcome,
    Param,
    Phase,
    Status,
    Value,
)
from nova_node.core.signals import (
    RanItem,
)
from nova_node.ports import NO_SECRETS
from nova_node.secrets.redact import Revealed

HEAD_BYTES = 64 << 20
BODY_BYTES = 256 << 20

SIZES = struct.Struct("<II")
Head = dict[str, Any]
Owed = deque[tuple[int, Attempt]]
JobRow = Callable[[Demand], list[Any]]

_dump = json.JSONEncoder(separators=(",", ":")).encode
_DONE, _FAILED, _JSON = Status.DONE, Status.FAILED, Encoding.JSON


def frame(head: Head, body: Sequence[bytes] = ()) -> bytes:
    return b"".join(_parts_of(head, body))


def pieces(head: Head, body: Sequence[bytes]) -> list[bytes]:
    """A frame, to be sent piece by piece: what is large is not copied."""
    parts = _parts_of(head, body)
    if max(map(len, parts)) < LARGE_BYTES:
        return [b"".join(parts)]
    whole: list[bytes] = []
    small: list[bytes] = []
    for piece in parts:
        if len(piece) < LARGE_BYTES:
            small.append(piece)
        else:
            whole += (b"".join(small), piece)
            small = []
    return [*whole, b"".join(small)]


def _parts_of(head: Head, body: Sequence[bytes]) -> tuple[bytes, ...]:
    text = _dump(head).encode()
    size_bytes = sum([len(piece) for piece in body])
    return SIZES.pack(len(text), size_bytes), text, *body


class Frames:
    """Cuts a stream of bytes into (header, body)."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._large: _Large | None = None

    @property
    def rest(self) -> memoryview | None:
        """Room for what is still to come of a large body, while one is under way. Who reads into it
        says how much `arrived`; or feeds on as ever."""
        return self._large.rest if self._large else None

    def arrived(self, size_bytes: int) -> list[tuple[Head, bytes]]:
        large = self._large
        assert large is not None
        large.arrived(size_bytes)
        if large.rest:
            return []
        self._large = None
        return [(large.head, large.body())]

    def feed(self, data: bytes) -> list[tuple[Head, bytes]]:
        whole: list[tuple[Head, bytes]] = []
        if (rest := self.rest) is not None:
            data, more = data[: len(rest)], data[len(rest) :]
            rest[: len(data)] = data
            whole, data = self.arrived(len(data)), more
        held = self._held
        held += data
        at = 0
        while len(held) - at >= 8:
            head_size, body_size = SIZES.unpack_from(held, at)
            if head_size > HEAD_BYTES or body_size > BODY_BYTES:
                raise ValueError("a worker sent what is no frame")
            middle = at + 8 + head_size
            end = middle + body_size
            if end > len(held):
                if body_size >= LARGE_BYTES and middle <= len(held):
                    head = json.loads(held[at + 8 : middle])
                    self._large = _Large(head, body_size, held[middle:])
                    at = len(held)
                break
            with memoryview(held) as view:
                body = bytes(view[middle:end])
            whole.append((json.loads(held[at + 8 : middle]), body))
            at = end
        del held[:at]
        return whole


class _Large:
    """A frame whose body is put together where it stays."""

    def __init__(self, head: Head, size_bytes: int, begin: bytearray) -> None:
        self.head = head
        # nobody else holds these bytes, so that BytesIO neither copies them now nor in the end
        self._bytes = io.BytesIO(bytes(size_bytes))
        self.rest = self._bytes.getbuffer()
        self.rest[: len(begin)] = begin
        self.arrived(len(begin))

    def arrived(self, size_bytes: int) -> None:
        self.rest = self.rest[size_bytes:]

    def body(self) -> bytes:
        return self._bytes.getvalue()


def encode_attempts(
    keys: Sequence[int],
    attempts: Sequence[Attempt],
    row: JobRow,
    locate: Callable[[str], str],
    secrets: Mapping[int, Revealed] = NO_SECRETS,
) -> list[bytes]:
    """A batch. `row` describes a demand to the worker, `locate` is as in ProcessExecutor."""
    jobs: list[Any] = []
    of: list[int] = []
    sizes: list[int] = []
    notes: list[Any] = []
    body: list[bytes] = []
    paths: dict[str, str] = {}
    last: Demand | None = None
    for i, attempt in enumerate(attempts):
        call = attempt.call
        if attempt.demand is not last:
            last = attempt.demand
            jobs.append(row(last))
        of.append(len(jobs) - 1)
        sizes.append(len(call.args))
        body.append(call.args)
        if attempt.phase or call.inputs or attempt.part or secrets:
            merge = attempt.phase == Phase.MERGE
            items, extra = _parts(attempt.parts, body) if merge else inputs_row(call.inputs, body)
            what = [int(attempt.phase), attempt.demand.shards, attempt.part, items, extra]
            notes.append([i, [*what, secrets.get(keys[i])]])
            for blob_id in blob_ids(attempt):
                if blob_id not in paths:
                    paths[blob_id] = locate(blob_id)
    columns = {"keys": list(keys), "jobs": jobs, "of": of, "sizes": sizes, "notes": notes}
    return pieces({**columns, "paths": paths}, body)


def blob_ids(attempt: Attempt) -> set[str]:
    ids = {part.blob.id for part in attempt.parts if part.blob}
    return ids.union(e.blob_id for each in attempt.call.inputs for e in each.extents or ())


def inputs_row(inputs: Sequence[Input], body: list[bytes]) -> tuple[list[Any], int]:
    items: list[Any] = []
    size = 0
    for each in inputs:
        items.append([each.name, len(each.raw), each.extents])
        if each.extents is None:
            body.append(each.raw)
            size += len(each.raw)
    return items, size


def _parts(parts: Sequence[Value], body: list[bytes]) -> tuple[list[Any], int]:
    items: list[Any] = []
    size = 0
    for part in parts:
        items.append([int(part.encoding), part.size_bytes, part.blob.id if part.blob else None])
        if part.blob is None:
            body.append(part.data)
            size += len(part.data)
    return items, size


class Spooled:
    """A result that waits in a file, or one with files beside it, that wait in another."""

    __slots__ = ("attempt", "data", "elapsed_us", "encoding", "files", "key", "pack", "path")

    def __init__(
        self, key: int, attempt: Attempt, elapsed_us: int, note: Head, data: bytes
    ) -> None:
        self.key, self.attempt, self.elapsed_us, self.data = key, attempt, elapsed_us, data
        #: "" when there is none
        self.path: str = note.get("file", "")
        self.pack: str = note.get("pack", "")
        #: name and size of each, in their order in the pack
        self.files: list[tuple[str, int]] = note.get("files", [])
        self.encoding = Encoding(note["encoding"])

    @property
    def paths(self) -> list[str]:
        return [path for path in (self.path, self.pack) if path]

    def extents(self, blob_id: str) -> tuple[Extent, ...]:
        """Of the files, in their pack."""
        offset, extents = 0, list[Extent]()
        for name, size in self.files:
            extents.append(Extent(name, blob_id, offset, size))
            offset += size
        return tuple(extents)


def decode_results(head: Head, body: bytes, owed: Owed) -> tuple[list[RanItem], list[Spooled]]:
    """The results of the oldest attempts in `owed`, which are taken from it."""
    ran: list[RanItem] = []
    spooled: list[Spooled] = []
    notes: dict[int, Head] = dict(head["notes"])
    at = 0
    for i, (size, us) in enumerate(zip(head["sizes"], head["us"], strict=True)):
        key, attempt = owed.popleft()
        data = body[at : at + size]
        at += size
        note = notes.get(i) if notes else None
        if note is None:
            value = Value(_JSON, data)
            done = Outcome(attempt.no, attempt.attempt, _DONE, value, None, "", 0.0, us)
            ran.append(RanItem(key, done))
        elif "file" in note or "pack" in note:
            spooled.append(Spooled(key, attempt, us, note, data))
        else:
            ran.append(_noted(key, attempt, us, data, note))
    return ran, spooled


def ended(key: int, attempt: Attempt, us: int, end: Value | Failure) -> RanItem:
    no, count = attempt.no, attempt.attempt
    if isinstance(end, Failure):
        return RanItem(key, Outcome(no, count, _FAILED, None, end, elapsed_us=us))
    return RanItem(key, Outcome(no, count, _DONE, end, elapsed_us=us))


def _noted(key: int, attempt: Attempt, us: int, data: bytes, note: Head) -> RanItem:
    if "failure" in note:
        return ended(key, attempt, us, Failure(*note["failure"]))
    if "shards" in note:
        outcome = Outcome(attempt.no, attempt.attempt, _DONE, elapsed_us=us)
        return RanItem(key, outcome, tuple(_calls(note["shards"], data)))
    return ended(key, attempt, us, Value(Encoding(note["encoding"]), data))


def _calls(rows: list[Any], data: bytes) -> list[Call]:
    calls: list[Call] = []
    at = 0
    for size, items in rows:
        args = data[at : at + size]
        at += size
        inputs: list[Input] = []
        for name, length, extents in items:
            if extents is None:
                inputs.append(Input(name, data[at : at + length]))
                at += length
            else:
                inputs.append(Input(name, extents=tuple(Extent(*each) for each in extents)))
        calls.append(Call(args, tuple(inputs)))
    return calls


def decode_card(row: list[Any]) -> Capability:
    name, version, doc, params, splits, merges, limits, labels, local, waits = row
    return Capability(
        name,
        version,
        doc,
        tuple(
            Param(p, kind, must, default.encode(), note) for p, kind, must, default, note in params
        ),
        splits,
        merges,
        Limits(*limits),
        tuple((key, value) for key, value in labels),
        local,
        waits,
    )
