"""One attempt inside a worker process: find the capability, decode, call, encode.

Standard library and `nova_node.capability` only. Rule: whatever the author's code does short of
ending the process comes back as a result or as a failure.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from nova_node.capability import (
    BadArgument,
    Capability,
    Failed,
    Fatal,
    Files,
    Piece,
    Produced,
    Shards,
)

GROUP = "nova.capabilities"
"""The entry-point group of the modules that hold capabilities."""

INLINE_BYTES = 2 << 20
PART_INLINE_BYTES = 4 << 10
"""A larger result, or a larger part of one, goes to a file."""

MAX_SHARDS = 10_000
MAX_FILES = 1000
NAME_LENGTH = 1000
MESSAGE_LENGTH = 1000
TRACEBACK_LENGTH = 8 << 10

RAW, JSON = 0, 1
RUN, SPLIT, MERGE = 0, 1, 2

Note = dict[str, Any]
Done = tuple[bytes, Note | None]
"""The bytes of a result, and what there is to say of it unless it is inline JSON."""

Piled = bytes | os.PathLike[str]
Packed = tuple[str, list[tuple[str, int]]]
"""The name of a file that holds many, end to end, and the name and size of each."""

_NULL: Done = (b"null", None)
_UNKNOWN_NS = 1_000_000


class Refusal(Failed):
    """An attempt cannot be made, or its answer cannot be used."""


class Job:
    """What a batch asks of this process, beside the arguments: a capability and its limits."""

    __slots__ = ("capability", "cpu_s", "memory_bytes", "output_bytes", "recent_ns")

    def __init__(self, found: Capability[..., Any], cpu_s: float, memory: int, output: int) -> None:
        self.capability = found
        self.cpu_s, self.memory_bytes, self.output_bytes = cpu_s, memory, output
        self.recent_ns = _UNKNOWN_NS

    def took(self, elapsed_ns: int) -> None:
        recent = self.recent_ns
        self.recent_ns = elapsed_ns if elapsed_ns > recent else recent - (recent >> 3)


class Request(NamedTuple):
    """An attempt that is more than a call with JSON arguments. `items` are the binary inputs
    or the parts, as in worker_frames; `body` is theirs. `secrets` are values by name."""

    phase: int
    shards: int
    part: bool
    items: list[Any]
    body: bytes
    paths: dict[str, str]
    secrets: dict[str, str] | None


class Library:
    """The capabilities of this process. A module is imported when first needed."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = tuple(modules)
        self._found: dict[tuple[str, str], Capability[..., Any]] = {}

    def find(self, name: str, version: str, module: str) -> Capability[..., Any]:
        found = self._found.get((name, version))
        if found is None:
            for each in (module,) if module else self.modules():
                for one in load(each):
                    self._found.setdefault((one.name, one.version), one)
                    self._found.setdefault((one.name, ""), one)
            found = self._found.get((name, version))
        if found is None:
            raise Refusal(
                "unavailable",
                f"capability {name} {version} is not installed on this node",
                "install the package that provides it, then restart the node",
                retryable=True,
            )
        return found

    def modules(self) -> list[str]:
        """Of the installed entry points, then those asked for by name."""
        from importlib.metadata import entry_points

        installed = sorted({each.module for each in entry_points(group=GROUP)})
        return list(dict.fromkeys((*installed, *self._modules)))


def load(module: str) -> list[Capability[..., Any]]:
    """The capabilities a module holds, in the order in which it made them."""
    found: dict[Capability[..., Any], None] = {}
    for each in vars(importlib.import_module(module)).values():
        if isinstance(each, Capability):
            found[each] = None
    return list(found)


