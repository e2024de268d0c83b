"""A mandate travels once on a Work stream, and both ends mean the same by its number."""

from __future__ import annotations

from collections import deque

import pytest
from nova_proto.v1 import mesh_pb2

from nova_node.adapters import work_grpc
from nova_node.adapters.wire_work import attempts_from_pb, attempts_to_pb
from nova_node.adapters.work_mandates import NUMBERS_MAX, HeardMandates, SentMandates
from nova_node.core.errors import Invalid, Refused
from nova_node.core.model import Attempt, Call, Demand, Mandate, Phase

PLAIN = Demand("text.count")


def mandate(number: int, size_bytes: int = 10) -> Mandate:
    return Mandate("submitter/ada", b"%08d" % number + b"x" * size_bytes)


def attempt(no: int, signed: Mandate | None, depth: int = 0, first: int = 1) -> Attempt:
    return Attempt(no, 1, PLAIN, Phase.RUN, Call(), (), False, depth, (), signed, first)


class Stream:
    """Both ends; `foreign` are mandates for other owners than this one."""

    def __init__(self, *foreign: Mandate) -> None:
        self.sent = SentMandates()
        self.heard = HeardMandates(lambda mandate: mandate not in foreign)
        self.last = mesh_pb2.WorkRequest()

    def carry(self, *attempts: Attempt) -> list[Attempt]:
        pb = mesh_pb2.WorkRequest()
        attempts_to_pb(attempts, pb, self.sent)
        self.last = mesh_pb2.WorkRequest.FromString(pb.SerializeToString())
        return attempts_from_pb(self.last, self.heard)


def test_each_is_sent_once() -> None:
    stream, one, two = Stream(), mandate(1), mandate(2)
    given = [attempt(1, one), attempt(2, one), attempt(3, two, first=3), attempt(4, one)]
    assert stream.carry(*given) == given
    assert len(stream.last.mandates) == 2
    assert [len(a.calls) for a in stream.last.assignments] == [2, 1, 1]
    assert stream.carry(*given) == given
    assert len(stream.last.mandates) == 0


def test_without_mandates_the_wire_is_as_it_was() -> None:
    stream = Stream()
    given = [attempt(1, None, first=1), attempt(2, None, first=2)]
    assert [a.no for a in stream.carry(*given)] == [1, 2]
    (assignment,) = stream.last.assignments
    assert {field.name for field, _ in assignment.ListFields()} == {"demand", "calls"}
    assert {field.name for field, _ in stream.last.ListFields()} == {"assignments"}


def test_numbers_are_used_again_the_longest_unused_first() -> None:
    stream = Stream()
    for number in range(NUMBERS_MAX):
        stream.carry(attempt(number, mandate(number)))
    stream.carry(attempt(0, mandate(0)))
    for number in range(100, 100 + 3 * NUMBERS_MAX):
        given = [attempt(0, mandate(0)), attempt(number, mandate(number))]
        assert stream.carry(*given) == given
        assert [pb.no <= NUMBERS_MAX for pb in stream.last.mandates] == [True]


def test_a_message_names_no_more_mandates_than_there_are_numbers() -> None:
    waiting = deque(attempt(n, mandate(n), first=n) for n in range(2 * NUMBERS_MAX + 5))
    stream, seen = Stream(), list[Attempt]()
    given = list(waiting)
    while waiting:
        taken = work_grpc._take(waiting)  # pyright: ignore[reportPrivateUsage]
        assert len(taken) <= NUMBERS_MAX
        seen += stream.carry(*taken)
    assert seen == given


def test_the_bytes_of_mandates_count_for_a_message() -> None:
    large = [mandate(n, 3 << 20) for n in range(3)]
    waiting = deque(attempt(n, signed) for n, signed in enumerate(large))
    taken = work_grpc._take(waiting)  # pyright: ignore[reportPrivateUsage]
    assert [a.no for a in taken] == [0, 1]
    assert [a.no for a in waiting] == [2]


def test_the_calls_themselves_come_only_from_the_owner_they_were_signed_for() -> None:
    theirs = mandate(1)
    stream = Stream(theirs)
    shard = attempt(7, theirs, depth=1)
    assert stream.carry(shard) == [shard]
    with pytest.raises(Refused, match="signed for another owner"):
        stream.carry(attempt(8, theirs))


@pytest.mark.parametrize(
    "wrong",
    [
        mesh_pb2.WorkMandate(no=0, submitter="submitter/ada", mandate=b"x"),
        mesh_pb2.WorkMandate(no=NUMBERS_MAX + 1, submitter="submitter/ada", mandate=b"x"),
        mesh_pb2.WorkMandate(no=1, submitter="", mandate=b"x"),
        mesh_pb2.WorkMandate(no=1, submitter="../ada", mandate=b"x"),
        mesh_pb2.WorkMandate(no=1, submitter="submitter/ada", mandate=b""),
        mesh_pb2.WorkMandate(no=1, submitter="submitter/ada", mandate=b"x" * ((4 << 20) + 1)),
    ],
)
def test_a_mandate_out_of_bounds_ends_the_stream(wrong: mesh_pb2.WorkMandate) -> None:
    with pytest.raises(Invalid):
        attempts_from_pb(mesh_pb2.WorkRequest(mandates=[wrong]), Stream().heard)


def test_a_number_that_nobody_gave_ends_the_stream() -> None:
    request = mesh_pb2.WorkRequest()
    request.assignments.add(mandate=3).demand.capability = "text.count"
    with pytest.raises(Invalid, match="no mandate has the number 3"):
        attempts_from_pb(request, Stream().heard)
