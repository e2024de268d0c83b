"""Between owner and worker: the messages of the Work stream.

Attempts that follow each other with one demand travel as one Assignment, which is what keeps a
message of hundreds of them small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nova_proto.v1 import mesh_pb2

from nova_node.adapters.wire import (
    Repeated,
    blob_to_pb,
    blobs_from_pb,
    call_from_pb,
    call_to_pb,
    calls_from_pb,
    calls_to_pb,
    demand_from_pb,
    demand_to_pb,
    phase_from_pb,
    said_from_pb,
    said_to_pb,
    value_from_pb,
    value_to_pb,
)
from nova_node.adapters.wire_checks import (
    BLOBS_MAX,
    CALLS_MAX,
    NUMBER_MAX,
    SAID_MAX,
    U32_MAX,
    check_blob,
    check_count,
    check_number,
)
from nova_node.adapters.work_mandates import HeardMandates, SentMandates
from nova_node.core.errors import Invalid, Refused
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Credit,
    Cut,
    Demand,
    Fence,
    Mandate,
    Phase,
    Said,
    Value,
)


def attempts_to_pb(
    attempts: Iterable[Attempt], pb: mesh_pb2.WorkRequest, sent: SentMandates
) -> None:
    """Adds an Assignment for each run of attempts of like demand, phase, part, blobs and mandate,
    and the mandates that were not sent before."""
    demand: Demand | None = None
    mandate: Mandate | None = None
    phase, part, first = Phase.RUN, False, 0
    blobs: tuple[BlobRef, ...] = ()
    calls: Repeated[mesh_pb2.AssignedCall] | None = None
    for a in attempts:
        if (
            calls is None
            or (a.demand is not demand and a.demand != demand)
            or a.phase is not phase
            or a.part is not part
            or a.blobs != blobs
            or a.mandate is not mandate
            or (mandate is not None and a.first != first)
        ):
            _, _, demand, phase, _, _, part, _, blobs, mandate, first, _ = a
            calls = _assignment(a, pb, sent).calls
        item = calls.add()
        item.no = a.no
        item.attempt = a.attempt
        call = a.call
        if call.inputs:
            call_to_pb(call, item.call)
        elif call.args:
            item.call.args = call.args
        for value in a.parts:
            value_to_pb(value, item.parts.add())
        if a.depth:
            item.depth = a.depth


def _assignment(a: Attempt, pb: mesh_pb2.WorkRequest, sent: SentMandates) -> mesh_pb2.Assignment:
    assignment = pb.assignments.add()
    if a.mandate is not None:
        assignment.mandate, assignment.first = sent.number(a.mandate, pb), a.first
    demand_to_pb(a.demand, assignment.demand)
    assignment.phase = a.phase  # pyright: ignore[reportAttributeAccessIssue]
    assignment.part = a.part
    for ref in a.blobs:
        blob_to_pb(ref, assignment.blobs.add())
    return assignment


def attempts_from_pb(
    pb: mesh_pb2.WorkRequest, heard: HeardMandates, owner: str = ""
) -> list[Attempt]:
    """`owner` sent it. Raises Invalid, or Refused when it sends the calls of a mandate for another."""
    total = sum([len(assignment.calls) for assignment in pb.assignments])
    if total > CALLS_MAX or len(pb.assignments) > CALLS_MAX:
        raise Invalid(f"{total} attempts in one message", f"send at most {CALLS_MAX} at a time")
    attempts: list[Attempt] = []
    heard.take(pb.mandates)
    for assignment in pb.assignments:
        _read_assignment(assignment, heard, owner, attempts)
    return attempts


def _read_assignment(
    pb: mesh_pb2.Assignment, heard: HeardMandates, owner: str, attempts: list[Attempt]
) -> None:
    mandate, own = heard.named(pb.mandate) if pb.mandate else (None, True)
    first = check_number(pb.first, "a batch's number")
    demand = demand_from_pb(pb.demand)
    phase, part, blobs = phase_from_pb(pb.phase), pb.part, blobs_from_pb(pb.blobs)
    for item in pb.calls:
        no = item.no
        if no > NUMBER_MAX:
            raise Invalid(f"{no} is not a task's number", f"use at most {NUMBER_MAX}")
        if not own and not item.depth:
            raise Refused(
                f"task {no} was signed for another owner", "submit it to the node that is to own it"
            )
        values = item.parts
        parts: tuple[Value, ...] = ()
        if values:
            check_count(values, "parts of a merge", CALLS_MAX)
            parts = tuple([value_from_pb(value) for value in values])
        attempts.append(
            Attempt(
                no,
                item.attempt,
                demand,
                phase,
                call_from_pb(item.call),
                parts,
                part,
                item.depth,
                blobs,
                mandate,
                first,
                owner,
            )
        )


def fences_to_pb(fences: Iterable[Fence], pbs: Repeated[mesh_pb2.Fence]) -> None:
    for no, attempt in fences:
        pb = pbs.add()
        pb.no = no
        pb.attempt = attempt


def fences_from_pb(pbs: Sequence[mesh_pb2.Fence]) -> tuple[Fence, ...]:
    check_count(pbs, "fences", CALLS_MAX)
    return tuple([Fence(check_number(pb.no, "a task's number"), pb.attempt) for pb in pbs])


def cuts_to_pb(cuts: Iterable[Cut], pbs: Repeated[mesh_pb2.Cut]) -> None:
    for no, attempt, shards, elapsed_us in cuts:
        pb = pbs.add()
        pb.no = no
        pb.attempt = attempt
        calls_to_pb(shards, pb.shards)
        pb.elapsed_us = min(elapsed_us, U32_MAX)


def cuts_from_pb(pbs: Sequence[mesh_pb2.Cut]) -> tuple[Cut, ...]:
    total = sum([len(pb.shards) for pb in pbs])
    if total > CALLS_MAX or len(pbs) > CALLS_MAX:
        raise Invalid(f"{total} shards in one message", f"split into at most {CALLS_MAX}")
    return tuple(
        [
            Cut(
                check_number(pb.no, "a task's number"),
                pb.attempt,
                calls_from_pb(pb.shards),
                pb.elapsed_us,
            )
            for pb in pbs
        ]
    )


def release_from_pb(blob_ids: Sequence[str]) -> tuple[str, ...]:
    """WorkRequest.release."""
    check_count(blob_ids, "blobs", BLOBS_MAX)
    return tuple([check_blob(blob_id) for blob_id in blob_ids])


def said_list_to_pb(said: Iterable[Said], pbs: Repeated[mesh_pb2.Said]) -> None:
    for piece in said:
        said_to_pb(piece, pbs.add())


def said_list_from_pb(pbs: Sequence[mesh_pb2.Said]) -> tuple[Said, ...]:
    check_count(pbs, "pieces of output", SAID_MAX)
    return tuple([said_from_pb(pb) for pb in pbs])


def credit_to_pb(credit: Credit, pb: mesh_pb2.Credit) -> None:
    """Numbers over 32 bits are sent as the largest."""
    pb.budget_us = min(credit.budget_us, U32_MAX)
    pb.min_items = min(credit.min_items, U32_MAX)
    pb.max_items = min(credit.max_items, U32_MAX)
    pb.max_bytes = min(credit.max_bytes, U32_MAX)
    pb.places = min(credit.places, U32_MAX)


def credit_from_pb(pb: mesh_pb2.Credit) -> Credit:
    return Credit(pb.budget_us, pb.min_items, pb.max_items, pb.max_bytes, pb.places)
