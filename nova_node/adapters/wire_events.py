"""Between the core's events and their protobuf messages: the journal's rows and Watch's stream.

`Event.journaled` does not travel: what is read back was journaled, and a watcher reads Demand.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from nova_proto.v1 import event_pb2

from nova_node.adapters.wire import (
    blob_to_pb,
    blobs_from_pb,
    calls_from_pb,
    calls_to_pb,
    groups_from_pb,
    groups_to_pb,
    mandate_from_pb,
    outcome_from_pb,
    outcome_to_pb,
    outcomes_from_pb,
    outcomes_to_pb,
    phase_from_pb,
    said_from_pb,
    said_to_pb,
)
from nova_node.adapters.wire_checks import (
    CALLS_MAX,
    MESSAGE_MAX_CHARS,
    TIME_MAX_S,
    check_count,
    check_name,
    check_node,
    check_number,
    check_prose,
    check_request,
    check_seconds,
    clean,
)
from nova_node.core.errors import Invalid
from nova_node.core.events import (
    Accepted,
    AnomalySeen,
    Assigned,
    Event,
    Fact,
    Finished,
    Grown,
    Output,
    PeerChanged,
    Requeued,
    Retried,
)
from nova_node.core.model import Anomaly, Fence


def event_to_bytes(event: Event) -> bytes:
    """Raises Invalid when a field does not fit."""
    pb = event_pb2.Event()
    try:
        event_to_pb(event, pb)
    except (ValueError, TypeError) as error:
        raise Invalid(
            f"event {event.seq} cannot be written: {error}", "report it: the node made a bad value"
        ) from error
    return pb.SerializeToString()


def event_from_bytes(data: bytes) -> Event:
    """Raises Invalid."""
    try:
        pb = event_pb2.Event.FromString(data)
    except DecodeError:
        raise Invalid(
            f"{len(data)} bytes are not an event", "read them with the version that wrote them"
        ) from None
    return event_from_pb(pb)


def event_to_pb(event: Event, pb: event_pb2.Event) -> None:
    seq, batch, time, fact, _ = event
    pb.seq = seq
    pb.batch = batch
    pb.time = time
    match fact:
        case Finished(outcomes):
            pb.finished.SetInParent()
            outcomes_to_pb(outcomes, pb.finished.outcomes)
        case Accepted(request_id, groups, mandate, budget_uusd):
            pb.accepted.request_id = request_id
            if mandate is not None:
                pb.accepted.submitter, pb.accepted.mandate = mandate.submitter, mandate.signed
            pb.accepted.budget_uusd = budget_uusd
            groups_to_pb(groups, pb.accepted.groups)
        case Assigned(node, fences):
            pb.assigned.node = node
            pb.assigned.nos.extend([fence.no for fence in fences])
            pb.assigned.attempts.extend([fence.attempt for fence in fences])
        case Retried(outcome, not_before, charged):
            outcome_to_pb(outcome, pb.retried.outcome)
            pb.retried.not_before = not_before
            pb.retried.charged = charged
        case Grown():
            _grown_to_pb(fact, pb.grown)
        case Output(said):
            said_to_pb(said, pb.output)
        case PeerChanged(node, name, state, why):
            changed = pb.peer_changed
            changed.node, changed.name, changed.state = node, name, state
            changed.why = clean(why, MESSAGE_MAX_CHARS)
        case Requeued(nos):
            pb.requeued.nos.extend(nos)
        case AnomalySeen(anomaly):
            seen = pb.anomaly_seen
            seen.series, seen.ended = anomaly.series, anomaly.ended
            seen.value, seen.median, seen.z = anomaly.value, anomaly.median, anomaly.z


def _grown_to_pb(fact: Grown, pb: event_pb2.Grown) -> None:
    pb.parent = fact.parent
    pb.first = fact.first
    pb.phase = fact.phase  # pyright: ignore[reportAttributeAccessIssue]
    calls_to_pb(fact.calls, pb.calls)
    for ref in fact.blobs:
        blob_to_pb(ref, pb.blobs.add())
    pb.parts.extend(fact.parts)


def event_from_pb(pb: event_pb2.Event) -> Event:
    return Event(
        check_number(pb.seq, "an event's number"),
        check_number(pb.batch, "a batch's number"),
        check_seconds(pb.time, "an event's time", TIME_MAX_S),
        _fact_from_pb(pb),
    )


def _fact_from_pb(pb: event_pb2.Event) -> Fact:
    match pb.WhichOneof("kind"):
        case "finished":
            return Finished(outcomes_from_pb(pb.finished.outcomes))
        case "accepted":
            return Accepted(
                check_request(pb.accepted.request_id),
                groups_from_pb(pb.accepted.groups),
                mandate_from_pb(pb.accepted.submitter, pb.accepted.mandate),
                check_number(pb.accepted.budget_uusd, "the budget"),
            )
        case "assigned":
            return _assigned_from_pb(pb.assigned)
        case "retried":
            retried = pb.retried
            not_before = check_seconds(retried.not_before, "a retry's time", TIME_MAX_S)
            return Retried(outcome_from_pb(retried.outcome), not_before, retried.charged)
        case "grown":
            return _grown_from_pb(pb.grown)
        case "output":
            return Output(said_from_pb(pb.output))
        case "peer_changed":
            changed = pb.peer_changed
            return PeerChanged(
                check_node(changed.node),
                check_name(changed.name, "a node's name", 0),
                check_name(changed.state, "a state"),
                check_prose(changed.why, "a reason", MESSAGE_MAX_CHARS),
            )
        case "requeued":
            check_count(pb.requeued.nos, "requeued tasks", CALLS_MAX)
            return Requeued(tuple([check_number(no, "a task's number") for no in pb.requeued.nos]))
        case "anomaly_seen":
            seen = pb.anomaly_seen
            series = check_prose(seen.series, "a series", MESSAGE_MAX_CHARS)
            return AnomalySeen(Anomaly(series, seen.value, seen.median, seen.z, seen.ended))
        case _:
            raise Invalid("an event of an unknown kind", "upgrade: a newer version wrote it")


def _assigned_from_pb(pb: event_pb2.Assigned) -> Assigned:
    check_count(pb.nos, "assigned attempts", CALLS_MAX)
    if len(pb.nos) != len(pb.attempts):
        raise Invalid("assigned numbers and attempts do not pair", "send one attempt a number")
    return Assigned(
        check_node(pb.node),
        tuple(
            [
                Fence(check_number(no, "a task's number"), attempt)
                for no, attempt in zip(pb.nos, pb.attempts, strict=True)
            ]
        ),
    )


def _grown_from_pb(pb: event_pb2.Grown) -> Grown:
    check_count(pb.parts, "parts", CALLS_MAX)
    return Grown(
        check_number(pb.parent, "a task's number"),
        check_number(pb.first, "a task's number"),
        phase_from_pb(pb.phase),
        calls_from_pb(pb.calls),
        blobs_from_pb(pb.blobs),
        tuple([check_number(no, "a task's number") for no in pb.parts]),
    )
