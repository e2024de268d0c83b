"""The worker: attempts in, runs and reports out."""

from __future__ import annotations

from support.lone import BROKEN, RUN, done, only

from nova_node.core.effects import Effect, Grant, Kill, Relay, Report, Run
from nova_node.core.model import Attempt, Call, Cut, Demand, Failure, Fence, Limits, Phase, Status
from nova_node.core.signals import Ran, RanItem, SlotDied, Spoke, Work
from nova_node.core.slots import CANCELLED
from nova_node.core.worker import LOCAL, NOT_SHARED, Worker, WorkerConfig

DIED = Failure("worker_died", "it died", retryable=True)
LINK = 7


class Bench:
    """A worker with its slots ready and one owner on LINK."""

    def __init__(self, slots: int = 1, ready: bool = True) -> None:
        self.out: list[Effect] = []
        self.worker = Worker(WorkerConfig(slots=slots, items_max=64), self.out)
        self.worker.link_up(LOCAL)
        self.worker.link_up(LINK)
        if ready:
            for slot in range(slots):
                self.worker.slot_ready(slot)
        self.out.clear()

    def take(self) -> list[Effect]:
        effects = self.out.copy()
        self.out.clear()
        return effects

    def work(self, *attempts: Attempt, link: int = LINK, now: float = 0.0) -> list[Effect]:
        self.worker.work(Work(link, attempts))
        self.worker.feed(now)
        return self.take()

    def learn_that_runs_are_short(self) -> None:
        """So that several are handed to a slot at once."""
        (run,) = only(self.work(attempt(99)), Run)
        self.ran(run.keys[0], attempt(99))

    def ran(self, *pairs: int | Attempt, now: float = 0.0, slot: int = 0) -> list[Effect]:
        """Keys and attempts in turn; all of them are done."""
        items: list[RanItem] = []
        for key, ended in zip(pairs[::2], pairs[1::2], strict=True):
            assert isinstance(key, int)
            assert isinstance(ended, Attempt)
            items.append(RanItem(key, done(ended)))
        self.worker.ran(Ran(slot, items), now)
        self.worker.feed(now)
        return self.take()

    def pipeline(self, count: int) -> tuple[list[int], list[Attempt]]:
        """That many attempts in the one slot; the first one runs."""
        self.learn_that_runs_are_short()
        attempts = [attempt(no) for no in range(1, count + 1)]
        (run,) = only(self.work(*attempts), Run)
        assert len(run.keys) == count
        return run.keys, attempts

    def credit(self) -> int:
        link = self.worker.links[LINK]
        return link.credit.max_items if link.credit else 0


def attempt(no: int, wall_s: float = 0.0, phase: Phase = Phase.RUN) -> Attempt:
    return Attempt(no, 1, Demand(RUN.name, limits=Limits(wall_s=wall_s)), phase, Call(b"{}"))


def fence(no: int) -> Fence:
    return Fence(no, 1)


def test_attempts_are_run_and_reported() -> None:
    bench = Bench()
    (run,) = only(bench.work(attempt(1)), Run)
    assert run.attempts == [attempt(1)]
    (report,) = only(bench.ran(run.keys[0], attempt(1)), Report)
    assert report == Report(LINK, [done(attempt(1))])
    assert bench.worker.is_idle


def test_one_report_a_link() -> None:
    bench = Bench()
    keys, attempts = bench.pipeline(3)
    (report,) = only(
        bench.ran(keys[0], attempts[0], keys[1], attempts[1], keys[2], attempts[2]), Report
    )
    assert len(report.outcomes) == 3


def test_work_is_spread_over_slots() -> None:
    bench = Bench(slots=3)
    runs = only(bench.work(*map(attempt, range(1, 7))), Run)
    assert {r.slot for r in runs} == {0, 1, 2}


def test_attempts_of_unknown_length_go_to_a_slot_one_by_one() -> None:
    (run,) = only(Bench().work(attempt(1), attempt(2)), Run)
    assert len(run.keys) == 1


def test_nothing_runs_before_a_process_is_ready() -> None:
    bench = Bench(ready=False)
    assert not only(bench.work(attempt(1)), Run)
    bench.worker.slot_ready(0)
    bench.worker.feed(0.0)
    assert only(bench.take(), Run)


def test_shards_are_cut_for_a_split_and_adopted_for_a_run() -> None:
    bench = Bench(slots=2)
    split = attempt(1, phase=Phase.SPLIT)
    runs = only(bench.work(split, attempt(2)), Run)
    shards = (Call(b"1"), Call(b"2"))
    for run in runs:
        item = RanItem(run.keys[0], done(run.attempts[0]), shards)
        bench.worker.ran(Ran(run.slot, (item,)), 0.0)
    (report,) = only(bench.take(), Report)
    assert report.cuts == [Cut(1, 1, shards, 10)]
    assert bench.worker.grown == [(LINK, attempt(2), shards)]


