"""Which node a task prefers, and nodes that asked for a pause."""

from __future__ import annotations

from support.lone import PEER, ROOMY, RUN, Lone, facts, failed, only

from nova_node.core.effects import Assign, Effect
from nova_node.core.events import Retried
from nova_node.core.explain import explain, words
from nova_node.core.model import Credit, Demand, Failure, Fence
from nova_node.core.placement import PREFERENCE_US, unfit
from nova_node.core.retry import RetryPolicy, is_charged
from nova_node.core.signals import Granted, Tick

OTHER = "c" * 16
FAST, CHEAP = ("model.fast", "yes"), ("model.cheap", "yes")
EITHER = Demand("a.run", prefers=(CHEAP, FAST))
ONE = Credit(1_000_000, 1, 1, 1 << 20)
BUSY = Failure("busy", "come back later", retryable=True, retry_after_s=5.0)


def scene(credit: Credit = ROOMY) -> Lone:
    """The peer is cheap, the other is fast."""
    lone = Lone(())
    lone.peer(PEER, (RUN,), credit, (CHEAP,))
    lone.peer(OTHER, (RUN,), credit, (FAST,))
    return lone


def sent(effects: list[Effect]) -> list[tuple[str, int]]:
    return [(e.node, len(e.attempts)) for e in only(effects, Assign)]


def test_the_earlier_label_is_better() -> None:
    assert sent(scene().submit(4, EITHER)) == [(PEER, 4)]
    reverse = Demand("a.run", prefers=(FAST, CHEAP))
    assert sent(scene().submit(4, reverse)) == [(OTHER, 4)]


def test_without_room_there_the_next_one_takes_it() -> None:
    assert sent(scene(ONE).submit(3, EITHER)) == [(PEER, 1), (OTHER, 1)]


def test_a_node_must_carry_one_of_them() -> None:
    lone = scene()
    demand = Demand("a.run", prefers=(("model.none", "yes"),))
    assert not sent(lone.submit(1, demand))
    told = explain(lone.engine.owner, lone.task(1), lone.now)
    assert any("model.none=yes" in reason for reason in told.unblock)
    assert not unfit(lone.engine.owner.dispatch.workers[PEER], EITHER)


def test_it_is_explained() -> None:
    lone = scene(Credit(0, 0, 0, 0))
    lone.submit(1, EITHER)
    told = explain(lone.engine.owner, lone.task(1), lone.now)
    ranks = {rank.node: rank for rank in told.ranking}
    assert ranks[OTHER].score - ranks[PEER].score == PREFERENCE_US
    assert words(ranks[OTHER]) == ["50.0 ms for not being its first choice"]


# ---------------------------------------------------------------- a pause


def assigned(lone: Lone, demand: Demand) -> list[Effect]:
    effects = lone.submit(1, demand)
    (assign,) = only(effects, Assign)
    return lone.report(failed(assign.attempts[0], BUSY), node=assign.node)


def test_with_another_node_there_it_goes_there_at_once() -> None:
    effects = assigned(scene(), EITHER)
    assert sent(effects) == [(OTHER, 1)]
    (retried,) = facts(effects, Retried)
    assert (retried.not_before, retried.charged) == (0.0, False)


def test_alone_it_waits_at_least_so_long() -> None:
    lone = Lone(())
    lone.peer()
    (retried,) = facts(assigned(lone, Demand("a.run")), Retried)
    assert 5.0 <= retried.not_before - lone.now <= 5.0 + RetryPolicy().base_s
    assert not sent(lone.tell(Tick(), after_s=4.9))
    assert sent(lone.tell(Tick(), after_s=0.4)) == [(PEER, 1)]


def test_when_the_other_has_no_room_it_does_not_return_before_the_time() -> None:
    lone = scene()
    lone.tell(Granted(OTHER, Credit(0, 0, 0, 0)))
    assert not sent(assigned(lone, EITHER))
    assert lone.engine.wake_at == lone.now + 5.0
    told = explain(lone.engine.owner, lone.task(1), lone.now)
    assert told.waits_for.startswith("room on a node")
    assert not sent(lone.tell(Tick(), after_s=4.9))
    assert sent(lone.tell(Tick(), after_s=0.2)) == [(PEER, 1)]


def test_others_of_the_kind_keep_away_too_and_other_work_does_not() -> None:
    lone = scene()
    assigned(lone, EITHER)
    assert sent(lone.submit(1, EITHER, "second")) == [(OTHER, 1)]
    here = Demand("a.run", labels=(CHEAP,))
    assert sent(lone.submit(1, here, "third")) == [(PEER, 1)]
    assert lone.engine.owner.dispatch.workers[PEER].failures == 0.0


def test_a_pause_has_a_bound_and_costs_no_attempt() -> None:
    assert not is_charged(BUSY)
    lone = Lone(())
    lone.peer()
    effects = lone.submit(1)
    (assign,) = only(effects, Assign)
    endless = BUSY._replace(retry_after_s=1e9)
    (retried,) = facts(lone.report(failed(assign.attempts[0], endless)), Retried)
    assert retried.not_before - lone.now <= RetryPolicy().pause_cap_s + RetryPolicy().base_s


def test_it_is_given_up_after_as_many_pauses_as_losses() -> None:
    lone = Lone(())
    lone.peer()
    lone.submit(1)
    for attempt in range(1, RetryPolicy().max_losses + 1):
        task = lone.task(1)
        assert task.attempt == attempt
        lone.report(failed(Fence(1, attempt), BUSY))
        lone.tell(Tick(), after_s=200.0)
    assert lone.task(1).outcome is not None
