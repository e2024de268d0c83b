"""The owner's decisions, as signals in and effects out. The worker is a peer driven by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.lone import (
    DEFAULTS,
    FATAL,
    PEER,
    PLAIN,
    ROOMY,
    Lone,
    done,
    facts,
    failed,
    only,
    text,
)

from nova_node.core.effects import (
    Acknowledge,
    Append,
    Assign,
    Drained,
    Pull,
)
from nova_node.core.engine import EngineConfig
from nova_node.core.errors import Draining, Invalid, Overloaded
from nova_node.core.events import Accepted, AnomalySeen, Finished, Output, Retried
from nova_node.core.model import (
    Anomaly,
    Attempt,
    BlobRef,
    Demand,
    Durability,
    Encoding,
    Extent,
    Failure,
    Fence,
    MemberState,
    Said,
    Status,
    Value,
)
from nova_node.core.owner import OwnerConfig, SubmitAnswer
from nova_node.core.retry import RetryPolicy
from nova_node.core.signals import (
    DrainAsked,
    Granted,
    Heard,
    LinkDown,
    LinkUp,
    Noticed,
    PeerSeen,
    Pulled,
    Resulted,
    ResumeAsked,
    Tick,
)

NO_RETRY_WAIT = EngineConfig(OwnerConfig(retry=RetryPolicy(base_s=0.0, max_losses=3)))


def with_peer(config: EngineConfig = DEFAULTS) -> Lone:
    lone = Lone((), config)
    lone.peer()
    return lone


def attempts_of(effects: Sequence[object]) -> list[Attempt]:
    return [a for e in effects if isinstance(e, Assign) for a in e.attempts]


def assigned(lone: Lone, count: int = 1, demand: Demand = PLAIN) -> list[Attempt]:
    return [a for e in only(lone.submit(count, demand), Assign) for a in e.attempts]


# ---------------------------------------------------------------- accepting


def test_a_submit_is_recorded_before_it_is_acknowledged() -> None:
    effects = Lone().submit(3)
    assert isinstance(effects[0], Append)
    assert facts(effects, Accepted)[0].request_id == "r"
    assert only(effects, Acknowledge) == [Acknowledge("r", SubmitAnswer("r", 1, 3))]


def test_a_request_id_is_accepted_once() -> None:
    lone = Lone()
    first = only(lone.submit(2), Acknowledge)
    again = lone.submit(2)
    assert only(again, Acknowledge) == first
    assert not facts(again, Accepted)


def test_a_request_id_is_known_after_a_restart() -> None:
    lone = Lone()
    lone.submit(2)
    second = Lone(history=lone.events, incarnation=2)
    effects = second.submit(2)
    assert only(effects, Acknowledge)[0].answer == SubmitAnswer("r", 1, 2)
    assert not facts(effects, Accepted)


def test_an_empty_submit_is_refused() -> None:
    answer = only(Lone().submit(0), Acknowledge)[0].answer
    assert isinstance(answer, Invalid)


def test_overload_is_refused_and_nothing_is_dropped() -> None:
    lone = Lone(config=EngineConfig(OwnerConfig(unended_max=5)))
    lone.submit(4)
    answer = only(lone.submit(2, request_id="r2"), Acknowledge)[0].answer
    assert isinstance(answer, Overloaded)
    assert answer.retryable
    assert answer.fix
    assert lone.engine.tasks.unended == 4


def test_arguments_that_would_fill_the_memory_are_refused() -> None:
    lone = Lone(config=EngineConfig(OwnerConfig(held_bytes_max=10)))
    lone.submit(6)
    answer = only(lone.submit(request_id="r2"), Acknowledge)[0].answer
    assert isinstance(answer, Overloaded)
    assert "blobs" in answer.fix


def test_a_draining_node_refuses_work_and_tells_when_it_is_done() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    assert not only(lone.tell(DrainAsked()), Drained)
    answer = only(lone.submit(request_id="r2"), Acknowledge)[0].answer
    assert isinstance(answer, Draining)
    assert only(lone.report(done(attempt)), Drained)
    assert not only(lone.tell(Tick()), Drained)


def test_a_drain_that_is_ended_leaves_the_node_as_it_was() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    lone.tell(DrainAsked())
    effects = lone.tell(ResumeAsked("t"))
    assert only(effects, Acknowledge) == [Acknowledge("t", True)]
    assert not lone.engine.digest(1, 0).draining
    assert attempts_of(lone.submit(request_id="r2"))
    assert not only(lone.report(done(attempt)), Drained)
    assert only(lone.tell(ResumeAsked("t")), Acknowledge) == [Acknowledge("t", False)]


def test_an_anomaly_is_told_and_not_journaled() -> None:
    lone = Lone()
    anomaly = Anomaly("rate", 900.0, 10.0, 12.0, False)
    assert facts(lone.tell(Noticed(anomaly)), AnomalySeen) == [AnomalySeen(anomaly)]
    assert [(event.batch, event.journaled) for event in lone.events] == [(0, False)]


def test_a_drain_after_a_drain_that_was_ended_is_told_too() -> None:
    lone = with_peer()
    assert only(lone.tell(DrainAsked()), Drained)
    lone.tell(ResumeAsked("t"))
    assert only(lone.tell(DrainAsked()), Drained)


def test_facts_of_volatile_tasks_are_not_journaled() -> None:
    lone = with_peer()
    attempt = assigned(lone, demand=Demand("a.run", durability=Durability.VOLATILE))[0]
    lone.report(done(attempt))
    assert not any(e.journaled for e in lone.events)


def test_numbers_of_a_former_life_are_not_given_again() -> None:
    lone = Lone(incarnation=2)
    first = only(lone.submit(), Acknowledge)[0].answer.first
    assert first > 10_000_000


# ---------------------------------------------------------------- results and the fence


def test_a_result_ends_a_task() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    (finished,) = facts(lone.report(done(attempt, text("7"), 12)), Finished)
    (end,) = finished.outcomes
    assert (end.no, end.status, end.value, end.node) == (1, Status.DONE, text("7"), PEER)
    assert end.elapsed_us == 12
    assert lone.engine.owner.owed() == 0


def test_results_of_one_report_are_one_fact() -> None:
    lone = with_peer()
    attempts = assigned(lone, 5)
    (finished,) = facts(lone.report(*map(done, attempts)), Finished)
    assert len(finished.outcomes) == 5


@pytest.mark.parametrize("late", [Fence(1, 2), Fence(1, 0), Fence(9, 1)])
def test_a_result_of_another_attempt_is_fenced(late: Fence) -> None:
    lone = with_peer()
    assigned(lone)
    assert not facts(lone.report(done(late)), Finished)
    assert lone.engine.owner.judging.fenced == 1


def test_a_result_of_another_node_is_fenced() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    lone.peer("c" * 16)
    assert not facts(lone.report(done(attempt), node="c" * 16), Finished)


def test_a_result_counts_once() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    assert len(facts(lone.report(done(attempt), done(attempt)), Finished)) == 1
    assert not facts(lone.report(done(attempt)), Finished)
    assert lone.engine.tasks.unended == 0


def test_output_counts_only_while_its_attempt_does() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    line, stale = Said(1, attempt.attempt, False, "hello"), Said(1, 9, False, "late")
    assert facts(lone.tell(Heard(PEER, [line, stale])), Output) == [Output(line)]
    lone.report(done(attempt))
    assert not facts(lone.tell(Heard(PEER, [line])), Output)


def test_a_large_result_is_fetched_before_it_counts() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    blob = Value(Encoding.RAW, b"", BlobRef("f" * 64, 9))
    effects = lone.report(done(attempt, blob))
    (pull,) = only(effects, Pull)
    assert pull.value.blob is not None
    assert pull.value.blob.holders == (PEER,)
    assert not facts(effects, Finished)
    assert facts(lone.tell(Pulled(1, attempt.attempt, pull.value, None)), Finished)


def test_files_are_fetched_before_their_result_counts() -> None:
    """And their blob is kept as long as the task is known."""
    lone = with_peer()
    attempt = assigned(lone)[0]
    pack = BlobRef("e" * 64, 3)
    value = Value(Encoding.JSON, b"1", None, (Extent("a", pack.id, 0, 3),), pack)
    (pull,) = only(lone.report(done(attempt, value)), Pull)
    assert pull.value.blobs == (pack._replace(holders=(PEER,)),)
    assert facts(lone.tell(Pulled(1, attempt.attempt, pull.value, None)), Finished)
    assert lone.engine.tasks.blob_ids() == {pack.id}


def test_a_result_that_cannot_be_fetched_is_made_again_at_no_charge() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    blob = Value(Encoding.RAW, b"", BlobRef("f" * 64, 9))
    lone.report(done(attempt, blob))
    gone = Failure("unavailable", "gone", retryable=True)
    (retried,) = facts(lone.tell(Pulled(1, 1, blob, gone)), Retried)
    assert not retried.charged


# ---------------------------------------------------------------- failures


def test_a_failed_attempt_is_tried_again_after_a_while() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    effects = lone.report(failed(attempt))
    (retried,) = facts(effects, Retried)
    assert retried.charged
    assert retried.not_before > lone.now
    assert not only(effects, Assign)
    wake_at = lone.engine.wake_at
    assert wake_at == retried.not_before
    (again,) = attempts_of(list(lone.tell(Tick(), after_s=wake_at - lone.now)))
    assert (again.no, again.attempt) == (1, 2)


def test_a_hopeless_failure_ends_a_task_at_once() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    (finished,) = facts(lone.report(failed(attempt, FATAL)), Finished)
    assert finished.outcomes[0].status is Status.FAILED
    assert finished.outcomes[0].failure == FATAL


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_a_poison_task_is_set_aside_after_exactly_its_attempts(max_attempts: int) -> None:
    lone = with_peer()
    (attempt,) = assigned(lone, demand=Demand("a.run", max_attempts=max_attempts))
    tries = 1
    while not facts(effects := lone.report(failed(attempt)), Finished):
        assert facts(effects, Retried)
        tries += 1
        (attempt,) = attempts_of(list(lone.tell(Tick(), after_s=300.0)))
    assert tries == max_attempts
    assert lone.task(1).status is Status.FAILED


def test_attempts_of_a_lost_worker_go_elsewhere_at_once_at_no_charge() -> None:
    lone = with_peer()
    assigned(lone, 2)
    lone.peer("c" * 16)
    effects = lone.tell(LinkDown(PEER, "it broke"))
    assert [r.charged for r in facts(effects, Retried)] == [False, False]
    (assign,) = only(effects, Assign)
    assert assign.node == "c" * 16
    assert sorted((a.no, a.attempt) for a in assign.attempts) == [(1, 2), (2, 2)]


@pytest.mark.parametrize("state", [MemberState.DEAD, MemberState.LEFT])
def test_a_dead_worker_is_a_lost_worker(state: MemberState) -> None:
    lone = with_peer()
    assigned(lone)
    peer = lone.engine.owner.dispatch.workers[PEER].member
    assert peer is not None
    effects = lone.tell(PeerSeen(peer._replace(state=state)))
    assert len(facts(effects, Retried)) == 1
    assert lone.task(1).status is Status.WAITING


def lose(lone: Lone) -> list[object]:
    effects = lone.tell(LinkDown(PEER, "it broke"))
    lone.tell(LinkUp(PEER), Granted(PEER, ROOMY))
    return list(effects)


def test_losses_are_not_endless() -> None:
    lone = with_peer(NO_RETRY_WAIT)
    assigned(lone)
    for _ in range(3):
        lose(lone)
    assert lone.task(1).losses == 3
    lose(lone)
    end = lone.task(1).outcome
    assert end is not None
    assert end.failure is not None
    assert end.failure.code == "lost"


def test_attempts_given_back_are_no_losses() -> None:
    lone = with_peer(NO_RETRY_WAIT)
    attempt = assigned(lone)[0]
    for _ in range(20):
        back = Fence(attempt.no, attempt.attempt)
        (attempt,) = attempts_of(list(lone.tell(Resulted(PEER, (), [back]))))
    assert attempt.attempt == 21
    assert lone.task(1).losses == 0
    assert not lone.task(1).history


def test_missing_inputs_are_not_charged_but_not_endless() -> None:
    lone = with_peer(NO_RETRY_WAIT)
    (attempt,) = assigned(lone, demand=Demand("a.run", max_attempts=1))
    away = Failure("blob_unavailable", "nobody gave it", retryable=True)
    for _ in range(2):
        (retried,) = facts(lone.report(failed(attempt, away)), Retried)
        assert not retried.charged
        (attempt,) = attempts_of(list(lone.tell(Tick(), after_s=1.0)))
    assert facts(lone.report(failed(attempt, away)), Finished)


def test_a_result_beside_a_failure_of_the_same_report_counts() -> None:
    lone = with_peer()
    one, two = assigned(lone, 2)
    effects = lone.report(failed(one, FATAL), done(two))
    ends = [o.status for f in facts(effects, Finished) for o in f.outcomes]
    assert sorted(ends) == [Status.DONE, Status.FAILED]


def test_an_attempt_without_value_or_reason_fails() -> None:
    lone = with_peer()
    attempt = assigned(lone)[0]
    (finished,) = facts(lone.report(failed(attempt)._replace(failure=None)), Finished)
    assert finished.outcomes[0].status is Status.FAILED
