"""Dead letters that are requeued: fresh attempts of the same call, once, and nothing of before counts."""

from __future__ import annotations

from collections.abc import Sequence

from support.lone import FATAL, PEER, PLAIN, Lone, done, facts, failed, only, text

from nova_node.core.effects import Acknowledge, Assign, Effect, Forget
from nova_node.core.engine import EngineConfig
from nova_node.core.errors import Draining, Invalid, NotFound, Overloaded, Refused
from nova_node.core.events import Event, Finished, Grown, Requeued
from nova_node.core.model import Attempt, Call, Cut, Demand, Durability, Fence, Status
from nova_node.core.owner import OwnerConfig
from nova_node.core.retention import RetentionConfig
from nova_node.core.retry import RetryPolicy
from nova_node.core.signals import Cancel, DrainAsked, Requeue, Resulted, Tick

QUICK = EngineConfig(OwnerConfig(retry=RetryPolicy(base_s=0.0)))


def attempts(effects: Sequence[Effect]) -> list[Attempt]:
    return [a for e in effects if isinstance(e, Assign) for a in e.attempts]


def dead_letters(
    count: int = 1, demand: Demand = PLAIN, config: EngineConfig = QUICK
) -> tuple[Lone, list[Attempt]]:
    """A node whose tasks 1 to `count` have failed for good, and the attempts that did."""
    lone = Lone((), config)
    lone.peer()
    given = attempts(lone.submit(count, demand))
    lone.report(*[failed(a, FATAL) for a in given])
    return lone, given


def journal(lone: Lone) -> list[Event]:
    return [event for event in lone.events if event.journaled]


def ask(lone: Lone, *nos: int) -> tuple[list[Effect], list[object]]:
    """What is done, and the answers."""
    effects = lone.tell(Requeue("t", nos))
    (said,) = [a.answer for a in only(effects, Acknowledge) if a.token == "t"]
    return effects, said


def test_it_gets_fresh_attempts_of_the_same_call() -> None:
    lone, (first,) = dead_letters()
    effects, said = ask(lone, 1)
    assert said == [Status.WAITING]
    assert facts(effects, Requeued) == [Requeued((1,))]
    (again,) = attempts(effects)
    assert (again.no, again.attempt) == (1, first.attempt + 1)
    assert (again.call, again.demand, again.mandate) == (first.call, first.demand, first.mandate)
    lone.report(done(again, text("7")))
    task = lone.task(1)
    assert task.status is Status.DONE
    assert [outcome.attempt for outcome in task.history or ()] == [first.attempt]
    assert lone.engine.tasks.unended == 0
    assert lone.engine.tasks.ended == {Status.DONE: 1, Status.FAILED: 0, Status.CANCELLED: 0}


def test_all_its_attempts_are_fresh() -> None:
    lone, _ = dead_letters()
    (attempt,) = attempts(ask(lone, 1)[0])
    for _ in range(2):
        lone.report(failed(attempt))
        (attempt,) = attempts(lone.tell(Tick(), after_s=0.0))
    assert lone.task(1).status is Status.RUNNING
    lone.report(failed(attempt))
    assert lone.task(1).status is Status.FAILED


def test_a_late_result_of_an_earlier_attempt_does_not_count() -> None:
    lone, (first,) = dead_letters()
    ask(lone, 1)
    effects = lone.report(done(first))
    assert not facts(effects, Finished)
    assert lone.task(1).status is Status.RUNNING


def test_asked_twice_it_is_done_once() -> None:
    lone, _ = dead_letters()
    effects, said = ask(lone, 1, 1)
    assert said == [Status.WAITING] * 2
    assert facts(effects, Requeued) == [Requeued((1,))]
    effects, said = ask(lone, 1)
    assert said == [Status.RUNNING]
    assert not facts(effects, Requeued)


def test_what_is_no_dead_letter_is_refused_and_keeps_nobody_back() -> None:
    lone, _ = dead_letters()
    (good,) = attempts(lone.submit(request_id="good"))
    lone.report(done(good))
    lone.submit(request_id="open")
    lone.submit(request_id="ended")
    lone.tell(Cancel("c", 4))
    _, said = ask(lone, 2, 3, 4, 99, 1)
    refusals = said[:3]
    assert [isinstance(each, Refused) and each.code for each in refusals] == ["not_dead"] * 3
    assert isinstance(said[3], NotFound)
    assert said[4] is Status.WAITING
    assert lone.task(2).status is Status.DONE


