"""The money of a batch: reserved before an attempt leaves, charged at its end, never more than there is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.lone import PEER, Lone, done, facts, failed, only

from nova_node.core.effects import Acknowledge, Append, Assign, Confirm, Effect, Pull, Revoke
from nova_node.core.errors import Invalid
from nova_node.core.events import Assigned, Finished
from nova_node.core.explain import explain
from nova_node.core.model import (
    UNUSED,
    Attempt,
    BlobRef,
    Call,
    Demand,
    Durability,
    Encoding,
    Failure,
    Fence,
    Group,
    Outcome,
    Status,
    Usage,
    Value,
)
from nova_node.core.purse import Purse
from nova_node.core.signals import (
    Cancel,
    Confirmed,
    LinkDown,
    LinkUp,
    Pulled,
    Requeue,
    Resulted,
    Submit,
    Tick,
)
from nova_node.core.tasks import usage_of

TEN = Demand("a.run", allowance_uusd=10)


def submit(lone: Lone, count: int, budget_uusd: int, demand: Demand = TEN) -> list[Effect]:
    group = Group(demand, tuple(Call(b"{}") for _ in range(count)))
    return lone.tell(Submit("t", "r", (group,), None, budget_uusd))


def with_peer() -> Lone:
    lone = Lone(())
    lone.peer()
    return lone


def confirm(lone: Lone, effects: Sequence[Effect]) -> list[Attempt]:
    """The disk has it; what is sent then."""
    (waits,) = only(effects, Confirm)
    return [a for e in only(lone.tell(Confirmed(waits.number)), Assign) for a in e.attempts]


def money(lone: Lone, first: int = 1) -> tuple[int, int]:
    purse = lone.engine.tasks.batches[first].purse
    assert purse is not None
    return purse.spent_uusd, purse.reserved_uusd


def spent(attempt: Attempt, uusd: int | None) -> Outcome:
    return done(attempt)._replace(usage=Usage("m", 1, 1, uusd))


# ---------------------------------------------------------------- the purse


@pytest.mark.parametrize(
    ("usage", "charged"),
    [(None, 10), (Usage("m", 1, 1, None), 10), (Usage("m", 1, 1, 4), 4), (UNUSED, 0)],
    ids=["silent", "price unknown", "told", "not begun"],
)
def test_what_nobody_knows_costs_all_that_was_reserved(usage: Usage | None, charged: int) -> None:
    purse = Purse(100)
    purse.reserve(1, 10)
    purse.settle(Outcome(1, 1, Status.FAILED, usage=usage))
    assert (purse.spent_uusd, purse.reserved_uusd) == (charged, 0)
    purse.settle(Outcome(1, 1, Status.DONE))
    assert purse.spent_uusd == charged


def test_what_came_back_unstarted_costs_nothing() -> None:
    purse = Purse(25)
    purse.reserve(1, 10)
    assert purse.fits(10) == 1
    purse.settle(Outcome(1, 1, Status.WAITING))
    assert (purse.spent_uusd, purse.fits(10)) == (0, 2)


# ---------------------------------------------------------------- before an attempt leaves


def test_an_attempt_leaves_when_its_reservation_is_on_disk() -> None:
    lone = with_peer()
    effects = submit(lone, 1, 10)
    assert not only(effects, Assign)
    (event,) = [e.event for e in only(effects, Append) if isinstance(e.event.fact, Assigned)]
    assert event.journaled
    assert [a.no for a in confirm(lone, effects)] == [1]


def test_a_volatile_batch_waits_for_no_disk() -> None:
    lone = with_peer()
    volatile = Demand("a.run", durability=Durability.VOLATILE, allowance_uusd=10)
    effects = submit(lone, 2, 10, volatile)
    assert [len(e.attempts) for e in only(effects, Assign)] == [1]
    assert not only(effects, Confirm)


def test_without_a_budget_nothing_waits_and_nothing_is_journaled_more() -> None:
    lone = with_peer()
    effects = submit(lone, 1, 0)
    assert only(effects, Assign)
    assert not [
        e for e in only(effects, Append) if isinstance(e.event.fact, Assigned) and e.event.journaled
    ]


def test_an_attempt_that_never_left_costs_nothing() -> None:
    lone = with_peer()
    (waits,) = only(submit(lone, 1, 10), Confirm)
    lone.tell(LinkDown(PEER, "broke"))
    assert money(lone) == (0, 0)
    assert not only(lone.tell(Confirmed(waits.number)), Assign)


def test_one_that_was_cancelled_meanwhile_does_not_leave() -> None:
    lone = with_peer()
    (waits,) = only(submit(lone, 2, 20), Confirm)
    assert only(lone.tell(Cancel("c", 1)), Revoke)
    (assign,) = only(lone.tell(Confirmed(waits.number)), Assign)
    assert [a.no for a in assign.attempts] == [2]
    assert money(lone) == (0, 10)


# ---------------------------------------------------------------- as much as there is


def test_no_more_go_out_than_can_be_paid_and_the_rest_follow() -> None:
    lone = with_peer()
    first, second = confirm(lone, submit(lone, 5, 25))
    assert money(lone) == (0, 20)
    assert "$0.000000 of $0.000025" in explain(lone.engine.owner, lone.task(3), lone.now).waits_for
    third, fourth = confirm(lone, lone.report(spent(first, 2), spent(second, 2)))
    assert money(lone) == (4, 20)
    assert {third.no, fourth.no} == {3, 4}


def test_when_nothing_is_out_that_could_give_some_back_the_rest_fail() -> None:
    lone = with_peer()
    (first,) = confirm(lone, submit(lone, 3, 15))
    effects = lone.report(spent(first, None))
    ends = [o for fact in facts(effects, Finished) for o in fact.outcomes if o.failure]
    assert [o.failure.code for o in ends if o.failure] == ["budget_exhausted"] * 2
    assert all(o.failure and o.failure.fix for o in ends)
    assert lone.engine.tasks.unended == 0


def test_another_batch_goes_on_while_one_waits_for_money() -> None:
    lone = with_peer()
    confirm(lone, submit(lone, 3, 10))
    effects = lone.submit(request_id="other")
    assert [len(e.attempts) for e in only(effects, Assign)] == [1]


def test_a_retry_reserves_anew() -> None:
    lone = with_peer()
    (attempt,) = confirm(lone, submit(lone, 1, 20))
    lone.report(failed(attempt))
    assert money(lone) == (10, 0)
    effects = lone.tell(Tick(), after_s=1.0)
    assert money(lone) == (10, 10)
    assert [a.attempt for a in confirm(lone, effects)] == [2]


def test_a_requeued_task_is_paid_from_what_is_left() -> None:
    lone = with_peer()
    (attempt,) = confirm(lone, submit(lone, 1, 20))
    lone.report(failed(attempt, Failure("raised", "for good"))._replace(usage=Usage("m", 1, 1, 3)))
    effects = lone.tell(Requeue("q", [1]))
    assert money(lone) == (3, 10)
    assert confirm(lone, effects)


@pytest.mark.parametrize(("demand", "budget_uusd"), [(Demand("a.run"), 10)])
def test_a_budget_needs_allowances(demand: Demand, budget_uusd: int) -> None:
    (answer,) = only(submit(with_peer(), 1, budget_uusd, demand), Acknowledge)
    assert isinstance(answer.answer, Invalid)
    assert answer.answer.code == "budget_needs_allowance"


# ---------------------------------------------------------------- crashes


def test_a_lost_node_costs_what_its_attempts_may_have_spent() -> None:
    lone = with_peer()
    confirm(lone, submit(lone, 1, 30))
    lone.tell(LinkDown(PEER, "broke"))
    assert money(lone) == (10, 0)
    assert confirm(lone, lone.tell(LinkUp(PEER)) + lone.peer())


def test_after_a_restart_what_was_out_counts_as_spent() -> None:
    lone = with_peer()
    first, _ = confirm(lone, submit(lone, 4, 25))
    lone.report(spent(first, 1))
    journal = [event for event in lone.events if event.journaled]
    again = Lone((), history=journal, incarnation=2)
    again.tell()
    assert money(again) == (21, 0)
    again.peer()
    ends = [o for e in again.events if isinstance(e.fact, Finished) for o in e.fact.outcomes]
    assert {o.failure.code for o in ends if o.failure} == {"budget_exhausted"}
    resumed = Lone((), history=journal + [e for e in again.events if e.journaled], incarnation=3)
    assert money(resumed) == money(again)


# ---------------------------------------------------------------- what was used


def test_usage_survives_that_a_result_is_fetched() -> None:
    lone = with_peer()
    (attempt,) = confirm(lone, submit(lone, 1, 10))
    large = Value(Encoding.RAW, b"", BlobRef("f" * 64, 9))
    (pull,) = only(lone.report(spent(attempt, 3)._replace(value=large)), Pull)
    assert money(lone) == (0, 10)
    lone.tell(Pulled(1, 1, pull.value, None, pull.usage))
    assert money(lone) == (3, 0)
    assert usage_of(lone.task(1)) == Usage("m", 1, 1, 3)


def test_usage_is_the_sum_of_all_attempts() -> None:
    lone = with_peer()
    (first,) = confirm(lone, submit(lone, 1, 20))
    lone.report(failed(first)._replace(usage=Usage("m", 5, 6, 7)))
    (second,) = confirm(lone, lone.tell(Tick(), after_s=1.0))
    lone.report(spent(second, 2))
    assert usage_of(lone.task(1)) == Usage("m", 6, 7, 9)


def test_what_came_back_is_given_out_again() -> None:
    lone = with_peer()
    (attempt,) = confirm(lone, submit(lone, 1, 10))
    effects = lone.tell(Resulted(PEER, (), (Fence(attempt.no, attempt.attempt),)))
    assert money(lone) == (0, 10)
    assert [a.attempt for a in confirm(lone, effects)] == [2]
