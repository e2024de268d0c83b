"""What a codec writes it reads; what others write it reads or refuses with Invalid."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nova_proto.v1 import event_pb2, mesh_pb2, task_pb2
from support import values

from nova_node.adapters import wire, wire_checks, wire_demand, wire_events, wire_members, wire_work
from nova_node.adapters.work_mandates import HeardMandates, SentMandates
from nova_node.core.errors import Invalid
from nova_node.core.events import (
    Accepted,
    Event,
    Finished,
    Grown,
)
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Cut,
    Demand,
    Encoding,
    Failure,
    Fence,
    Group,
    Outcome,
    Phase,
    Said,
    Status,
    Value,
)

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

PAIRS: list[tuple[Any, Any, Any, Any]] = [
    (values.VALUES, task_pb2.Value, wire.value_to_pb, wire.value_from_pb),
    (values.BLOBS, task_pb2.BlobRef, wire.blob_to_pb, wire.blob_from_pb),
    (values.LIMITS, task_pb2.Limits, wire_demand.limits_to_pb, wire_demand.limits_from_pb),
    (values.DEMANDS, task_pb2.Demand, wire_demand.demand_to_pb, wire_demand.demand_from_pb),
    (values.CALLS, task_pb2.Call, wire.call_to_pb, wire.call_from_pb),
    (values.FAILURES, task_pb2.Error, wire.failure_to_pb, wire.failure_from_pb),
    (values.OUTCOMES, task_pb2.Outcome, wire.outcome_to_pb, wire.outcome_from_pb),
    (values.SAID, mesh_pb2.Said, wire.said_to_pb, wire.said_from_pb),
    (values.CREDITS, mesh_pb2.Credit, wire_work.credit_to_pb, wire_work.credit_from_pb),
    (values.MEMBERS, mesh_pb2.Member, wire_members.member_to_pb, wire_members.member_from_pb),
    (values.DIGESTS, mesh_pb2.Digest, wire_members.digest_to_pb, wire_members.digest_from_pb),
    (values.CARDS, mesh_pb2.Card, wire_members.card_to_pb, wire_members.card_from_pb),
    (values.EVENTS, event_pb2.Event, wire_events.event_to_pb, wire_events.event_from_pb),
]
NAMES = [pair[1].__name__ for pair in PAIRS]


@pytest.mark.parametrize(("strategy", "message", "to_pb", "from_pb"), PAIRS, ids=NAMES)
def test_round_trip(
    strategy: st.SearchStrategy[Any],
    message: type[Message],
    to_pb: Callable[[Any, Any], None],
    from_pb: Callable[[Any], Any],
) -> None:
    @quick
    @given(strategy)
    def check(value: Any) -> None:
        pb = message()
        to_pb(value, pb)
        assert from_pb(message.FromString(pb.SerializeToString())) == value

    check()


@quick
@given(st.lists(values.GROUPS, min_size=1, max_size=3))
def test_groups_round_trip(groups: list[Group]) -> None:
    pb = event_pb2.Accepted()
    wire.groups_to_pb(groups, pb.groups)
    assert wire.groups_from_pb(pb.groups) == tuple(groups)


@quick
@given(st.lists(values.ATTEMPTS, max_size=4), st.data())
def test_attempts_round_trip(attempts: list[Attempt], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(attempts), max_size=6)) if attempts else []
    pb = mesh_pb2.WorkRequest()
    wire_work.attempts_to_pb(attempts + again, pb, SentMandates())
    assert wire_work.attempts_from_pb(pb, HeardMandates(lambda _: True)) == attempts + again


def test_attempts_of_one_demand_are_one_assignment() -> None:
    like = [Attempt(no, 1, Demand("text.count"), Phase.RUN, Call(b"{}")) for no in range(50)]
    other = [Attempt(50, 1, Demand("text.count", priority=9), Phase.RUN, Call(b"{}"))]
    pb = mesh_pb2.WorkRequest()
    wire_work.attempts_to_pb(like + other + like, pb, SentMandates())
    assert [len(a.calls) for a in pb.assignments] == [50, 1, 50]


@quick
@given(
    st.lists(values.OUTCOMES, max_size=4),
    st.lists(values.FENCES, max_size=4),
    st.lists(values.SAID, max_size=4),
    st.lists(values.CUTS, max_size=4),
)
def test_reply_round_trip(
    outcomes: list[Outcome], fences: list[Fence], said: list[Said], cuts: list[Cut]
) -> None:
    pb = mesh_pb2.WorkReply()
    wire.outcomes_to_pb(outcomes, pb.results)
    wire_work.fences_to_pb(fences, pb.returned)
    wire_work.said_list_to_pb(said, pb.said)
    wire_work.cuts_to_pb(cuts, pb.cuts)
    pb = mesh_pb2.WorkReply.FromString(pb.SerializeToString())
    assert wire.outcomes_from_pb(pb.results) == tuple(outcomes)
    assert wire_work.fences_from_pb(pb.returned) == tuple(fences)
    assert wire_work.said_list_from_pb(pb.said) == tuple(said)
    assert wire_work.cuts_from_pb(pb.cuts) == tuple(cuts)


@quick
@given(values.EVENTS)
def test_event_bytes_round_trip(event: Event) -> None:
    assert wire_events.event_from_bytes(wire_events.event_to_bytes(event)) == event


@quick
@given(values.DEMANDS)
def test_equal_demands_are_one_object(demand: Demand) -> None:
    one, two = task_pb2.Demand(), task_pb2.Demand()
    wire_demand.demand_to_pb(demand, one)
    two.CopyFrom(one)
    two.priority = demand.priority  # said, though it may be the default
    assert wire_demand.demand_from_pb(one) is wire_demand.demand_from_pb(two)


# ---------------------------------------------------------------- what others write


@pytest.mark.parametrize(("strategy", "message", "to_pb", "from_pb"), PAIRS, ids=NAMES)
def test_any_bytes_are_read_or_refused(
    strategy: st.SearchStrategy[Any],
    message: type[Message],
    to_pb: Callable[[Any, Any], None],
    from_pb: Callable[[Any], Any],
) -> None:
    """Random bytes, and good messages with bytes changed, which get further in."""

    @quick
    @given(strategy, st.binary(max_size=60), st.integers(0, 400), st.booleans())
    def check(value: Any, noise: bytes, at: int, alone: bool) -> None:
        pb = message()
        to_pb(value, pb)
        good = pb.SerializeToString()
        at %= len(good) + 1
        data = noise if alone else good[:at] + noise + good[at + len(noise) :]
        try:
            pb = message.FromString(data)
        except DecodeError:
            return
        try:
            value = from_pb(pb)
        except Invalid:
            return
        pb = message()
        to_pb(value, pb)
        assert from_pb(pb) == value

    check()


@quick
@given(st.binary(max_size=200))
def test_any_bytes_as_an_event(data: bytes) -> None:
    try:
        event = wire_events.event_from_bytes(data)
    except Invalid:
        return
    assert wire_events.event_from_bytes(wire_events.event_to_bytes(event)) == event


def refused(message: Message, from_pb: Callable[[Any], Any]) -> Invalid:
    with pytest.raises(Invalid) as caught:
        from_pb(message)
    assert caught.value.fix
    assert "\x1b" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "fields",
    [
        {"capability": "nodot"},
        {"capability": "a.b\n"},
        {"capability": "../x.y"},
        {"priority": 10},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"deadline_s": math.nan},
        {"deadline_s": math.inf},
        {"deadline_s": -1.0},
        {"durability": 7},
        {"version": "\x1b[2J"},
        {"version": "\u202egpj"},
        {"limits": {"wall_s": math.inf}},
        {"limits": {"memory_bytes": 2**63}},
        {"labels": {str(i): "" for i in range(17)}},
        {"labels": {"": "x"}},
        {"labels": {"x": "\x00"}},
        {"shards": 100_001},
        {"prefers": [{"name": "x"}] * 65},
        {"prefers": [{"name": "", "value": "yes"}]},
        {"allowance_uusd": 2**63},
    ],
    ids=str,
)
def test_bad_demands_are_refused(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"capability": "a.b"}
    refused(task_pb2.Demand(**(good | fields)), wire_demand.demand_from_pb)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a\x00", "a\n", "x" * 1025])
def test_bad_file_names_are_refused(name: str) -> None:
    pb = task_pb2.Call(
        inputs=[{"name": "f", "files": {"extents": [{"name": name, "blob_id": "0" * 64}]}}]
    )
    refused(pb, wire.call_from_pb)


@pytest.mark.parametrize("node", ["", "A", "a-b", "x" * 64, "a\n", "é", "\x1b[31m"])
def test_bad_node_ids_are_refused(node: str) -> None:
    refused(mesh_pb2.Member(node=node, name="n"), wire_members.member_from_pb)


@pytest.mark.parametrize("address", ["unix:/run/x", "a b:1", "x" * 256, "a:1\n"])
def test_bad_addresses_are_refused(address: str) -> None:
    pb = mesh_pb2.Member(node="a", name="n", address=address)
    refused(pb, wire_members.member_from_pb)


def test_what_is_too_large_is_refused() -> None:
    large = bytes(wire_checks.INLINE_MAX_BYTES + 1)
    assert "blob" in refused(task_pb2.Value(raw=large), wire.value_from_pb).fix
    refused(task_pb2.Value(json=large), wire.value_from_pb)
    refused(task_pb2.Call(args=large), wire.call_from_pb)
    refused(task_pb2.Call(inputs=[{"name": "x", "raw": large}]), wire.call_from_pb)
    refused(task_pb2.Value(), wire.value_from_pb)
    with pytest.raises(Invalid):
        wire.value_to_pb(Value(Encoding.RAW, large), task_pb2.Value())
    with pytest.raises(Invalid):
        wire.outcome_to_pb(
            Outcome(1, 1, Status.DONE, Value(Encoding.JSON, large)), task_pb2.Outcome()
        )


def test_too_many_are_refused() -> None:
    pb = event_pb2.Accepted()
    with pytest.raises(Invalid):
        wire.groups_from_pb(pb.groups)
    group = pb.groups.add(demand={"capability": "a.b"})
    with pytest.raises(Invalid):
        wire.groups_from_pb(pb.groups)
    for _ in range(wire_checks.CALLS_MAX):
        group.calls.add()
    assert len(wire.groups_from_pb(pb.groups)[0].calls) == wire_checks.CALLS_MAX
    pb.groups.add(demand={"capability": "a.b"}).calls.add()
    with pytest.raises(Invalid):
        wire.groups_from_pb(pb.groups)


# ---------------------------------------------------------------- what we write of foreign text


def test_failures_are_cleaned_so_that_they_can_be_read() -> None:
    failure = Failure("crashed", "\x1b[2J\udc80" + "é" * 9000, "\r", True, "x\n" * 20_000)
    pb = task_pb2.Error()
    wire.failure_to_pb(failure, pb)
    read = wire.failure_from_pb(pb)
    assert read.message.startswith("\ufffd[2J")
    assert len(read.message) == wire_checks.MESSAGE_MAX_CHARS
    assert read.traceback.endswith("…")


def test_output_keeps_escapes_but_not_surrogates() -> None:
    pb = mesh_pb2.Said()
    wire.said_to_pb(Said(1, 1, False, "\x1b[1mbold\udc80"), pb)
    assert wire.said_from_pb(pb).text == "\x1b[1mbold?"


@pytest.mark.parametrize(
    "fact",
    [
        Finished((Outcome(-1, 1, Status.DONE),)),
        Finished((Outcome(2**64, 1, Status.DONE),)),
        Accepted("\udc80", ()),
        Grown(1, 2, Phase.RUN, (), (BlobRef("\udc80", 1),)),
    ],
    ids=str,
)
def test_bad_values_of_our_own_are_invalid(fact: Any) -> None:
    with pytest.raises(Invalid):
        wire_events.event_to_bytes(Event(1, 1, 1.0, fact))
