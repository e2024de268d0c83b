"""What waits for the disk, and what is held back a moment so that it goes with what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nova_node.adapters.memory import MemoryJournal
from nova_node.core.effects import Release
from nova_node.core.errors import Overloaded
from nova_node.core.events import Accepted, Assigned, Event, Fact, Finished
from nova_node.core.model import Call, Demand, Fence, Group, Outcome, Status
from nova_node.turns import Turn, Turns

WAIT_S = 10.0
BRIEF = Group(Demand("test.brief"), (Call(b"{}"),))
LONG = Group(Demand("test.long"), (Call(b"{}"),))


class Scene:
    def __init__(self, auto_sync: bool) -> None:
        self.journal = MemoryJournal(auto_sync)
        self.journal.open()
        self.out: list[Turn] = []
        self.left = asyncio.Event()
        self.turns = Turns(self.journal, self._let_out, lambda group: group is BRIEF)
        self._seq = 0

    def _let_out(self, turn: Turn) -> None:
        self.out.append(turn)
        self.left.set()

    def turn(self, *facts: Fact, journaled: bool = True, answers: int = 0) -> Turn:
        turn = Turn()
        for fact in facts:
            self._seq += 1
            durable = journaled and not isinstance(fact, Assigned)
            turn.events.append(Event(self._seq, 1, 0.0, fact, durable))
        turn.answers = [(lambda answer: None, number) for number in range(answers)]
        self.turns.add(turn)
        return turn

    def accept(self, *groups: Group, journaled: bool = True, answers: int = 1) -> Turn:
        accepted = Accepted("a request", groups)
        return self.turn(accepted, assigned(1), journaled=journaled, answers=answers)

    @property
    def written(self) -> list[int]:
        self.journal.sync()
        return [event.seq for event in self.journal.read()]


def assigned(*numbers: int) -> Assigned:
    return Assigned("a", tuple(Fence(no, 1) for no in numbers))


def finished(no: int = 1) -> Finished:
    return Finished((Outcome(no, 1, Status.DONE),))


def play(act: Callable[[Scene], Awaitable[None]], auto_sync: bool = False) -> None:
    async def main() -> None:
        await act(Scene(auto_sync))

    asyncio.run(main())


async def soon() -> None:
    await asyncio.sleep(0)


def test_a_turn_leaves_when_its_events_are_on_disk() -> None:
    async def act(scene: Scene) -> None:
        first = scene.accept(LONG)
        second = scene.turn(assigned(2))  # live only, and yet not before the first
        await soon()
        assert scene.out == []
        assert scene.written == [1]
        await soon()
        assert scene.out == [first, second]

    play(act)


def test_what_needs_no_disk_leaves_at_once_when_nothing_waits() -> None:
    async def act(scene: Scene) -> None:
        turn = scene.accept(LONG, journaled=False)
        assert scene.out == [turn]

    play(act)


def test_a_brief_volatile_task_leaves_with_its_end() -> None:
    async def act(scene: Scene) -> None:
        turn = scene.accept(BRIEF, journaled=False)
        assert scene.out == []
        scene.turn(finished(), journaled=False)
        assert scene.out == [turn]
        assert [event.seq for event in turn.events] == [1, 2, 3]
        assert scene.written == []

    play(act)


def test_a_brief_task_and_its_end_are_one_write_and_leave_together() -> None:
    async def act(scene: Scene) -> None:
        turn = scene.accept(BRIEF)
        assert scene.written == []
        scene.turn(finished())
        assert scene.written == [1, 3]
        await soon()
        (left,) = scene.out
        assert left is turn
        assert [event.seq for event in left.events] == [1, 2, 3]
        assert len(left.answers) == 1

    play(act)


def test_a_brief_task_that_takes_longer_is_accepted_without_its_end() -> None:
    async def act(scene: Scene) -> None:
        turn = scene.accept(BRIEF)
        await asyncio.wait_for(scene.left.wait(), WAIT_S)
        assert scene.out == [turn]
        assert scene.written == [1]

    play(act, auto_sync=True)


def test_another_turn_is_no_reason_to_be_held_longer() -> None:
    async def act(scene: Scene) -> None:
        scene.accept(BRIEF)
        scene.accept(BRIEF)
        assert scene.written == [1, 3]

    play(act)


def test_only_what_is_all_assigned_and_brief_is_held() -> None:
    async def act(scene: Scene) -> None:
        scene.accept(LONG)
        scene.accept(BRIEF, BRIEF)
        scene.accept(BRIEF, answers=2)
        assert scene.written == [1, 3, 5]

    play(act)


def test_a_brief_task_that_waits_for_room_is_not_held() -> None:
    async def act(scene: Scene) -> None:
        scene.turn(Accepted("a request", (BRIEF,)), answers=1)
        assert scene.written == [1]

    play(act)


def test_releases_are_not_held() -> None:
    async def act(scene: Scene) -> None:
        turn = Turn()
        turn.releases.append(Release("a", ["b" * 64]))
        scene.turns.add(turn)
        assert scene.out == [turn]

    play(act)


def test_what_is_held_when_the_node_stops_is_written() -> None:
    async def act(scene: Scene) -> None:
        scene.accept(BRIEF)
        scene.turns.stop()
        assert scene.written == [1]

    play(act)


def test_what_could_not_be_written_is_tried_again_and_nothing_leaves_before_it() -> None:
    async def act(scene: Scene) -> None:
        scene.journal.fail = Overloaded("the disk is full", "free some")
        first = scene.accept(LONG)
        assert scene.written == []
        await soon()
        assert "the disk is full" in scene.turns.error
        scene.journal.fail = None
        second = scene.turn(assigned(2))
        await asyncio.wait_for(scene.left.wait(), WAIT_S)
        assert scene.out == [first, second]
        assert scene.written == [1]
        assert scene.turns.error == ""

    play(act, auto_sync=True)
