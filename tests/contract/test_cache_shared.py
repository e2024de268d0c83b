"""The same question of the same person, asked again while it is being asked: one request to the provider."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import Fail, FakeProvider, Say
from support.models import FakeAttempt, call, models

from nova_node.capabilities.llm import chat
from nova_node.capability import Usage, attempt_of
from nova_node.models import memory
from nova_node.models.failing import ModelFailed
from nova_node.models.flights import WAITS_MAX, Flights, Found

# litellm's own use of pydantic
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the:DeprecationWarning")

HI = {"prompt": "What is the capital of Fooland?"}
TURNS = 200
"""Of the loop: more than it takes from the call of llm.chat to where it waits, or asks."""


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass
class Asking:
    attempt: FakeAttempt
    task: asyncio.Task[Any]


class Scene:
    def __init__(self, provider: FakeProvider) -> None:
        self.provider, self.gate = provider, threading.Event()
        self._tasks = 0

    def say(self, text: str, **more: Any) -> Say:
        """Once the gate is open."""
        return Say(text, (7, 3), before=self.gate, **more)

    async def ask(self, person: str = "submitter/ada", **how: Any) -> Asking:
        """Begins to ask, and is at the provider, or waits, when this returns."""
        self._tasks += 1
        about = {name: how.pop(name) for name in ("sensitive",) if name in how}
        attempt = replace(FakeAttempt(submitter=person, task_id=f"k7q2m9xd-{self._tasks}"), **about)

        args: dict[str, Any] = {"model": "fake", **HI, **how}

        async def run() -> Any:
            with attempt_of(attempt):
                return await chat(**args)

        task = asyncio.create_task(run())
        await turns()
        return Asking(attempt, task)

    async def arrived(self, count: int) -> None:
        await asyncio.to_thread(self.provider.wait_for, count)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeProvider() as provider:
        uses = [f"{name},url={provider.url},price_in=1,price_out=2" for name in ("fake", "other")]
        with models(uses, 10.0, data_dir=str(tmp_path)):
            yield Scene(provider)
        memory.forget_all()


def play(work: Any) -> None:
    call(asyncio.wait_for(work, 30.0))


def test_who_asks_the_same_meanwhile_gets_that_answer_and_is_told_so(scene: Scene) -> None:
    async def main() -> None:
        scene.provider.script(scene.say("Foo City"))
        first = await scene.ask()
        await scene.arrived(1)
        others = [await scene.ask() for _ in range(3)]
        scene.gate.set()
        assert (await first.task)["cache"] == "miss"
        for each in others:
            result = await each.task
            assert (result["text"], result["cache"], result["cost_usd"]) == (
                "Foo City",
                "shared",
                0,
            )
            assert result["usage"]["output_tokens"] == 0
            assert each.attempt.used == Usage("fake", 0, 0, 0, "shared")
            assert each.attempt.said == ["Foo City"]
        assert (await (await scene.ask()).task)["cache"] == "exact"
        assert len(scene.provider.asked) == 1

    play(main())


ALONE: dict[str, dict[str, Any]] = {
    "another person": {"person": "submitter/bob"},
    "another model": {"model": "other"},
    "more models": {"models": ["other"]},
    "other words": {"prompt": "What is the capital of Barland?"},
    "fresh": {"fresh": True},
    "chance": {"temperature": 0.8},
    "a sensitive task": {"sensitive": True},
}


@pytest.mark.parametrize("what", ALONE)
def test_who_may_not_have_that_answer_asks(scene: Scene, what: str) -> None:
    async def main() -> None:
        scene.provider.script(scene.say("one"))
        first = await scene.ask()
        await scene.arrived(1)
        other = await scene.ask(**ALONE[what])
        await scene.arrived(2)
        assert (await other.task)["cache"] in ("", "miss")
        scene.gate.set()
        await first.task

    play(main())


def test_chance_waits_for_no_other_chance(scene: Scene) -> None:
    async def main() -> None:
        scene.provider.script(scene.say("one"), Say("two"))
        first = await scene.ask(temperature=0.8)
        await scene.arrived(1)
        assert (await (await scene.ask(temperature=0.8)).task)["text"] == "two"
        scene.gate.set()
        await first.task

    play(main())


def test_when_the_first_fails_the_next_asks_and_the_others_wait_for_that(scene: Scene) -> None:
    async def main() -> None:
        scene.provider.script(scene.say("cut", finish="length"), Fail(400), scene.say("whole"))
        first = await scene.ask()
        await scene.arrived(1)
        others = [await scene.ask() for _ in range(3)]
        scene.gate.set()
        assert (await first.task)["finish"] == "length"
        with pytest.raises(ModelFailed):
            await others[0].task
        assert [(await each.task)["cache"] for each in others[1:]] == ["miss", "shared"]
        assert len(scene.provider.asked) == 3

    play(main())


def test_a_first_that_is_cancelled_takes_nobody_along(scene: Scene) -> None:
    async def main() -> None:
        scene.provider.script(scene.say("never told"), Say("told"))
        first = await scene.ask()
        await scene.arrived(1)
        gone, other = await scene.ask(), await scene.ask()
        gone.task.cancel()
        first.task.cancel()
        for each in (first, gone):
            with suppress(asyncio.CancelledError):
                await each.task
        result = await other.task
        assert (result["text"], result["cache"]) == ("told", "miss")
        scene.gate.set()

    play(main())


def test_nobody_waits_for_one_failure_after_the_other_without_end() -> None:
    async def main() -> None:
        flights, began = Flights(), list[int]()

        async def fails(number: int) -> None:
            assert await flights.wait("k") is None
            with flights.asking("k"):
                began.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(fails(number) for number in range(12)))
        assert began == [*range(12)]
        late = asyncio.create_task(flights.wait("k"))
        for _ in range(WAITS_MAX):
            assert not late.done()
            with flights.asking("k"):
                await turns()
        with flights.asking("k"):
            await turns()
            assert late.result() is None

    asyncio.run(main())


def test_one_that_did_not_wait_leaves_the_others_flight_alone() -> None:
    async def main() -> None:
        flights = Flights()
        with flights.asking("k") as land:
            with flights.asking("k"):
                pass
            late = asyncio.create_task(flights.wait("k"))
            await asyncio.sleep(0)
            assert not late.done()
            land(Found("{}", "shared"))
        assert await late == Found("{}", "shared")
        assert await flights.wait("k") is None

    asyncio.run(main())
