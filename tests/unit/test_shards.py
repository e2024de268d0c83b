"""Tasks that become many and one again. Workers are driven by hand."""

from __future__ import annotations

import pytest
from support.lone import CUT, FATAL, ME, PEER, Lone, done, facts, failed, only, text

from nova_node.core.effects import Assign, Effect, Kill, Release, Report, Revoke, Run
from nova_node.core.engine import EngineConfig
from nova_node.core.events import Finished, Grown, Retried
from nova_node.core.fanout import DEPTH_MAX, FAN_IN, SHARDS_MAX
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Cut,
    Demand,
    Encoding,
    Failure,
    Fence,
    Outcome,
    Phase,
    Status,
    Value,
)
from nova_node.core.signals import (
    Cancel,
    LinkDown,
    OwnerDown,
    OwnerUp,
    Ran,
    RanItem,
    Resulted,
    Tick,
    Work,
)
from nova_node.core.worker import WorkerConfig

LINK = 9
AWAY = Failure("blob_unavailable", "nobody gave it", retryable=True)


def attempts_of(effects: list[Effect]) -> list[Attempt]:
    return [a for e in only(effects, Assign) for a in e.attempts]


def shards(count: int) -> tuple[Call, ...]:
    return tuple(Call(str(number).encode()) for number in range(count))


def blob(number: int, *holders: str) -> Value:
    return Value(Encoding.JSON, b"", BlobRef(f"{number:064x}", 9, Encoding.JSON, holders))


class Cutting(Lone):
    """One task that was split in `count` shards, all of them at PEER."""

    def __init__(self, count: int) -> None:
        super().__init__(())
        self.peer()
        (split,) = attempts_of(self.submit(1, Demand("a.cut")))
        assert split.phase is Phase.SPLIT
        self.shards = attempts_of(self.cut(split, count))

    def cut(self, split: Attempt, count: int) -> list[Effect]:
        return self.tell(Resulted(PEER, (), (), [Cut(split.no, split.attempt, shards(count))]))

    def root(self) -> Outcome:
        end = self.task(1).outcome
        assert end is not None
        return end


def test_a_split_is_asked_for_so_many_shards_as_there_are_slots_for() -> None:
    lone = Lone(())
    lone.peer()
    (split,) = attempts_of(lone.submit(1, Demand("a.cut")))
    assert split.demand.shards == 8
    (asked,) = attempts_of(lone.submit(1, Demand("a.cut", shards=3), "r2"))
    assert asked.demand.shards == 3


def test_shards_run_and_one_merge_joins_them_in_order() -> None:
    lone = Cutting(3)
    assert [a.phase for a in lone.shards] == [Phase.RUN] * 3
    assert all(a.part for a in lone.shards)
    merges: list[Attempt] = []
    for shard in reversed(lone.shards):
        merges += attempts_of(lone.report(done(shard, text(shard.call.args.decode()))))
    (merge,) = merges
    assert merge.parts == (text("0"), text("1"), text("2"))
    assert not merge.part
    lone.report(done(merge, text("whole")))
    assert (lone.root().status, lone.root().value) == (Status.DONE, text("whole"))


def test_a_single_shard_needs_no_merge() -> None:
    lone = Cutting(1)
    (shard,) = lone.shards
    assert not shard.part
    lone.report(done(shard, text("whole")))
    assert lone.root().value == text("whole")


def test_many_shards_are_joined_by_a_tree_of_merges() -> None:
    lone = Cutting(FAN_IN + 2)
    first, second = attempts_of(lone.report(*map(done, lone.shards)))
    assert sorted((len(first.parts), len(second.parts))) == [2, FAN_IN]
    assert first.part
    (last,) = attempts_of(lone.report(done(first), done(second)))
    assert not last.part


@pytest.mark.parametrize(
    ("count", "code"), [(0, "split_empty"), (SHARDS_MAX + 1, "split_too_many")]
)
def test_a_split_that_gives_nothing_or_too_much_fails_the_task(count: int, code: str) -> None:
    failure = Cutting(count).root().failure
    assert failure is not None
    assert failure.code == code
    assert failure.fix


def test_a_shard_that_is_set_aside_takes_the_task_and_the_others_along() -> None:
    lone = Cutting(3)
    effects = lone.report(failed(lone.shards[1], FATAL))
    assert lone.root().status is Status.FAILED
    assert lone.root().failure is not None
    assert [f.no for r in only(effects, Revoke) for f in r.fences] == [
        lone.shards[0].no,
        lone.shards[2].no,
    ]
    assert lone.engine.owner.owed() == 0


