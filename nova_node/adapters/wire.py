"""Between the core's values and their protobuf messages: what a task is and what became of it.

`x_to_pb` fills a message that the caller gives it; `x_from_pb` reads outside bytes and raises
nothing but Invalid. Tens of thousands of calls and outcomes a second pass here, so the two loops
that see each of them are written out, and empty fields are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from nova_proto.v1 import event_pb2, mesh_pb2, task_pb2

from nova_node.adapters.wire_checks import (
    ARGS_MAX_BYTES,
    BLOBS_MAX,
    CALLS_MAX,
    DURATION_MAX_S,
    GROUPS_MAX,
    HOLDERS_MAX,
    INLINE_MAX_BYTES,
    INPUTS_MAX,
    MANDATE_MAX_BYTES,
    MESSAGE_MAX_CHARS,
    NUMBER_MAX,
    RESULT_FILES_MAX,
    SAID_MAX_CHARS,
    TIME_MAX_S,
    TRACEBACK_MAX_CHARS,
    U32_MAX,
    check_blob,
    check_code,
    check_count,
    check_file_name,
    check_identifier,
    check_node,
    check_number,
    check_prose,
    check_seconds,
    check_submitter,
    clean,
    sendable,
)
from nova_node.adapters.wire_demand import demand_from_pb, demand_to_pb
from nova_node.adapters.wire_models import usage_from_pb, usage_to_pb
from nova_node.core.errors import Invalid
from nova_node.core.model import (
    BlobRef,
    Call,
    Encoding,
    Extent,
    Failure,
    Group,
    Input,
    Mandate,
    Outcome,
    Phase,
    Said,
    Status,
    Value,
)

_ENCODINGS = {int(e): e for e in Encoding}
_PHASES = {int(p): p for p in Phase}
_STATUSES = {int(s): s for s in Status}

_NO_CALL = Call()
_JSON = Encoding.JSON
_RAW = Encoding.RAW


_Pb = TypeVar("_Pb", covariant=True)


class Repeated(Protocol[_Pb]):
    """A repeated field of a message."""

    def add(self) -> _Pb: ...


# ---------------------------------------------------------------- blobs and values


def blob_to_pb(ref: BlobRef, pb: task_pb2.BlobRef) -> None:
    pb.id = ref.id
    pb.size_bytes = ref.size_bytes
    if ref.encoding:
        pb.encoding = ref.encoding  # pyright: ignore[reportAttributeAccessIssue]
    if ref.holders:
        pb.holders.extend(ref.holders)


def blob_from_pb(pb: task_pb2.BlobRef) -> BlobRef:
    check_count(pb.holders, "holders of a blob", HOLDERS_MAX)
    return BlobRef(
        check_blob(pb.id),
        check_number(pb.size_bytes, "a blob's size"),
        encoding_from_pb(pb.encoding),
        tuple([check_node(h) for h in pb.holders]),
    )


def blobs_from_pb(pbs: Sequence[task_pb2.BlobRef]) -> tuple[BlobRef, ...]:
    if not pbs:
        return ()
    check_count(pbs, "blobs", BLOBS_MAX)
    return tuple([blob_from_pb(pb) for pb in pbs])


def encoding_from_pb(number: int) -> Encoding:
    try:
        return _ENCODINGS[number]
    except KeyError:
        raise Invalid(f"{number} is not an encoding", "use 0 (raw) or 1 (JSON)") from None


def value_to_pb(value: Value, pb: task_pb2.Value) -> None:
    """Raises Invalid when inline bytes are over INLINE_MAX_BYTES."""
    encoding, data, blob, files, pack = value
    if pack is not None:
        blob_to_pb(pack, pb.pack)
        _extents_to_pb(files, pb.files)
    if blob is not None:
        blob_to_pb(blob, pb.blob)
        return
    if len(data) > INLINE_MAX_BYTES:
        raise _too_large("a value", len(data))
    if encoding is _JSON:
        pb.json = data
    else:
        pb.raw = data


def value_from_pb(pb: task_pb2.Value) -> Value:
    value = _plain_value_from_pb(pb)
    if not pb.HasField("pack"):
        return value
    check_count(pb.files, "files of a result", RESULT_FILES_MAX)
    files = tuple([_extent_from_pb(e) for e in pb.files])
    pack = blob_from_pb(pb.pack)
    if any(e.blob_id != pack.id or e.offset + e.size_bytes > pack.size_bytes for e in files):
        raise Invalid("a result's files are not in its pack", "name runs of bytes of that blob")
    return value._replace(files=files, pack=pack)


def _plain_value_from_pb(pb: task_pb2.Value) -> Value:
    if data := pb.json:
        value = Value(_JSON, data)
    else:
        match pb.WhichOneof("kind"):
            case "raw":
                value = Value(_RAW, pb.raw)
            case "blob":
                blob = blob_from_pb(pb.blob)
                return Value(blob.encoding, b"", blob)
            case "json":
                return Value(_JSON)
            case _:
                raise Invalid("a value holds nothing", "set its json, raw or blob")
    if len(value.data) > INLINE_MAX_BYTES:
        raise _too_large("a value", len(value.data))
    return value


def _too_large(what: str, size_bytes: int) -> Invalid:
    return Invalid(
        f"{what} of {size_bytes} bytes is over {INLINE_MAX_BYTES}", "keep it as a blob instead"
    )


# ---------------------------------------------------------------- calls


def call_to_pb(call: Call, pb: task_pb2.Call) -> None:
    if call.args:
        pb.args = call.args
    for given in call.inputs:
        item = pb.inputs.add()
        item.name = given.name
        if given.extents is None:
            item.raw = given.raw
            continue
        item.files.SetInParent()
        _extents_to_pb(given.extents, item.files.extents)


def _extents_to_pb(extents: Iterable[Extent], pbs: Repeated[task_pb2.Extent]) -> None:
    for extent in extents:
        pb = pbs.add()
        pb.name, pb.blob_id, pb.offset, pb.size_bytes = extent


def call_from_pb(pb: task_pb2.Call) -> Call:
    args = pb.args
    if len(args) > ARGS_MAX_BYTES:
        raise _too_large("arguments", len(args))
    inputs = pb.inputs
    if inputs:
        check_count(inputs, "inputs of a call", INPUTS_MAX)
        return Call(args, tuple([_input_from_pb(i) for i in inputs]))
    return Call(args) if args else _NO_CALL


def _input_from_pb(pb: task_pb2.Input) -> Input:
    name = check_identifier(pb.name)
    match pb.WhichOneof("kind"):
        case "raw":
            raw = pb.raw  # each look at it is a copy
            if len(raw) > INLINE_MAX_BYTES:
                raise _too_large(f"input {name}", len(raw))
            return Input(name, raw)
        case "files":
            check_count(pb.files.extents, "files of an input", CALLS_MAX)
            return Input(name, b"", tuple([_extent_from_pb(e) for e in pb.files.extents]))
        case _:
            raise Invalid(f"input {name} holds nothing", "set its raw or files")


def _extent_from_pb(pb: task_pb2.Extent) -> Extent:
    offset = check_number(pb.offset, "an extent's offset")
    size_bytes = check_number(pb.size_bytes, "an extent's size")
    check_number(offset + size_bytes, "an extent's end")
    return Extent(check_file_name(pb.name), check_blob(pb.blob_id), offset, size_bytes)


def groups_to_pb(groups: Iterable[Group], pbs: Repeated[task_pb2.Group]) -> None:
    for demand, calls, blobs in groups:
        pb = pbs.add()
        demand_to_pb(demand, pb.demand)
        calls_to_pb(calls, pb.calls)
        for ref in blobs:
            blob_to_pb(ref, pb.blobs.add())


def calls_to_pb(calls: Iterable[Call], pbs: Repeated[task_pb2.Call]) -> None:
    add = pbs.add
    for call in calls:
        if call.inputs:
            call_to_pb(call, add())
        else:
            add().args = call.args


def calls_from_pb(pbs: Sequence[task_pb2.Call]) -> tuple[Call, ...]:
    check_count(pbs, "calls", CALLS_MAX)
    return tuple([call_from_pb(pb) for pb in pbs])


def groups_from_pb(pbs: Sequence[task_pb2.Group]) -> tuple[Group, ...]:
    """The groups of one submit: 1 to GROUPS_MAX, none of them empty, CALLS_MAX calls in all."""
    if not 0 < len(pbs) <= GROUPS_MAX:
        raise Invalid(f"a submit of {len(pbs)} groups", f"send 1 to {GROUPS_MAX} groups")
    total = sum([len(pb.calls) for pb in pbs])
    if total > CALLS_MAX:
        raise Invalid(f"a submit of {total} calls", f"send at most {CALLS_MAX} at a time")
    return tuple([_group_from_pb(pb) for pb in pbs])


def _group_from_pb(pb: task_pb2.Group) -> Group:
    if not pb.calls:
        raise Invalid("a group has no calls", "leave it out, or give it a call")
    return Group(demand_from_pb(pb.demand), calls_from_pb(pb.calls), blobs_from_pb(pb.blobs))


def mandate_from_pb(submitter: str, signed: bytes) -> Mandate | None:
    """None in a mesh without identity. Only the form is checked here."""
    if not submitter:
        return None
    check_submitter(submitter)
    if not 0 < len(signed) <= MANDATE_MAX_BYTES:
        raise Invalid(f"a mandate of {len(signed)} bytes", "sign fewer calls at a time")
    return Mandate(submitter, signed)


# ---------------------------------------------------------------- ends


def failure_to_pb(failure: Failure, pb: task_pb2.Error) -> None:
    """Texts are cut to their limits and cleaned of control characters."""
    pb.code = failure.code
    pb.message = clean(failure.message, MESSAGE_MAX_CHARS)
    if failure.fix:
        pb.fix = clean(failure.fix, MESSAGE_MAX_CHARS)
    if failure.retryable:
        pb.retryable = True
    if failure.traceback:
        pb.traceback = clean(failure.traceback, TRACEBACK_MAX_CHARS)
    if failure.retry_after_s:
        pb.retry_after_s = min(failure.retry_after_s, DURATION_MAX_S)


def failure_from_pb(pb: task_pb2.Error) -> Failure:
    return Failure(
        check_code(pb.code),
        check_prose(pb.message, "an error's message", MESSAGE_MAX_CHARS),
        check_prose(pb.fix, "an error's fix", MESSAGE_MAX_CHARS),
        pb.retryable,
        check_prose(pb.traceback, "an error's traceback", TRACEBACK_MAX_CHARS),
        check_seconds(pb.retry_after_s, "a pause before a retry"),
    )


def outcomes_to_pb(outcomes: Iterable[Outcome], pbs: Repeated[task_pb2.Outcome]) -> None:
    add = pbs.add
    for outcome in outcomes:
        outcome_to_pb(outcome, add())


def outcome_to_pb(outcome: Outcome, pb: task_pb2.Outcome) -> None:
    no, attempt, status, value, failure, node, started_at, elapsed_us, usage = outcome
    pb.no = no
    pb.attempt = attempt
    pb.status = status  # pyright: ignore[reportAttributeAccessIssue]
    if value is not None:
        encoding, data, blob, _, pack = value
        if blob is pack is None and encoding is _JSON and len(data) <= INLINE_MAX_BYTES:
            pb.value.json = data
        else:
            value_to_pb(value, pb.value)
    if failure is not None:
        failure_to_pb(failure, pb.error)
    if node:
        pb.node = node
    pb.started_at = started_at
    pb.elapsed_us = elapsed_us if elapsed_us < U32_MAX else U32_MAX
    if usage is not None:
        usage_to_pb(usage, pb.usage)


def outcomes_from_pb(pbs: Sequence[task_pb2.Outcome]) -> tuple[Outcome, ...]:
    check_count(pbs, "outcomes", CALLS_MAX)
    return tuple([outcome_from_pb(pb) for pb in pbs])


def outcome_from_pb(pb: task_pb2.Outcome) -> Outcome:
    no = pb.no
    if no > NUMBER_MAX:
        raise Invalid(f"{no} is not a task's number", f"use at most {NUMBER_MAX}")
    status = _STATUSES.get(pb.status)
    if status is None:
        raise Invalid(f"{pb.status} is not a status", "upgrade this node: a newer one wrote it")
    node = pb.node
    if node:
        check_node(node)
    started_at = pb.started_at
    if not 0.0 <= started_at <= TIME_MAX_S:
        raise Invalid(f"{started_at} is not a time", "use unix seconds")
    return Outcome(
        no,
        pb.attempt,
        status,
        value_from_pb(pb.value) if pb.HasField("value") else None,
        failure_from_pb(pb.error) if pb.HasField("error") else None,
        node,
        started_at,
        pb.elapsed_us,
        usage_from_pb(pb.usage) if pb.HasField("usage") else None,
    )


# ---------------------------------------------------------------- small parts


def phase_from_pb(number: int) -> Phase:
    phase = _PHASES.get(number)
    if phase is None:
        raise Invalid(f"{number} is not a phase", "use 0 (run), 1 (split) or 2 (merge)")
    return phase


def said_to_pb(said: Said, pb: event_pb2.Output | mesh_pb2.Said) -> None:
    """Text is cut to SAID_MAX_CHARS."""
    pb.no = said.no
    pb.attempt = said.attempt
    pb.stderr = said.stderr
    pb.text = sendable(said.text, SAID_MAX_CHARS)


def said_from_pb(pb: event_pb2.Output | mesh_pb2.Said) -> Said:
    """Text is as the task wrote it, terminal escapes too: who shows it escapes it."""
    if len(pb.text) > SAID_MAX_CHARS:
        raise Invalid("a piece of output is too long", f"cut it to {SAID_MAX_CHARS} characters")
    return Said(check_number(pb.no, "a task's number"), pb.attempt, pb.stderr, pb.text)
