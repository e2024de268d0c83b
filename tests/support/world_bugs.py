"""Bugs to plant in the core, each a small patch: the simulator must find every one of them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from support.world_disk import Turn
from support.world_node import SimNode

from nova_node.core import engine as engine_module
from nova_node.core import roster
from nova_node.core.effects import Revoke
from nova_node.core.events import Event, Retried
from nova_node.core.fairness import Flow
from nova_node.core.judging import Judging
from nova_node.core.model import NULL, Attempt, Fence, MemberState, Outcome, Phase, Status
from nova_node.core.owner import Owner
from nova_node.core.placement import Worker as Peer
from nova_node.core.shards import Shards
from nova_node.core.signals import Resulted, SlotDied
from nova_node.core.slots import Item, Slots
from nova_node.core.tasks import Task, Tasks
from nova_node.core.worker import Worker

Patch = pytest.MonkeyPatch


def _nothing(*_: object) -> None:
    pass


BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    BUGS[plant.__name__] = plant
    return plant


@bug
def skip_the_fence(patch: Patch) -> None:
    def settle(self: Judging, worker: Peer, no: int, attempt: int) -> Task | None:
        task = self._books.tasks.by_no.get(no)
        if task is not None:
            self._books.dispatch.settle(worker, task)
        return task

    patch.setattr(Judging, "_settle", settle)


@bug
def acknowledge_before_the_sync(patch: Patch) -> None:
    commit = SimNode.commit

    def hasty(self: SimNode, turn: Turn) -> None:
        answers, turn.answers = turn.answers, []
        for token, answer in answers:
            token(answer)
        commit(self, turn)

    patch.setattr(SimNode, "commit", hasty)


@bug
def announce_before_the_sync(patch: Patch) -> None:
    def hasty(self: SimNode, turn: Turn) -> None:
        early, late = Turn(), Turn()
        early.events, late.answers = turn.events, turn.answers
        self.release_turn(early)
        journaled = [event for event in turn.events if event.journaled]
        if journaled:
            self.disk.append(journaled, self.mine(lambda: self.release_turn(late)))
        else:
            self.release_turn(late)

    patch.setattr(SimNode, "commit", hasty)


@bug
def forget_a_tombstone(patch: Patch) -> None:
    judge: Callable[..., roster.Verdict] = roster.judge

    def forgetful(known: Any, heard: Any, *rest: Any) -> roster.Verdict:
        buried = known.state is MemberState.DEAD and heard.state is MemberState.ALIVE
        if buried and heard.incarnation == known.incarnation:
            return roster.Verdict.ADOPT
        return judge(known, heard, *rest)

    patch.setattr(roster, "judge", forgetful)


@bug
def requeue_twice(patch: Patch) -> None:
    requeue: Callable[..., None] = Judging._requeue

    def twice(self: Judging, task: Task, outcome: Outcome, now: float) -> None:
        requeue(self, task, outcome, now)
        self._books.dispatch.ready.push(task, first=True)

    def take(self: Flow, count: int) -> list[Task]:
        return [self.tasks.popleft() for _ in range(min(count, len(self.tasks)))]

    patch.setattr(Judging, "_requeue", twice)
    patch.setattr(Flow, "take", take)


@bug
def forget_the_lost(patch: Patch) -> None:
    patch.setattr(Judging, "lost", _nothing)


@bug
def drop_returned_attempts(patch: Patch) -> None:
    resulted: Callable[..., None] = Judging.resulted

    def forgetful(self: Judging, signal: Resulted, now: float) -> None:
        resulted(self, replace(signal, returned=()), now)

    patch.setattr(Judging, "resulted", forgetful)


@bug
def merge_out_of_order(patch: Patch) -> None:
    attempt: Callable[..., Attempt] = Shards.attempt

    def shuffled(self: Shards, task: Task, number: int) -> Attempt:
        made = attempt(self, task, number)
        return made._replace(parts=made.parts[::-1])

    patch.setattr(Shards, "attempt", shuffled)


@bug
def lose_cuts_of_retries(patch: Patch) -> None:
    report: Callable[..., None] = Worker.report

    def lossy(
        self: Worker, link: int, outcomes: Any = (), returned: Any = (), cuts: Any = ()
    ) -> None:
        report(self, link, outcomes, returned, [cut for cut in cuts if cut.attempt == 1])

    patch.setattr(Worker, "report", lossy)


@bug
def count_a_lost_attempt_as_result(patch: Patch) -> None:
    requeue: Callable[..., None] = Judging._requeue

    def finish(self: Judging, task: Task, outcome: Outcome, now: float) -> None:
        if outcome.status is Status.FAILED:
            done = outcome._replace(status=Status.DONE, failure=None, value=NULL)
            self._books.finish(task.batch, [done], now)
        else:
            requeue(self, task, outcome, now)

    patch.setattr(Judging, "_requeue", finish)


@bug
def forget_request_ids(patch: Patch) -> None:
    accepted: Callable[..., None] = Tasks._accepted

    def forgetful(self: Tasks, event: Event, fact: Any) -> None:
        accepted(self, event, fact)
        self.by_request.pop(fact.request_id, None)

    patch.setattr(Tasks, "_accepted", forgetful)


@bug
def ignore_the_incarnation_in_events(patch: Patch) -> None:
    begin: Callable[..., None] = Owner.__init__

    def same(self: Owner, me: str, incarnation: int, *rest: Any) -> None:
        begin(self, me, 1, *rest)

    patch.setattr(Owner, "__init__", same)


@bug
def give_numbers_out_again(patch: Patch) -> None:
    patch.setattr(engine_module, "NUMBERS_A_LIFE", 0)


@bug
def keep_owed_on_cancel(patch: Patch) -> None:
    def stop(self: Owner, task: Task) -> Outcome:
        if task.status is Status.RUNNING and task.node:
            self.out.append(Revoke(task.node, [Fence(task.no, task.attempt)]))
        return Outcome(task.no, task.attempt, Status.CANCELLED, node=task.node)

    patch.setattr(Owner, "_stop", stop)


@bug
def charge_the_innocent(patch: Patch) -> None:
    died: Callable[..., None] = Worker.slot_died

    def blunt(self: Worker, signal: SlotDied) -> None:
        slot = self._kind(signal.slot).all[signal.slot]
        for item in list(slot.items.values())[1:]:
            if not item.cancelled:
                item.cancelled = True
                no, attempt = item.attempt.no, item.attempt.attempt
                end = Outcome(no, attempt, Status.FAILED, None, signal.failure)
                self.report(item.link, [end])
        died(self, signal)

    patch.setattr(Worker, "slot_died", blunt)


@bug
def charge_whoever_the_kill_hits(patch: Patch) -> None:
    kill: Callable[..., None] = Slots.kill

    def careless(self: Slots, number: int, failure: Any) -> None:
        kill(self, number, failure)
        self.all[number].doomed = 0

    patch.setattr(Slots, "kill", careless)


@bug
def cancel_without_a_kill(patch: Patch) -> None:
    def mark(self: Slots, number: int, hit: Iterable[Item]) -> int:
        count = 0
        for item in hit:
            count += not item.cancelled
            item.cancelled = True
        return count

    patch.setattr(Slots, "_cancel_in", mark)


@bug
def forget_retries_at_replay(patch: Patch) -> None:
    replay: Callable[..., set[int]] = Tasks.replay

    def forgetful(self: Tasks, history: Iterable[Event]) -> set[int]:
        return replay(self, [e for e in history if not isinstance(e.fact, Retried)])

    patch.setattr(Tasks, "replay", forgetful)


@bug
def let_parents_hold_the_room_of_their_shards(patch: Patch) -> None:
    adopted: Callable[..., None] = Worker.adopted

    def greedy(self: Worker, link: int, count: int) -> None:
        adopted(self, link, count)
        self.links[link].adopted = 0
        self._grant()

    patch.setattr(Worker, "adopted", greedy)


@bug
def judge_failures_first(patch: Patch) -> None:
    """One that takes its batch along leaves results of the same batch without a task."""

    def resulted(self: Judging, signal: Resulted, now: float) -> None:
        worker = self._books.dispatch.workers[signal.node]
        done: dict[Any, list[Outcome]] = {}
        for outcome in signal.outcomes:
            task = self._settle(worker, outcome.no, outcome.attempt)
            if task is not None and outcome.status is Status.DONE:
                self._done(task, outcome, signal.node, done)
            elif task is not None:
                self.failed(task, outcome, now)
        for batch, outcomes in done.items():
            self._books.finish(batch, outcomes, now)
        judge(self, replace(signal, outcomes=()), now)

    judge: Callable[..., None] = Judging.resulted
    patch.setattr(Judging, "resulted", resulted)


@bug
def ignore_credit(patch: Patch) -> None:
    def room(self: Peer, cost_us: float) -> int:
        return 100

    patch.setattr(Peer, "room", room)


@bug
def work_on_for_an_owner_that_is_gone(patch: Patch) -> None:
    abandon: Callable[..., None] = Shards.abandon

    def lazy(self: Shards, link: int, fence: Fence | None, now: float) -> None:
        if fence is not None:
            abandon(self, link, fence, now)

    patch.setattr(Shards, "abandon", lazy)


@bug
def leave_parents_alone_at_replay(patch: Patch) -> None:
    patch.setattr(Shards, "take_up", _nothing)


@bug
def merge_before_all_parts_are_done(patch: Patch) -> None:
    from nova_node.core.fanout import Fanout

    due: Callable[..., Any] = Fanout.due

    def hasty(self: Fanout, done: Task) -> tuple[int, ...] | None:
        found = due(self, done)
        level, _ = self._place[done.no]
        if found is not None and len(found) > 2 and done.phase is Phase.RUN and not level:
            return found[:-1]
        return found

    patch.setattr(Fanout, "due", hasty)
