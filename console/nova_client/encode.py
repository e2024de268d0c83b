"""From calls to submit requests: groups of consecutive equal demands, cut to a bounded size."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nova_proto.v1 import task_pb2, tasks_pb2

from nova_client.errors import Invalid
from nova_client.model import BlobRef, Call, Files, Options, SubmitOptions

_AGAIN = re.compile(r"again-([a-z0-9]{8}-[0-9]{1,16})-[0-9a-f]{16}")
CALLS_MAX = 4096
REQUEST_BYTES_MAX = 2 << 20
CALL_BYTES_MAX = 15 << 20

Spec = tuple[str, Mapping[str, Any] | None] | Call

_encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Bound(NamedTuple):
    """The inputs of a call by parameter, and who holds their blobs."""

    inputs: list[tuple[str, bytes | task_pb2.Files]]
    blobs: list[task_pb2.BlobRef]
    size_bytes: int


class Request(NamedTuple):
    """Calls in one message of the session's stream."""

    message: tasks_pb2.SessionRequest
    calls: int


def new_request_id(again_of: str = "") -> str:
    """It tells which task this is another try of."""
    return f"again-{again_of}-{secrets.token_hex(8)}" if again_of else secrets.token_urlsafe(15)


def again_of(request_id: str) -> str:
    """The id of the task that a request is another try of; "" when of none."""
    found = _AGAIN.fullmatch(request_id)
    return found[1] if found else ""


def requests(
    specs: Iterable[Spec], options: Options, bound: Mapping[int, Bound], shared: Bound | None
) -> Iterator[Request]:
    """Cut `specs` into requests. `bound` holds the put inputs of each Call by id(call.inputs);
    `shared` those of all others. Raises Invalid for what cannot be sent."""
    message = tasks_pb2.SessionRequest()
    groups, group, count, size = message.submit.groups, None, 0, 0
    last: tuple[str, Options] | None = None
    last_args: Any = None
    data = b""
    for spec in specs:
        wanted, extra = options, shared
        if type(spec) is tuple:
            capability, args = spec
        elif isinstance(spec, Call):
            capability, args = spec.capability, spec.args
            wanted = spec.options or options
            extra = bound[id(spec.inputs)] if spec.inputs else shared
        else:
            raise _not_a_call(spec)
        if args is not last_args:
            data, last_args = encode_args(capability, args), args
        grows = len(data) + 8 + (extra.size_bytes if extra else 0)
        if count and (count == CALLS_MAX or size + grows > REQUEST_BYTES_MAX):
            if options.budget_uusd:
                raise _too_many_for_a_budget(count)
            yield _named(message, count, options)
            message = tasks_pb2.SessionRequest()
            groups, group, count, size = message.submit.groups, None, 0, 0
        if group is None or last is None or capability != last[0] or wanted != last[1]:
            group, last = groups.add(demand=demand(capability, wanted)), (capability, wanted)
        call = group.calls.add(args=data)
        if extra is not None:
            _attach(group, call, extra)
        count += 1
        size += grows
        if grows > CALL_BYTES_MAX:
            raise _too_large(capability, grows)
    if count:
        message.submit.budget_uusd = _budget(options.budget_uusd)
        yield _named(message, count, options)


def plain(capability: str, calls: Sequence[bytes], options: Options) -> Request:
    """One request of calls that have no inputs, by their encoded arguments. Raises Invalid."""
    message = tasks_pb2.SessionRequest()
    group = message.submit.groups.add(demand=demand(capability, options))
    for args in calls:
        if len(args) > CALL_BYTES_MAX:
            raise _too_large(capability, len(args))
        group.calls.add(args=args)
    return _named(message, len(calls), options)


def options_of(given: SubmitOptions) -> Options:
    """Raises Invalid."""
    try:
        return Options(**given)
    except TypeError as error:
        raise Invalid(str(error), "see docs/sdk.md for the options of a submit") from None


def _budget(uusd: int) -> int:
    if uusd < 0 or uusd >= 1 << 53:
        raise Invalid(f"a budget of {uusd} millionths of a dollar", "give a positive amount")
    return uusd