def test_a_result_beside_the_failure_of_its_sibling_changes_nothing_after_the_end() -> None:
    lone = Cutting(3)
    one, two, three = lone.shards
    ends = facts(lone.report(failed(one, FATAL), done(two), done(three)), Finished)
    numbers = [o.no for f in ends for o in f.outcomes]
    assert len(numbers) == len(set(numbers))
    assert lone.root().status is Status.FAILED


def test_cancel_takes_everything_along() -> None:
    lone = Cutting(3)
    effects = lone.tell(Cancel("c", 1))
    assert len(only(effects, Revoke)) == 3
    assert {t.status for t in lone.engine.tasks.by_no.values()} == {Status.CANCELLED, Status.DONE}
    assert lone.engine.owner.owed() == 0


def test_parts_are_released_when_the_whole_is_there() -> None:
    lone = Cutting(2)
    one, two = lone.shards
    (merge,) = attempts_of(lone.report(done(one, blob(1)), done(two, blob(2))))
    assert [p.blob.holders for p in merge.parts if p.blob] == [(PEER,), (PEER,)]
    (release,) = only(lone.report(done(merge)), Release)
    assert release.node == PEER
    assert len(release.blob_ids) == 2


# ---------------------------------------------------------------- lost parts


def test_parts_that_went_with_their_node_are_made_again() -> None:
    lone = Cutting(2)
    one, two = lone.shards
    (merge,) = attempts_of(lone.report(done(one, blob(1)), done(two, text("2"))))
    lone.peer("c" * 16)
    (again,) = attempts_of(lone.tell(LinkDown(PEER, "gone")))
    assert again.phase is Phase.MERGE
    effects = lone.report(failed(again, AWAY), node="c" * 16)
    (made,) = attempts_of(effects)
    assert (made.no, made.phase, made.attempt) == (one.no, Phase.RUN, 2)
    assert lone.task(merge.no).status is Status.CANCELLED
    (last,) = attempts_of(lone.report(done(made, text("1")), node="c" * 16))
    assert last.parts == (text("1"), text("2"))


def test_parts_that_their_node_does_not_give_are_made_again_after_some_tries() -> None:
    lone = Cutting(2)
    one, two = lone.shards
    (attempt,) = attempts_of(lone.report(done(one, blob(1)), done(two, text("2"))))
    tries = 0
    while attempt.phase is Phase.MERGE:
        tries += 1
        assert tries < 10
        effects = lone.report(failed(attempt, AWAY))
        (attempt,) = attempts_of(effects) or attempts_of(lone.tell(Tick(), after_s=60.0))
    assert attempt.no == one.no


def test_parts_are_not_made_again_for_ever() -> None:
    lone = Cutting(2)
    one, two = lone.shards
    ready = attempts_of(lone.report(done(one, blob(1)), done(two, blob(2))))
    for _ in range(1_000):
        if lone.task(1).outcome is not None:
            break
        ends = [failed(a, AWAY) if a.phase is Phase.MERGE else done(a, blob(a.no)) for a in ready]
        ready = attempts_of(lone.report(*ends)) or attempts_of(lone.tell(Tick(), after_s=300.0))
    assert lone.root().failure is not None


# ---------------------------------------------------------------- shards that split again


class Adopting(Lone):
    """A node that works for an owner on LINK and got an attempt from it."""

    def __init__(self, depth: int = 1, slots: int = 4) -> None:
        super().__init__((CUT,), EngineConfig(worker=WorkerConfig(slots=slots)), ready=True)
        self.tell(OwnerUp(PEER, LINK))
        self.given = Attempt(5, 2, Demand("a.cut"), Phase.RUN, Call(b"{}"), depth=depth)
        (run,) = only(self.tell(Work(LINK, [self.given])), Run)
        self.slot, self.key = run.slot, run.keys[0]

    def answer(self, count: int) -> Ran:
        return Ran(self.slot, (RanItem(self.key, done(self.given), shards(count)),))

    def run_all(self, effects: list[Effect]) -> list[Effect]:
        """Everything handed to a slot is done at once."""
        seen = list(effects)
        while runs := only(effects, Run):
            signals = [
                Ran(r.slot, [RanItem(k, done(a)) for k, a in zip(r.keys, r.attempts, strict=True)])
                for r in runs
            ]
            effects = self.tell(*signals)
            seen += effects
        return seen

    @property
    def is_clean(self) -> bool:
        return not self.engine.tasks.by_no and not self.engine.owner.owed()


def test_a_shard_that_splits_again_is_seen_through_where_it_ran() -> None:
    lone = Adopting()
    effects = lone.run_all(lone.tell(lone.answer(3)))
    (report,) = only(effects, Report)
    assert report.link == LINK
    assert [(o.no, o.attempt, o.status) for o in report.outcomes] == [(5, 2, Status.DONE)]
    assert lone.is_clean


