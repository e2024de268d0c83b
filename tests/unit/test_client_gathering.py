"""Single submits that come while others are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from nova_client import encode, errors
from nova_client.gathering import ARGS_BYTES_MAX, ON_THE_WAY_MAX, Gathering, kind_of
from nova_client.model import SubmitOptions
from nova_client.task import Batch, Task


class Owner:
    """Has what was submitted when told so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Batch, asyncio.Future[None], bool]] = []
        self.gathering = Gathering(lambda r: Batch(cast(Any, None), r.message, r.calls), self.take)
        self._numbers = 0

    async def take(self, batch: Batch, patient: bool) -> None:
        answer = asyncio.get_running_loop().create_future()
        self.asked.append((batch, answer, patient))
        await answer
        batch.owner, batch.first = "ownernode", self._numbers
        self._numbers += len(batch.tasks)

    def start(self, args: bytes, name: str = "a.run", **options: Any) -> asyncio.Task[Task]:
        given = cast(SubmitOptions, options)
        submit = self.gathering.submit(kind_of(name, given), name, args, given)
        return asyncio.create_task(submit)

    def requests(self) -> list[tuple[str, list[bytes]]]:
        """By capability and arguments, in order."""
        found: list[tuple[str, list[bytes]]] = []
        for batch, _, _ in self.asked:
            assert batch.request is not None
            (group,) = batch.request.submit.groups
            found.append((group.demand.capability, [call.args for call in group.calls]))
        return found

    def answer(self, at: int, error: Exception | None = None) -> None:
        answer = self.asked[at][1]
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def played(scene: Callable[[Owner], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await scene(Owner())

    asyncio.run(main())


def test_what_finds_others_on_their_way_goes_together_when_one_has_passed() -> None:
    async def scene(owner: Owner) -> None:
        started = [owner.start(b"%d" % n) for n in range(6)]
        await settle()
        assert owner.requests() == [("a.run", [b"0"]), ("a.run", [b"1"])]
        owner.answer(1)
        await settle()
        assert owner.requests()[2:] == [("a.run", [b"2", b"3", b"4", b"5"])]
        late = owner.start(b"6")
        await settle()
        assert len(owner.asked) == 3  # two are on their way again
        owner.answer(0)
        owner.answer(2)
        await settle()
        owner.answer(3)
        tasks = [await each for each in (*started, late)]
        assert [task.no for task in tasks] == [1, 0, 2, 3, 4, 5, 6]

    assert ON_THE_WAY_MAX == 2
    played(scene)


def test_one_after_another_each_goes_at_once() -> None:
    async def scene(owner: Owner) -> None:
        for n in range(3):
            task = owner.start(b"%d" % n)
            await settle()
            owner.answer(n)
            assert (await task).no == n
        assert owner.requests() == [("a.run", [b"%d" % n]) for n in range(3)]
        assert all(patient for _, _, patient in owner.asked)

    played(scene)


def test_a_large_one_waits_for_nobody_and_one_too_large_is_refused() -> None:
    async def scene(owner: Owner) -> None:
        large = b"x" * (ARGS_BYTES_MAX + 1)
        started = [owner.start(args) for args in (b"0", b"1", b"2", large, b"3")]
        with pytest.raises(errors.Invalid, match="15,728,640 is the most"):
            await owner.start(b"x" * (encode.CALL_BYTES_MAX + 1))
        assert owner.requests()[2:] == [("a.run", [large])]
        for at in range(3):
            owner.answer(at)
        await settle()
        assert owner.requests()[3:] == [("a.run", [b"2", b"3"])]
        owner.answer(3)
        assert [(await each).no for each in started] == [0, 1, 3, 2, 4]

    played(scene)


def test_only_equal_ones_go_together() -> None:
    async def scene(owner: Owner) -> None:
        for n in range(3):
            owner.start(b"%d" % n)
            owner.start(b"%d" % n, priority=9)
            owner.start(b"%d" % n, "b.run")
        await settle()
        assert len(owner.asked) == 6
        for at in range(6):
            owner.answer(at)
        await settle()
        assert [args for _, args in owner.requests()[6:]] == [[b"2"], [b"2"], [b"2"]]

    played(scene)
    assert kind_of("a.run", {"priority": 1}) == kind_of("a.run", {"priority": 1})
    whole: list[SubmitOptions] = [{"budget_uusd": 5}, {"shards": 2}, {"again_of": "t-1"}]
    for alone in (*whole, SubmitOptions(labels={"disk": "ssd"})):
        assert kind_of("a.run", alone) is None


def test_a_refusal_reaches_everyone_and_the_next_go_on() -> None:
    async def scene(owner: Owner) -> None:
        started = [owner.start(b"%d" % n) for n in range(5)]
        await settle()
        owner.answer(0)
        await settle()
        owner.answer(2, errors.Refused("no", "ask another"))
        owner.answer(1)
        for refused in started[2:]:
            with pytest.raises(errors.Refused):
                await refused
        again = owner.start(b"5")
        await settle()
        owner.answer(3)
        assert (await again).accepted

    played(scene)


def test_when_there_is_no_room_for_all_each_asks_for_itself() -> None:
    async def scene(owner: Owner) -> None:
        started = [owner.start(b"%d" % n) for n in range(5)]
        await settle()
        owner.answer(0)
        owner.answer(1)
        await settle()
        assert not owner.asked[2][2]
        owner.answer(2, errors.Overloaded("full", "wait"))
        await settle()
        assert owner.requests()[3:] == [("a.run", [b"%d" % n]) for n in (2, 3, 4)]
        assert all(patient for _, _, patient in owner.asked[3:])
        for at in (3, 4, 5):
            owner.answer(at)
        assert all([(await each).accepted for each in started])

    played(scene)


def test_a_cancelled_submit_is_not_sent_and_holds_nobody_up() -> None:
    async def scene(owner: Owner) -> None:
        started = [owner.start(b"%d" % n) for n in range(4)]
        await settle()
        started[2].cancel()
        started[0].cancel()
        await settle()
        assert owner.requests()[2:] == [("a.run", [b"3"])]
        owner.answer(1)
        owner.answer(2)
        assert (await started[3]).accepted

    played(scene)


def test_a_request_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "REQUEST_BYTES_MAX", 10)

    async def scene(owner: Owner) -> None:
        for _ in range(6):
            owner.start(b"12345678")
        await settle()
        owner.answer(0)
        owner.answer(1)
        await settle()
        assert [len(args) for _, args in owner.requests()] == [1, 1, 2, 2]

    played(scene)