# ---------------------------------------------------------------- credit


def test_no_credit_without_a_ready_process() -> None:
    bench = Bench(ready=False)
    assert bench.credit() == 0
    bench.worker.slot_ready(0)
    assert bench.credit() > 0


def test_credit_is_granted_again_only_when_it_changes() -> None:
    bench = Bench()
    bench.worker.slot_ready(0)
    assert not only(bench.take(), Grant)


def test_owners_that_work_here_share_the_room() -> None:
    bench = Bench()
    alone = bench.credit()
    bench.work(attempt(1))
    assert bench.credit() == alone
    bench.work(attempt(2), link=LOCAL)
    assert bench.credit() == alone // 2


def test_owners_with_no_work_here_are_not_told_of_each_task_of_others() -> None:
    bench = Bench()
    bench.learn_that_runs_are_short()
    effects = bench.work(attempt(1), link=LOCAL)
    (run,) = only(effects, Run)
    effects += bench.ran(run.keys[0], attempt(1))
    assert only(effects, Report)
    assert not only(effects, Grant)


def test_adopted_attempts_take_no_room() -> None:
    bench = Bench()
    before = bench.credit()
    bench.work(attempt(1))
    bench.worker.adopted(LINK, 1)
    assert bench.credit() == before + 1
    bench.worker.adopted(LINK, -1)
    assert bench.credit() == before


def test_draining_grants_nothing_and_gives_back_what_has_not_started() -> None:
    bench = Bench()
    bench.work(attempt(1), attempt(2), attempt(3))
    bench.worker.drain()
    effects = bench.take()
    assert only(effects, Report) == [Report(LINK, returned=[fence(3), fence(2)])]
    assert bench.credit() == 0
    assert not bench.worker.is_idle
    bench.worker.resume()
    assert only(bench.take(), Grant)
    assert bench.credit() > 0


# ---------------------------------------------------------------- limits and deaths


def test_the_wall_limit_kills() -> None:
    bench = Bench()
    (run,) = only(bench.work(attempt(1, wall_s=2.0), now=10.0), Run)
    assert bench.worker.wake_at == 12.0
    bench.worker.tick(11.9)
    assert not bench.take()
    bench.worker.tick(12.0)
    (kill,) = only(bench.take(), Kill)
    assert kill.failure.code == "wall_limit"
    assert bench.worker.wake_at == float("inf")
    bench.worker.slot_died(SlotDied(0, run.keys[0], kill.failure))
    (report,) = only(bench.take(), Report)
    assert report.outcomes[0].failure == kill.failure


def test_the_wall_clock_of_what_stands_behind_starts_with_its_turn() -> None:
    bench = Bench()
    bench.learn_that_runs_are_short()
    limited = [attempt(1, 2.0), attempt(2, 2.0)]
    (run,) = only(bench.work(*limited, now=10.0), Run)
    bench.ran(run.keys[0], limited[0], now=11.5)
    assert bench.worker.wake_at == 13.5


def test_limits_of_the_capability_count_where_the_task_names_none() -> None:
    bench = Bench()
    bench.worker.walls_s = {RUN.name: 5.0}
    bench.work(attempt(1), now=1.0)
    assert bench.worker.wake_at == 6.0


def test_a_death_is_charged_to_what_ran_only() -> None:
    bench = Bench()
    keys, attempts = bench.pipeline(3)
    bench.worker.slot_died(SlotDied(0, keys[0], DIED))
    (report,) = only(bench.take(), Report)
    assert [(o.no, o.status, o.failure) for o in report.outcomes] == [(1, Status.FAILED, DIED)]
    assert [item.attempt for item in bench.worker.slots.queue] == attempts[1:]


def test_a_death_between_attempts_is_charged_to_nobody() -> None:
    bench = Bench()
    _, attempts = bench.pipeline(2)
    bench.worker.slot_died(SlotDied(0, None, DIED))
    assert not only(bench.take(), Report)
    assert [item.attempt for item in bench.worker.slots.queue] == attempts


def test_a_kill_that_comes_too_late_is_charged_to_nobody() -> None:
    bench = Bench()
    keys, attempts = bench.pipeline(2)
    bench.worker.work(Work(LINK, (), [fence(1)]))
    (kill,) = only(bench.take(), Kill)
    bench.worker.slot_died(SlotDied(0, keys[1], kill.failure))
    assert not only(bench.take(), Report)
    assert [item.attempt for item in bench.worker.slots.queue] == attempts[1:]


