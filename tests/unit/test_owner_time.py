"""The owner over time: cancels, deadlines, recalls, what is forgotten, and restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.lone import (
    DEFAULTS,
    PEER,
    PLAIN,
    Lone,
    done,
    facts,
    failed,
    only,
)

from nova_node.core.effects import (
    Acknowledge,
    Assign,
    Forget,
    Recall,
    Revoke,
)
from nova_node.core.engine import EngineConfig
from nova_node.core.errors import NotFound
from nova_node.core.events import Accepted, Event, Finished
from nova_node.core.model import (
    Attempt,
    Call,
    Capability,
    Credit,
    Demand,
    Durability,
    Fence,
    Group,
    Input,
    Status,
)
from nova_node.core.owner import OwnerConfig
from nova_node.core.retention import RetentionConfig
from nova_node.core.signals import (
    Cancel,
    Submit,
    Tick,
)


def with_peer(config: EngineConfig = DEFAULTS) -> Lone:
    lone = Lone((), config)
    lone.peer()
    return lone


def attempts_of(effects: list[object]) -> list[Attempt]:
    return [a for e in effects if isinstance(e, Assign) for a in e.attempts]


def assigned(lone: Lone, count: int = 1, demand: Demand = PLAIN) -> list[Attempt]:
    return [a for e in only(lone.submit(count, demand), Assign) for a in e.attempts]


# ---------------------------------------------------------------- cancel and deadline


def test_cancel_of_a_waiting_task() -> None:
    lone = Lone(())
    lone.submit()
    effects = lone.tell(Cancel("c", 1))
    assert only(effects, Acknowledge) == [Acknowledge("c", Status.CANCELLED)]
    assert lone.task(1).status is Status.CANCELLED
    lone.peer()
    assert lone.engine.owner.owed() == 0


def test_cancel_of_a_running_task_revokes_it_and_frees_the_room() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    effects = lone.tell(Cancel("c", 1))
    assert only(effects, Revoke) == [Revoke(PEER, [Fence(1, 1)])]
    assert lone.engine.owner.owed() == 0
    assert not facts(lone.report(done(attempt)), Finished)
    assert lone.task(1).status is Status.CANCELLED


def test_cancel_of_an_ended_task_tells_how_it_ended() -> None:
    lone = with_peer()
    lone.report(done(assigned(lone)[0]))
    effects = lone.tell(Cancel("c", 1))
    assert only(effects, Acknowledge)[0].answer is Status.DONE
    assert not facts(effects, Finished)


def test_cancel_of_an_unknown_task() -> None:
    answer = only(Lone().tell(Cancel("c", 77)), Acknowledge)[0].answer
    assert isinstance(answer, NotFound)


def test_cancel_of_a_task_in_backoff_stays() -> None:
    lone = with_peer()
    lone.report(failed(assigned(lone)[0]))
    lone.tell(Cancel("c", 1))
    assert not only(lone.tell(Tick(), after_s=300.0), Assign)


@pytest.mark.parametrize("running", [True, False])
def test_a_deadline_ends_a_task_wherever_it_is(running: bool) -> None:
    lone = Lone(())
    if running:
        lone.peer()
    lone.submit(demand=Demand("a.run", deadline_s=5.0))
    assert lone.engine.wake_at == lone.now + 5.0
    effects = lone.tell(Tick(), after_s=5.0)
    (finished,) = facts(effects, Finished)
    failure = finished.outcomes[0].failure
    assert failure is not None
    assert failure.code == "deadline"
    assert bool(only(effects, Revoke)) == running


def test_a_deadline_survives_a_restart() -> None:
    lone = Lone(())
    lone.submit(demand=Demand("a.run", deadline_s=5.0))
    second = Lone((), history=lone.events, incarnation=2)
    assert second.engine.wake_at == lone.now + 5.0


def test_deadlines_of_ended_tasks_do_not_pile_up() -> None:
    lone = with_peer()
    demand = Demand("a.run", deadline_s=86_400.0)
    for number in range(40):
        effects = lone.submit(100, demand, f"r{number}")
        lone.report(*[done(a) for e in only(effects, Assign) for a in e.attempts])
    assert lone.engine.tasks.unended == 0
    assert len(lone.engine.owner.timers._deadlines) < 2_000  # pyright: ignore[reportPrivateUsage]


# ---------------------------------------------------------------- recall, retention, replay


def test_work_is_recalled_from_the_busiest_when_another_is_idle() -> None:
    lone = with_peer()
    assigned(lone, 10)
    (recall,) = only(lone.peer("c" * 16), Recall)
    assert recall == Recall(PEER, 5)


def test_work_is_recalled_though_other_work_waits_for_a_node_that_is_not_there() -> None:
    lone = with_peer()
    lone.submit(1, Demand("not.here"), "r0")
    assigned(lone, 10)
    assert only(lone.peer("c" * 16), Recall)


def test_nothing_is_recalled_for_a_node_that_does_not_fit() -> None:
    lone = with_peer()
    assigned(lone, 10)
    assert not only(lone.peer("c" * 16, (Capability("other.thing"),)), Recall)


def test_nothing_is_recalled_for_a_node_without_room() -> None:
    lone = with_peer()
    assigned(lone, 10)
    assert not only(lone.peer("c" * 16, credit=Credit(0, 0, 0, 0)), Recall)


def finish_some(lone: Lone, batches: int) -> None:
    for number in range(batches):
        effects = lone.submit(10, request_id=f"r{number}")
        lone.report(*[done(a) for e in only(effects, Assign) for a in e.attempts])


def test_the_oldest_finished_batches_are_forgotten() -> None:
    config = RetentionConfig(kept_max=30, kept_s=5.0)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    finish_some(lone, 5)
    assert len(lone.engine.tasks.by_no) == 50
    (forget,) = only(lone.tell(Tick(), after_s=6.0), Forget)
    assert forget == Forget([1, 11])
    assert len(lone.engine.tasks.by_no) == 30


def test_memory_of_finished_batches_is_bounded_however_young() -> None:
    config = RetentionConfig(kept_max=30, kept_s=1e9, young_max=60)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    finish_some(lone, 20)
    lone.tell(Tick(), after_s=6.0)
    assert len(lone.engine.tasks.by_no) == 60
    assert len(lone.engine.tasks.by_request) == 6


def test_a_batch_is_kept_until_its_client_was_told() -> None:
    config = RetentionConfig(kept_max=0, kept_s=0.0)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    retention, batches = lone.engine.owner.retention, lone.engine.tasks.batches
    for first in (11, 21, 21):
        retention.awaited(first)
    finish_some(lone, 4)
    (forget,) = only(lone.tell(Tick(), after_s=6.0), Forget)
    assert forget == Forget([1, 31])
    for first in (11, 21):
        retention.told(first)
    assert only(lone.tell(Tick(), after_s=6.0), Forget) == [Forget([11])]
    assert list(batches) == [21]
    retention.told(21)
    assert only(lone.tell(Tick(), after_s=6.0), Forget) == [Forget([21])]


def test_what_clients_are_not_told_is_bounded_too() -> None:
    config = RetentionConfig(kept_max=0, kept_s=0.0, untold_max=25)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    for first in (1, 11, 21, 31):
        lone.engine.owner.retention.awaited(first)
    finish_some(lone, 4)
    assert only(lone.tell(Tick(), after_s=6.0), Forget) == [Forget([1, 11])]


def test_a_batch_that_nobody_was_told_of_may_be_opened_again() -> None:
    config = RetentionConfig(kept_max=0, kept_s=0.0)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    retention = lone.engine.owner.retention
    retention.awaited(1)
    finish_some(lone, 1)
    assert not only(lone.tell(Tick(), after_s=6.0), Forget)
    retention.reopened(lone.engine.tasks.batches[1])
    retention.told(1)
    assert not only(lone.tell(Tick(), after_s=6.0), Forget)


def test_large_results_are_forgotten_before_they_fill_the_memory() -> None:
    config = RetentionConfig(kept_s=1e9, kept_bytes=100)
    lone = with_peer(EngineConfig(OwnerConfig(retention=config)))
    finish_some(lone, 20)
    lone.tell(Tick(), after_s=6.0)
    tasks = lone.engine.tasks
    assert tasks.batches
    assert tasks.size_bytes == sum(batch.size_bytes for batch in tasks.batches.values())
    assert 150 < tasks.size_bytes <= 200


def test_only_what_is_volatile_and_awaited_by_nobody_is_let_go() -> None:
    lone = with_peer(EngineConfig(OwnerConfig(retention=RetentionConfig(kept_s=1e9))))
    tasks, retention = lone.engine.tasks, lone.engine.owner.retention
    volatile = replace(PLAIN, durability=Durability.VOLATILE)
    for demand in (PLAIN, volatile, volatile, volatile):
        effects = lone.submit(1, demand, request_id=str(tasks.next_no))
        (attempt,) = attempts_of(list(effects))
        if attempt.no < 4:
            lone.report(done(attempt))
    retention.awaited(2)
    for first in (1, 2, 3, 4):
        retention.let_go(first)
    assert list(tasks.batches) == [1, 2, 4]
    retention.told(2)
    retention.let_go(2)
    assert list(tasks.batches) == [1, 4]
    assert tasks.size_bytes == sum(batch.size_bytes for batch in tasks.batches.values())


def test_inputs_of_what_is_done_take_no_memory_and_those_of_dead_letters_stay() -> None:
    lone = with_peer()
    raw = b"x" * 1_000
    calls = (Call(b"{}", (Input("data", raw),)),) * 2
    effects = lone.tell(Submit("t", "r", (Group(replace(PLAIN, max_attempts=1), calls),)))
    tasks = lone.engine.tasks
    whole_bytes = tasks.size_bytes
    one, two = attempts_of(list(effects))
    lone.report(done(one), failed(two))
    assert [task.call.inputs for task in tasks.by_no.values()] == [
        (Input("data", b""),),
        (Input("data", raw),),
    ]
    value = tasks.by_no[one.no].outcome
    assert value is not None
    assert value.value is not None
    assert tasks.size_bytes == whole_bytes - len(raw) + len(value.value.data)
    assert tasks.size_bytes == sum(batch.size_bytes for batch in tasks.batches.values())


def test_open_batches_are_never_forgotten() -> None:
    lone = Lone(
        (), EngineConfig(OwnerConfig(retention=RetentionConfig(0, 0.0, 0, forgotten_after_s=0.0)))
    )
    lone.submit(10)
    assert not only(lone.tell(Tick(), after_s=60.0), Forget)
    assert len(lone.engine.tasks.by_no) == 10


def test_what_a_cut_forgetting_left_is_forgotten_at_the_next_start() -> None:
    lone = with_peer()
    lone.report(done(assigned(lone)[0]))
    rest: list[Event] = [e for e in lone.events if e.journaled and not isinstance(e.fact, Accepted)]
    second = Lone(history=rest, incarnation=2)
    assert only(second.tell(Tick()), Forget) == [Forget([1])]
    assert not second.engine.tasks.by_no


def test_a_restart_resumes_what_had_not_ended() -> None:
    lone = with_peer()
    one, two, _ = assigned(lone, 3)
    lone.report(done(one), failed(two))
    journal = [e for e in lone.events if e.journaled]
    second = Lone((), history=journal, incarnation=2)
    (first,) = attempts_of(list(second.peer()))
    assert (first.no, first.attempt) == (3, 1)
    (again,) = attempts_of(list(second.tell(Tick(), after_s=1.0)))
    assert (again.no, again.attempt) == (2, 2)


def test_a_submit_of_several_groups_is_numbered_in_order() -> None:
    lone = Lone(())
    groups = (
        Group(Demand("a.run"), (Call(b"1"), Call(b"2"))),
        Group(Demand("b.run"), (Call(b"3"),)),
    )
    lone.tell(Submit("t", "r", groups))
    assert [lone.task(no).call.args for no in (1, 2, 3)] == [b"1", b"2", b"3"]