class Caller:
    """Makes attempts; `spool` is where large results and files go."""

    def __init__(self, spool: Spool) -> None:
        self._spool: Callable[[bytes], str] = spool
        self._pack: Callable[[Mapping[str, Piled]], Packed] = spool.pack

    def call(self, job: Job, args: bytes, request: Request | None) -> Done:
        found = job.capability
        try:
            if request is None:
                value = found.function(**arguments(found, args))
                return _NULL if value is None else self.result(found, value, False)
            if request.phase == MERGE:
                if found.merger is None:
                    raise Refusal("invalid_argument", f"{found.name} does not merge", "")
                return self.result(found, found.merger(_parts(found, request)), request.part)
            bound = arguments(found, args, request)
            if request.phase == SPLIT:
                if found.splitter is None:
                    raise Refusal("invalid_argument", f"{found.name} does not split", "")
                return self._shards(found, found.cut(bound, request.shards))
            return self.result(found, found.function(**bound), request.part)
        except BaseException as error:
            return b"", {"failure": self.failed(job, error)}

    def failed(self, job: Job, error: BaseException) -> list[Any]:
        return failure(error, job.memory_bytes)

    def _shards(self, found: Capability[..., Any], calls: Iterable[Mapping[str, object]]) -> Done:
        return _shards(found, calls)

    def result(self, found: Capability[..., Any], value: object, part: bool) -> Done:
        if isinstance(value, Shards):
            return self._shards(found, value.calls)
        if isinstance(value, Produced):
            return self._produced(found, value, part)
        if part and found.packer and found.merger:
            data, encoding = found.packer(value), RAW
        elif isinstance(value, bytes):
            data, encoding = value, RAW
        else:
            data, encoding = encode_json(found.name, value), JSON
        if len(data) > (PART_INLINE_BYTES if part else INLINE_BYTES):
            return b"", {"file": self._spool(data), "encoding": encoding}
        return data, None if encoding == JSON else {"encoding": RAW}

    def _produced(self, found: Capability[..., Any], given: Produced, part: bool) -> Done:
        if part or isinstance(given.value, Shards | Produced):
            fix = "return files with the plain result of a task that is not split"
            raise Refusal(
                "bad_result", f"{found.name} returned files that nobody can be given", fix
            )
        _check_files(found, given.files)
        data, note = self.result(found, given.value, part)
        if not given.files:
            return data, note
        pack, files = self._pack(given.files)
        return data, {"encoding": JSON, **(note or {}), "pack": pack, "files": files}


# ---------------------------------------------------------------- in


def arguments(
    found: Capability[..., Any], args: bytes, request: Request | None = None
) -> dict[str, object]:
    """Those of a call of the function. Raises BadArgument."""
    given = _decode(args) if args and args != b"{}" else {}
    return found.bind(given if request is None else given | _inputs(request))


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _decode(args: bytes) -> dict[str, object]:
    try:
        given: Any = _decoder.decode(args.decode())
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"the arguments are not JSON: {error}", "send a JSON object") from None
    if type(given) is dict:
        return cast("dict[str, object]", given)
    raise BadArgument("the arguments are not a JSON object", "send parameters by name")


def _inputs(request: Request) -> dict[str, object]:
    given: dict[str, object] = {}
    at = 0
    for name, size, extents in request.items:
        if extents is None:
            given[name] = request.body[at : at + size]
            at += size
        else:
            given[name] = Files(
                Piece(file, blob, request.paths[blob], offset, length)
                for file, blob, offset, length in extents
            )
    return given


def _parts(found: Capability[..., Any], request: Request) -> Iterator[object]:
    at = 0
    for encoding, size, blob in request.items:
        if blob is None:
            data = request.body[at : at + size]
            at += size
        else:
            data = Piece("part", blob, request.paths[blob], 0, size).read()
        if encoding == JSON:
            yield json.loads(data)
        else:
            yield found.unpacker(data) if found.unpacker else data


# ---------------------------------------------------------------- out

