"""What waits for a watcher is bounded, in events and in bytes."""

from __future__ import annotations

import pytest

from nova_node.core.errors import Overloaded
from nova_node.core.events import Accepted, Event, Finished
from nova_node.core.model import Call, Demand, Encoding, Group, Outcome, Status, Value
from nova_node.watch import UNSENT_BYTES_MAX, Backlog, size_bytes_of

MIB = 1 << 20


def event(seq: int, size_bytes: int = 0) -> Event:
    value = Value(Encoding.RAW, bytes(size_bytes))
    return Event(seq, 1, 1.0, Finished((Outcome(seq, 1, Status.DONE, value),)))


def test_what_is_added_is_taken_in_order() -> None:
    backlog = Backlog(10)
    assert not backlog
    events = [event(seq) for seq in range(5)]
    backlog.add(events[:2])
    backlog.add(events[2:])
    assert backlog
    assert backlog.take(MIB) == events
    assert not backlog
    assert backlog.take(MIB) == []


def test_what_is_taken_at_once_is_about_so_many_bytes() -> None:
    backlog = Backlog(10)
    backlog.add([event(seq, MIB) for seq in range(5)])
    assert [len(backlog.take(2 * MIB)) for _ in range(3)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("size_bytes", "fit"), [(0, 100), (4 * MIB, UNSENT_BYTES_MAX // (4 * MIB) - 1)]
)
def test_past_its_bound_all_is_dropped_and_told(size_bytes: int, fit: int) -> None:
    backlog = Backlog(100)
    for seq in range(fit):
        backlog.add([event(seq, size_bytes)])
    backlog.add([event(fit, size_bytes), event(fit + 1, size_bytes)])
    for _ in range(2):
        assert backlog
        with pytest.raises(Overloaded) as raised:
            backlog.take(MIB)
        assert raised.value.code == "slow"
        assert "resume" in raised.value.fix
        backlog.add([event(fit + 2)])


def test_who_keeps_up_may_be_told_much_at_once() -> None:
    """Else a watcher that resumes would never catch up."""
    backlog = Backlog(3)
    for _ in range(2):
        backlog.add([event(seq) for seq in range(50)])
        assert len(backlog.take(MIB)) == 50


def test_arguments_count() -> None:
    accepted = Accepted("r", (Group(Demand("a.b"), (Call(bytes(MIB)),) * 3),))
    assert size_bytes_of(Event(1, 1, 1.0, accepted)) > 3 * MIB