def test_one_that_was_requeued_and_is_done_is_refused() -> None:
    lone, _ = dead_letters()
    (again,) = attempts(ask(lone, 1)[0])
    lone.report(done(again))
    (said,) = ask(lone, 1)[1]
    assert isinstance(said, Refused)


def test_a_draining_node_and_a_full_one_refuse() -> None:
    full = EngineConfig(OwnerConfig(unended_max=2, retry=RetryPolicy(base_s=0.0)))
    lone, _ = dead_letters(2, config=full)
    lone.submit(1, request_id="other")
    _, said = ask(lone, 1, 2)
    assert said[0] is Status.WAITING
    assert isinstance(said[1], Overloaded)
    lone.tell(DrainAsked())
    (said,) = ask(lone, 2)[1]
    assert isinstance(said, Draining)


def test_it_survives_a_restart_unless_it_was_volatile() -> None:
    lone, _ = dead_letters(3)
    ask(lone, 1, 3)
    second = Lone((), history=journal(lone), incarnation=2)
    assert [second.task(no).status for no in (1, 2, 3)] == [
        Status.WAITING,
        Status.FAILED,
        Status.WAITING,
    ]
    assert sorted(a.no for a in attempts(second.peer())) == [1, 3]
    volatile, _ = dead_letters(demand=Demand("a.run", durability=Durability.VOLATILE))
    ask(volatile, 1)
    assert not any(event.journaled for event in volatile.events)


def test_a_deadline_begins_anew() -> None:
    lone, _ = dead_letters(demand=Demand("a.run", deadline_s=10.0))
    lone.tell(Tick(), after_s=6.0)
    ask(lone, 1)
    lone.tell(Tick(), after_s=5.0)
    assert lone.task(1).status is Status.RUNNING, "its first deadline counts no more"
    lone.tell(Tick(), after_s=5.1)
    assert lone.task(1).status is Status.FAILED
    outcome = lone.task(1).outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.code == "deadline"


def test_a_split_task_splits_anew() -> None:
    lone = Lone((), QUICK)
    lone.peer()
    (split,) = attempts(lone.submit(demand=Demand("a.cut")))
    cut = Cut(split.no, split.attempt, (Call(b"{}"), Call(b"{}")))
    shards = attempts(lone.tell(Resulted(PEER, (), cuts=(cut,))))
    lone.report(failed(shards[0], FATAL))
    assert lone.task(1).status is Status.FAILED
    (said,) = ask(lone, shards[0].no)[1]
    assert isinstance(said, Invalid)
    assert "task 1" in said.fix
    effects, _ = ask(lone, 1)
    assert [grown.parent for grown in facts(effects, Grown)] == [1]
    assert not {split.no, *(shard.no for shard in shards)} & lone.engine.tasks.by_no.keys()
    (split,) = attempts(effects)
    assert split.no not in {shard.no for shard in shards}
    lone.report(done(Fence(shards[1].no, shards[1].attempt)))  # of before: nobody waits for it
    cut = Cut(split.no, split.attempt, (Call(b"{}"),))
    (shard,) = attempts(lone.tell(Resulted(PEER, (), cuts=(cut,))))
    lone.report(done(shard, text("[1]")))
    assert lone.task(1).status is Status.DONE
    again = Lone((), history=journal(lone), incarnation=2)
    assert again.task(1).status is Status.DONE
    assert again.engine.tasks.by_no.keys() == lone.engine.tasks.by_no.keys()


def test_a_batch_that_is_open_again_is_not_forgotten() -> None:
    few = OwnerConfig(retry=RetryPolicy(base_s=0.0), retention=RetentionConfig(0, 0.0))
    lone, _ = dead_letters(config=EngineConfig(few))
    (again,) = attempts(ask(lone, 1)[0])
    assert not only(lone.tell(Tick(), after_s=5.0), Forget)
    lone.report(done(again))
    assert only(lone.tell(Tick(), after_s=5.0), Forget) == [Forget([1])]