_dense = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def encode_json(name: str, value: object) -> bytes:
    try:
        try:
            return _dense(value).encode()
        except UnicodeEncodeError:
            return _ascii(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refusal(
            "bad_result",
            f"{name} returned what is not JSON: {error}",
            "return what JSON can hold, bytes, or Shards",
        ) from None


def _shards(found: Capability[..., Any], calls: Iterable[Mapping[str, object]]) -> Done:
    rows: list[Any] = []
    body: list[bytes] = []
    for call in calls:
        if len(rows) == MAX_SHARDS:
            raise _bad_split(
                found, f"gave more than {MAX_SHARDS} shards", "give fewer, larger ones"
            )
        try:
            found.bind(call)
        except BadArgument as error:
            raise _bad_split(found, f"gave a wrong shard: {error}", error.fix) from None
        plain: dict[str, object] = {}
        inputs: list[Any] = []
        raws: list[bytes] = []
        for name, value in call.items():
            if isinstance(value, bytes):
                inputs.append([name, len(value), None])
                raws.append(value)
            elif isinstance(value, Files):
                inputs.append([name, 0, [_extent(found, piece) for piece in value]])
            else:
                plain[name] = value
        args = encode_json(found.name, plain)
        rows.append([len(args), inputs])
        body += (args, *raws)
    if not rows:
        raise _bad_split(found, "gave no shard", "give at least one, the whole if need be")
    return b"".join(body), {"shards": rows}


def _extent(found: Capability[..., Any], piece: Piece) -> list[Any]:
    if not piece.blob_id:
        raise _bad_split(found, f"gave a local file, {piece.name}", "cut the files it was given")
    return [piece.name, piece.blob_id, piece.offset, piece.size_bytes]


def _bad_split(found: Capability[..., Any], what: str, fix: str) -> Refusal:
    return Refusal("bad_split", f"{found.name} {what}", fix)


def failure(
    error: BaseException, memory_bytes: int = 0, clean: Callable[[str], str] = str
) -> list[Any]:
    """Code, message, fix, retryable, traceback, and when to come back where that is known; texts are
    cleaned before they are cut."""
    message = clean(str(error))[:MESSAGE_LENGTH]
    match error:
        case Failed():
            trace = _middle_out(clean(error.traceback))
            row = [error.code, message, clean(error.fix), error.retryable, trace]
            return [*row, error.retry_after_s] if error.retry_after_s else row
        case BadArgument():
            return ["invalid_argument", message, clean(error.fix), False, ""]
        case Fatal():
            trace = _traceback(error, clean)
            return ["capability_failed", message, clean(error.fix), False, trace]
        case MemoryError():
            fix = "give the task more memory, or smaller shards"
            trace = _traceback(error, clean)
            return ["memory_limit", "out of memory", fix, not memory_bytes, trace]
        case _:
            message = f"{type(error).__name__}: {message}" if message else type(error).__name__
            return ["capability_failed", message, "", True, _traceback(error, clean)]


def _traceback(error: BaseException, clean: Callable[[str], str]) -> str:
    import traceback

    seen = error.__traceback__
    lines = traceback.format_exception(type(error), error, seen.tb_next if seen else None)
    return _middle_out(clean("".join(lines)))


def _middle_out(text: str) -> str:
    if len(text) <= TRACEBACK_LENGTH:
        return text
    half = TRACEBACK_LENGTH // 2 - 8
    return f"{text[:half]}\n  ...\n{text[-half:]}"


class Spool:
    """Files of large results, named so that the node can clear up after a process that died."""

    def __init__(self, folder: str) -> None:
        self._stem = os.path.join(folder, f"{os.getpid()}-")
        self._count = 0

    def __call__(self, data: bytes) -> str:
        path = self._next()
        with open(path, "wb") as file:
            file.write(data)
        return path

    def pack(self, files: Mapping[str, Piled], clean: Callable[[bytes], bytes] = bytes) -> Packed:
        """All of them in one file, end to end, each cleaned."""
        path, rows = self._next(), list[tuple[str, int]]()
        with open(path, "wb") as pile:
            for name, each in files.items():
                data = each if isinstance(each, bytes) else Path(each).read_bytes()
                rows.append((name, pile.write(clean(data))))
        return path, rows

    def _next(self) -> str:
        self._count += 1
        return f"{self._stem}{self._count}"


def _check_files(found: Capability[..., Any], files: Mapping[str, Piled]) -> None:
    if len(files) > MAX_FILES:
        fix = "return fewer, or an archive of them"
        raise Refusal("bad_result", f"{found.name} returned over {MAX_FILES} files", fix)
    for name in files:
        parts = name.split("/")
        odd = not name.isprintable() or "\\" in name or not 0 < len(name) <= NAME_LENGTH
        if odd or any(part in ("", ".", "..") for part in parts):
            fix = "use relative paths of printable parts, with /"
            raise Refusal("bad_result", f"{found.name} named a file {name[:100]!r}", fix)