def test_a_slot_is_fed_again_when_its_new_process_is_ready() -> None:
    bench = Bench()
    keys, _ = bench.pipeline(2)
    bench.worker.slot_died(SlotDied(0, keys[0], DIED))
    bench.worker.feed(1.0)
    assert not only(bench.take(), Run)
    bench.worker.slot_ready(0)
    bench.worker.feed(1.0)
    (run,) = only(bench.take(), Run)
    assert run.attempts == [attempt(2)]


# ---------------------------------------------------------------- giving up work


def test_a_revoked_attempt_that_waits_is_dropped() -> None:
    bench = Bench()
    bench.work(attempt(1), attempt(2))
    bench.worker.work(Work(LINK, (), [fence(2)]))
    assert not only(bench.take(), Kill)
    assert not bench.worker.slots.queue


def test_a_revoked_attempt_that_runs_is_killed() -> None:
    bench = Bench()
    (run,) = only(bench.work(attempt(1)), Run)
    bench.worker.work(Work(LINK, (), [fence(1)]))
    assert only(bench.take(), Kill) == [Kill(0, CANCELLED)]
    bench.worker.slot_died(SlotDied(0, run.keys[0], CANCELLED))
    assert not only(bench.take(), Report)


def test_a_revoked_attempt_behind_another_is_killed_when_its_turn_comes() -> None:
    bench = Bench()
    keys, attempts = bench.pipeline(2)
    bench.worker.work(Work(LINK, (), [fence(2)]))
    assert not only(bench.take(), Kill)
    effects = bench.ran(keys[0], attempts[0])
    assert only(effects, Kill) == [Kill(0, CANCELLED)]
    assert len(only(effects, Report)) == 1


def test_a_revoke_of_another_owner_or_attempt_does_nothing() -> None:
    bench = Bench()
    bench.work(attempt(1))
    bench.worker.work(Work(LOCAL, (), [fence(1)]))
    bench.worker.work(Work(LINK, (), [Fence(1, 2)]))
    assert not only(bench.take(), Kill)


def test_what_a_revoked_attempt_says_is_not_relayed() -> None:
    bench = Bench()
    (run,) = only(bench.work(attempt(1)), Run)
    bench.worker.spoke(Spoke(0, run.keys[0], True, "one"))
    (relay,) = only(bench.take(), Relay)
    assert [(s.no, s.attempt, s.stderr, s.text) for s in relay.said] == [(1, 1, True, "one")]
    bench.worker.work(Work(LINK, (), [fence(1)]))
    bench.worker.spoke(Spoke(0, run.keys[0], True, "two"))
    assert not only(bench.take(), Relay)


def test_a_recall_gives_back_the_latest_of_that_owner() -> None:
    bench = Bench()
    bench.work(attempt(1), attempt(2), attempt(3))
    bench.work(attempt(1), link=LOCAL)
    bench.worker.work(Work(LINK, recall=1))
    assert only(bench.take(), Report) == [Report(LINK, returned=[fence(3)])]
    assert [(i.link, i.attempt.no) for i in bench.worker.slots.queue] == [(LINK, 2), (LOCAL, 1)]


def test_a_recall_never_takes_what_runs() -> None:
    bench = Bench()
    bench.work(attempt(1))
    bench.worker.work(Work(LINK, recall=10))
    assert not only(bench.take(), Report)


def test_a_broken_link_takes_its_work_along_and_nothing_else() -> None:
    bench = Bench(slots=2)
    bench.work(attempt(1), attempt(2))
    bench.work(attempt(3))
    bench.work(attempt(4), link=LOCAL)
    bench.worker.link_down(LINK)
    effects = bench.take()
    assert {kill.slot for kill in only(effects, Kill)} == {0, 1}
    assert not only(effects, Report)
    assert [item.link for item in bench.worker.slots.queue] == [LOCAL]


def test_work_on_a_link_that_is_gone_is_ignored() -> None:
    bench = Bench()
    bench.worker.link_down(LINK)
    assert not only(bench.work(attempt(1)), Run)


def test_failures_are_reported_like_results() -> None:
    bench = Bench()
    (run,) = only(bench.work(attempt(1)), Run)
    end = done(attempt(1))._replace(status=Status.FAILED, value=None, failure=BROKEN)
    bench.worker.ran(Ran(0, (RanItem(run.keys[0], end),)), 0.0)
    assert only(bench.take(), Report) == [Report(LINK, [end])]


def test_a_local_capability_runs_for_the_node_s_own_owner_only() -> None:
    bench = Bench()
    bench.worker.local = frozenset({RUN.name})
    (refused,) = only(bench.work(attempt(1)), Report)
    assert refused.link == LINK
    assert refused.outcomes[0].failure == NOT_SHARED
    assert bench.worker.is_idle
    assert bench.worker.links[LINK].outstanding == 0
    (run,) = only(bench.work(attempt(2), link=LOCAL), Run)
    assert run.attempts == [attempt(2)]