def _too_many_for_a_budget(count: int) -> Invalid:
    return Invalid(
        f"a budget holds for one request, and these calls need more than one ({count:,} fit)",
        "submit fewer or smaller calls at a time, each submit with a budget of its own",
    )


def _named(message: tasks_pb2.SessionRequest, count: int, options: Options) -> Request:
    message.submit.request_id = new_request_id(options.again_of)
    return Request(message, count)


def _attach(group: task_pb2.Group, call: task_pb2.Call, extra: Bound) -> None:
    for name, source in extra.inputs:
        if isinstance(source, bytes):
            call.inputs.add(name=name, raw=source)
        else:
            call.inputs.add(name=name, files=source)
    known = {blob.id for blob in group.blobs}
    group.blobs.extend(blob for blob in extra.blobs if blob.id not in known)


def encode_args(capability: str, args: Mapping[str, Any] | None) -> bytes:
    if not args:
        return b""
    try:
        return _encode_json(args if isinstance(args, dict) else dict(args)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(
            f"the arguments of {capability} are not JSON: {error}",
            "pass a dict of JSON values; bytes and files go into `inputs`",
        ) from None


def demand(capability: str, options: Options) -> task_pb2.Demand:
    limits = options.limits
    try:
        return task_pb2.Demand(
            capability=capability,
            version=options.version,
            labels=options.labels,
            durability=_durability(options.durability),
            priority=options.priority,
            max_attempts=options.max_attempts,
            limits=task_pb2.Limits(
                wall_s=limits.wall_s,
                cpu_s=limits.cpu_s,
                memory_bytes=limits.memory_bytes,
                output_bytes=limits.output_bytes,
            ),
            deadline_s=options.deadline_s,
            shards=options.shards,
            secrets=options.secrets,
            sensitive=options.sensitive,
            prefers=[task_pb2.Label(name=name, value=value) for name, value in options.prefers],
            allowance_uusd=options.allowance_uusd,
        )
    except (TypeError, ValueError) as error:
        raise Invalid(
            f"the options of {capability} are wrong: {error}",
            "see the ranges in docs/sdk.md, e.g. priority 0 to 9, max_attempts 1 to 100",
        ) from None


def _durability(word: str) -> task_pb2.Durability:
    match word:
        case "journaled":
            return task_pb2.JOURNALED
        case "volatile":
            return task_pb2.VOLATILE
        case _:
            raise ValueError(f"durability is journaled or volatile, not {word!r}")


def bind(inputs: Mapping[str, bytes | Files]) -> Bound:
    """Inputs as messages; files are put already."""
    bound: list[tuple[str, bytes | task_pb2.Files]] = []
    blobs: list[task_pb2.BlobRef] = []
    size_bytes = 0
    for name, source in inputs.items():
        if isinstance(source, bytes):
            bound.append((name, source))
            size_bytes += len(source)
        else:
            files = _files(source)
            bound.append((name, files))
            blobs.extend(blob_ref(ref) for ref in source.blobs)
            size_bytes += files.ByteSize()
    return Bound(bound, blobs, size_bytes)


def _files(files: Files) -> task_pb2.Files:
    return task_pb2.Files(
        extents=[
            task_pb2.Extent(
                name=item.name,
                blob_id=item.blob_id,
                offset=item.offset,
                size_bytes=item.size_bytes,
            )
            for item in files.extents
        ]
    )


def blob_ref(ref: BlobRef) -> task_pb2.BlobRef:
    encoding = task_pb2.ENCODING_JSON if ref.json else task_pb2.ENCODING_RAW
    return task_pb2.BlobRef(
        id=ref.id, size_bytes=ref.size_bytes, encoding=encoding, holders=ref.holders
    )


def _not_a_call(spec: object) -> Invalid:
    return Invalid(
        f"{type(spec).__name__} is not a call",
        'give (capability, args) or Call, e.g. ("core.sleep", {"seconds": 1})',
    )


def _too_large(capability: str, size_bytes: int) -> Invalid:
    return Invalid(
        f"one call of {capability} has {size_bytes:,} bytes; {CALL_BYTES_MAX:,} is the most",
        "pass large bytes as files: write them to a file and give its path as the input",
    )
