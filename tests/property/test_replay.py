"""Replay: any beginning of a journal gives the state that was held then, and a node that goes on from it.

The journals come from simulated meshes under faults, so they hold splits, merges, retries, cancels,
requeued dead letters, restarts and lost parts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lone import text
from support.world import World
from support.world_checks import Checks
from support.world_money import purses
from support.world_node import SimNode
from support.world_work import CAPABILITIES, Works

from nova_node.core.effects import Append, Effect, Kill, Run
from nova_node.core.engine import Engine, EngineConfig
from nova_node.core.events import Accepted, Event, Finished, Grown, Requeued
from nova_node.core.fanout import FAN_IN, Fanout
from nova_node.core.lifecycle import ENDED, NEXT
from nova_node.core.model import (
    Attempt,
    Call,
    Card,
    Demand,
    Failure,
    Group,
    Outcome,
    Phase,
    Status,
    Value,
)
from nova_node.core.signals import Cancel, Ran, RanItem, Signal, SlotDied, SlotReady, Tick
from nova_node.core.tasks import Task, Tasks

DIED = Failure("worker_died", "as planned", retryable=True)
TURNS_A_SNAPSHOT = 25

Canonical = dict[int, tuple[object, ...]]


def canonical(tasks: Tasks) -> Canonical:
    """What a restart must keep. That an attempt is under way, or rests, is of the moment."""
    return {
        task.no: (
            task.status if task.status in ENDED or task.children is not None else "open",
            task.failures,
            task.outcome if task.status in ENDED else None,
            task.phase,
            task.parent.no if task.parent else 0,
            task.parts,
            task.depth,
            task.call,
            task.demand,
            tuple(child.no for child in task.children or ()),
        )
        for task in tasks.by_no.values()
        if task.batch.journaled
    }


class Snapshots:
    """Compares a replay with the living state, every now and then."""

    def __init__(self, checks: Checks) -> None:
        self.announced, self.saw = checks.announced, checks.saw
        self._checks = checks
        self.journals: dict[tuple[int, int], list[Event]] = {}
        self.compared = 0

    def performed(self, node: SimNode, effects: Sequence[Effect]) -> None:
        self._checks.performed(node, effects)
        journal = self.journals.setdefault((node.number, node.life), list(node.restored))
        journal += [e.event for e in effects if isinstance(e, Append) and e.event.journaled]
        if node.turns_taken % TURNS_A_SNAPSHOT:
            return
        living = node.engine.tasks
        replayed = Tasks()
        replayed.replay([e for e in journal if e.batch in living.batches])
        assert canonical(replayed) == canonical(living)
        assert purses(replayed) == purses(living)
        assert replayed.unended == sum(b.unended for b in living.batches.values() if b.journaled)
        self.compared += 1


def watched(seed: int, money: bool = False) -> Snapshots:
    world = World(seed, deeds=True, money=money)
    snapshots = Snapshots(world.checks)
    for node in world.nodes:
        node.watcher = snapshots
    world.play()
    return snapshots


@pytest.mark.parametrize("seed", range(1_000, 1_025))
def test_a_replay_gives_the_state_that_was_held(seed: int) -> None:
    assert watched(seed).compared > 5


@pytest.mark.parametrize("seed", range(1_000, 1_010))
def test_a_replay_gives_the_money_that_was_held(seed: int) -> None:
    assert watched(seed, money=True).compared > 2


# ---------------------------------------------------------------- going on from any beginning


class Alone:
    """A node without peers, whose slots answer at once."""

    def __init__(self, history: Sequence[Event]) -> None:
        self.now = history[-1].time if history else 0.0
        rng = random.Random(1)
        self.engine = Engine("a" * 16, 99, EngineConfig(), rng, history, self.now)
        labels = (("zone", "z0"), ("zone", "z1"))
        self.engine.describe(Card("a" * 16, 1, CAPABILITIES, labels, 1))
        self._works = Works(rng)
        self._script = self._works.script(self._works.blob)

    def finish(self) -> None:
        """Run until everything has ended; what hangs is cancelled."""
        effects = self.engine.handle([SlotReady(0)], self.now)
        for _ in range(5_000):
            signals = [s for effect in effects for s in self._perform(effect)]
            if not signals:
                if not self.engine.tasks.unended:
                    return
                assert self.engine.wake_at < float("inf"), "it waits for nothing"
                self.now = max(self.now, self.engine.wake_at)
                signals = [Tick()]
            effects = self.engine.handle(signals, self.now)
        raise AssertionError("it does not come to an end")

    def _perform(self, effect: Effect) -> list[Signal]:
        match effect:
            case Run():
                return self._run(effect)
            case Kill(slot, failure):
                return [SlotDied(slot, None, failure), SlotReady(slot)]
            case _:
                return []

    def _run(self, run: Run) -> list[Signal]:
        items: list[RanItem] = []
        for key, attempt in zip(run.keys, run.attempts, strict=True):
            end = self._end(attempt)
            if end is None:
                root = self.engine.tasks.by_no[attempt.no].root
                died = [SlotDied(run.slot, key, DIED), SlotReady(run.slot)]
                return [Ran(run.slot, items), Cancel("", root.no), *died]
            items.append(RanItem(key, *end))
        return [Ran(run.slot, items)]

    def _end(self, attempt: Attempt) -> tuple[Outcome, tuple[Call, ...] | None] | None:
        if any(p.blob and p.blob.id not in self._works.contents for p in attempt.parts):
            failure: object = Failure("blob_unavailable", "it went away", retryable=True)
        else:
            answer = self._script[attempt.demand.capability](attempt)
            failure = answer.end
            if failure is None and not answer.dies:
                return None
            if answer.dies:
                failure = DIED
        outcome = Outcome(attempt.no, attempt.attempt, Status.DONE)
        match failure:
            case Failure():
                return outcome._replace(status=Status.FAILED, failure=failure), None
            case Value():
                return outcome._replace(value=failure), None
            case _:
                assert isinstance(failure, tuple)
                return outcome, failure


def longest_journal(seed: int) -> list[Event]:
    return max(watched(seed).journals.values(), key=len)


JOURNALS = [1_101, 1_102, 1_103]


@pytest.mark.parametrize("seed", JOURNALS)
def test_a_node_goes_on_from_any_beginning_of_its_journal(seed: int) -> None:
    journal = longest_journal(seed)
    assert any(isinstance(e.fact, Grown) for e in journal)
    assert any(isinstance(e.fact, Requeued) for e in journal)
    cuts = random.Random(seed).sample(range(len(journal) + 1), min(80, len(journal)))
    for cut in cuts:
        Alone(journal[:cut]).finish()


def test_a_journal_that_is_being_forgotten_is_read_without_its_headless_batches() -> None:
    journal = longest_journal(JOURNALS[0])
    first = next(e.batch for e in journal if isinstance(e.fact, Accepted))
    headless = [e for e in journal if e.batch != first or not isinstance(e.fact, Accepted)]
    tasks = Tasks()
    assert tasks.replay(headless) == {first}
    assert first not in tasks.batches
    Alone(headless).finish()


# ---------------------------------------------------------------- lifecycle and merges


def test_every_status_can_reach_an_end_and_two_ways_lead_back() -> None:
    for status in NEXT:
        reached, edge = {status}, [status]
        while edge:
            new = NEXT[edge.pop()] - reached
            reached |= new
            edge += new
        assert reached & ENDED
    assert NEXT[Status.FAILED] == {Status.WAITING}
    assert not NEXT[Status.CANCELLED]
    assert NEXT[Status.DONE] == {Status.WAITING}


class Tree:
    """A parent with shards, and the merges that its fanout asks for. Values are lists of indexes."""

    def __init__(self, shards: int) -> None:
        self.tasks = Tasks()
        self._seq = 0
        group = Group(Demand("a.cut"), (Call(),))
        self._apply(Accepted("", (group,)))
        self.parent = self.tasks.by_no[1]
        self._apply(Grown(1, 2, Phase.RUN, (Call(),) * shards))
        self.fanout = Fanout(self.parent)
        self.values = {no: [no - 2] for no in range(2, 2 + shards)}
        self.open = list(self.values)

    def _apply(self, fact: Accepted | Grown | Finished) -> None:
        self._seq += 1
        self.tasks.apply(Event(self._seq, 1, 0.0, fact))

    def finish(self, no: int) -> None:
        task: Task = self.tasks.by_no[no]
        self._apply(Finished((Outcome(no, 1, Status.DONE, text("0")),)))
        if self.fanout.whole() is not None:
            return
        parts = self.fanout.due(task)
        if parts is not None:
            first = self.tasks.next_no
            self._apply(Grown(1, first, Phase.MERGE, (Call(),), (), parts))
            self.fanout.grew(self.tasks.by_no[first])
            self.values[first] = [index for part in parts for index in self.values[part]]
            self.open.append(first)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.randoms(use_true_random=False))
def test_any_order_of_ends_joins_every_shard_once_in_order(shards: int, rng: random.Random) -> None:
    tree = Tree(shards)
    while tree.open:
        assert tree.fanout.whole() is None
        tree.finish(tree.open.pop(rng.randrange(len(tree.open))))
    whole = tree.fanout.whole()
    assert whole is not None
    assert tree.values[whole.no] == list(range(shards))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.randoms(use_true_random=False), st.integers(0, 400))
def test_a_fanout_is_rebuilt_as_it_was(shards: int, rng: random.Random, ended: int) -> None:
    tree = Tree(shards)
    for _ in range(ended):
        if tree.open:
            tree.finish(tree.open.pop(rng.randrange(len(tree.open))))
    tree.fanout = Fanout(tree.parent)
    while tree.open:
        tree.finish(tree.open.pop(rng.randrange(len(tree.open))))
    whole = tree.fanout.whole()
    assert whole is not None
    assert tree.values[whole.no] == list(range(shards))


@pytest.mark.parametrize("shards", [1, 2, FAN_IN, FAN_IN + 1, FAN_IN**2, FAN_IN**2 + 1])
def test_only_the_last_merge_is_final(shards: int) -> None:
    tree = Tree(shards)
    finals = 0
    while tree.open:
        task = tree.tasks.by_no[tree.open[0]]
        finals += bool(task.parts and tree.fanout.is_final(task.parts))
        tree.finish(tree.open.pop(0))
    assert finals == (shards > 1)