def test_nested_shards_are_not_journaled_here() -> None:
    lone = Adopting()
    lone.run_all(lone.tell(lone.answer(3)))
    assert not any(event.journaled for event in lone.events)


def test_splitting_ends_somewhere() -> None:
    lone = Adopting(depth=DEPTH_MAX)
    (report,) = only(lone.tell(lone.answer(3)), Report)
    failure = report.outcomes[0].failure
    assert failure is not None
    assert failure.code == "split_too_deep"


def test_a_failure_of_a_nested_shard_is_reported() -> None:
    lone = Adopting()
    runs = only(lone.tell(lone.answer(2)), Run)
    item = RanItem(runs[0].keys[0], failed(runs[0].attempts[0], FATAL))
    (report,) = only(lone.tell(Ran(runs[0].slot, (item,))), Report)
    assert report.outcomes[0].failure is not None
    assert report.outcomes[0].failure.code == FATAL.code
    assert lone.is_clean


def test_nested_shards_find_room_though_all_of_it_went_to_their_parents() -> None:
    lone = Lone((CUT,), EngineConfig(worker=WorkerConfig(slots=1)), ready=True)
    effects = lone.submit(8, Demand("a.cut", shards=2))
    for _ in range(200):
        runs = only(effects, Run)
        if not runs:
            break
        signals: list[Ran] = []
        for run in runs:
            items = [
                RanItem(k, done(a), None if a.phase is Phase.MERGE or a.depth > 1 else shards(2))
                for k, a in zip(run.keys, run.attempts, strict=True)
            ]
            signals.append(Ran(run.slot, items))
        effects = lone.tell(*signals)
    assert lone.engine.tasks.ended[Status.DONE] >= 8
    assert lone.engine.tasks.unended == 0


def test_an_owner_that_is_gone_takes_its_nested_shards_along() -> None:
    lone = Adopting()
    lone.tell(lone.answer(2))
    effects = lone.tell(OwnerDown(PEER, LINK))
    assert len(only(effects, Kill)) == 2
    assert lone.is_clean


@pytest.mark.parametrize(
    "end", [OwnerDown(PEER, LINK), Work(LINK, (), [Fence(5, 2)])], ids=["gone", "revoked"]
)
def test_an_end_in_the_same_turn_as_the_shards_counts(end: OwnerDown | Work) -> None:
    lone = Adopting()
    effects = lone.tell(lone.answer(2), end)
    assert not only(effects, Report)
    assert lone.is_clean


# ---------------------------------------------------------------- replay


def journal(lone: Lone) -> list[object]:
    return [e for e in lone.events if e.journaled]


def test_a_restart_goes_on_with_the_shards_that_are_missing() -> None:
    lone = Cutting(3)
    lone.report(done(lone.shards[0], text("0")))
    second = Lone((), history=[e for e in lone.events if e.journaled], incarnation=2)
    ready = attempts_of(second.peer())
    assert sorted(a.no for a in ready) == [lone.shards[1].no, lone.shards[2].no]
    (merge,) = attempts_of(second.report(*[done(a, text("x")) for a in ready]))
    assert merge.parts == (text("0"), text("x"), text("x"))


def test_a_restart_between_a_shards_end_and_its_tasks_end_ends_the_task() -> None:
    lone = Cutting(2)
    lone.report(failed(lone.shards[0], FATAL))
    events = [e for e in lone.events if e.journaled]
    cut = next(
        at
        for at, e in enumerate(events)
        if isinstance(e.fact, Finished) and e.fact.outcomes[0].status is Status.FAILED
    )
    second = Lone((), history=events[: cut + 1], incarnation=2)
    second.tell(Tick())
    assert second.task(1).status is Status.FAILED


def test_a_restart_between_the_shards_and_the_end_of_their_split() -> None:
    lone = Cutting(2)
    events = [e for e in lone.events if e.journaled]
    grown = [at for at, e in enumerate(events) if isinstance(e.fact, Grown)]
    second = Lone((), history=events[: grown[-1] + 1], incarnation=2)
    assert [a.phase for a in attempts_of(second.peer())] == [Phase.RUN, Phase.RUN]


def test_a_retried_shard_keeps_its_failures_over_a_restart() -> None:
    lone = Cutting(2)
    (retried,) = facts(lone.report(failed(lone.shards[0])), Retried)
    assert retried.charged
    second = Lone((), history=[e for e in lone.events if e.journaled], incarnation=2)
    assert second.task(lone.shards[0].no).failures == 1
    assert ME != PEER
