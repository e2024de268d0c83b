"""What every Executor does."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stage import Stage, attempt, code, value

from nova_node.adapters.executor_both import BothExecutor
from nova_node.adapters.executor_host import HostExecutor
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.memory_executor import Answer, FakeExecutor
from nova_node.capability import secret
from nova_node.core.model import Attempt, BlobRef, Call, Encoding, Failure, Status, Value
from nova_node.core.signals import (
    SlotDied,
    SlotReady,
)
from nova_node.ports import Executor, Post

MODULE = "support.sample_capabilities"
WAITING = "support.waiting_capabilities"
Make = Callable[[], Executor]


def _json(data: object) -> Answer:
    return Answer(Value(Encoding.JSON, json.dumps(data).encode()))


def _args(given: Attempt) -> dict[str, int]:
    return json.loads(given.call.args or b"{}")


SCRIPT: dict[str, Callable[[Attempt], Answer]] = {
    "sample.double": lambda given: _json(_args(given)["n"] * 2),
    "sample.fail": lambda _: Answer(
        Failure("capability_failed", "ValueError: not today", "", True)
    ),
    "sample.hang": lambda _: Answer(),
    "sample.die": lambda _: Answer(dies=True),
    "sample.say": lambda given: Answer(_json(None).end, said=json.loads(given.call.args)["text"]),
    "sample.tell": lambda _: Answer(
        Value(Encoding.JSON, json.dumps({"found": secret("db")}).encode()),
        said=f"it is {secret('db')}\n",
    ),
    "sample.blame": lambda _: Answer(
        Failure("capability_failed", f"ValueError: {secret('db')} is wrong", "", True)
    ),
    "sample.shards": lambda given: Answer(
        tuple(Call(f'{{"count":{n}}}'.encode()) for n in range(_args(given)["count"]))
    ),
}


class Places(BothExecutor):
    """A node without slots: what the suite calls slots are places."""

    async def start(self, slots: int, post: Post) -> None:
        self._places = slots
        await super().start(0, post)


@pytest.fixture(params=["process", "fake", "both", "places"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def keep(path: str, encoding: Encoding, sensitive: bool) -> BlobRef:
        raise AssertionError("nothing is large here")

    def process(module: str = MODULE) -> ProcessExecutor:
        return ProcessExecutor(str(tmp_path), str, keep, [module])

    def both() -> Executor:
        processes = process()
        return BothExecutor(processes, HostExecutor(processes, "me"), 0)

    def places() -> Executor:
        processes = process(WAITING)
        return Places(processes, HostExecutor(processes, "me"), 1)

    makes: dict[str, Make] = {
        "process": process,
        "fake": lambda: FakeExecutor(SCRIPT),
        "both": both,
        "places": places,
    }
    return makes[request.param]


def double(n: int) -> Attempt:
    return attempt("sample.double", f'{{"n":{n}}}'.encode(), no=100 + n, count=n % 3 + 1)


def test_a_batch_is_answered_in_order_with_the_attempts_numbers(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            items = await stage.run(*(double(n) for n in range(300)))
        assert [value(item) for item in items] == [str(2 * n).encode() for n in range(300)]
        assert [item.outcome[:3] for item in items] == [
            (100 + n, n % 3 + 1, Status.DONE) for n in range(300)
        ]

    asyncio.run(scene())


def test_slots_work_at_the_same_time(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make(), 2) as stage:
            stage.give(attempt("sample.hang"), slot=1)
            assert value((await stage.run(double(4), slot=0))[0]) == b"8"

    asyncio.run(scene())


def test_batches_given_at_once_all_run(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            stage.give(double(1), double(2))
            stage.give(double(3))
            items = await stage.results(3)
            assert [value(item) for item in items] == [b"2", b"4", b"6"]

    asyncio.run(scene())


def test_a_failure_is_a_result_and_the_slot_goes_on(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            failed, done = await stage.run(attempt("sample.fail"), double(1))
        assert failed.outcome.status is Status.FAILED
        assert failed.outcome.failure is not None
        assert failed.outcome.failure.retryable
        assert (code(failed), value(done)) == ("capability_failed", b"2")

    asyncio.run(scene())


def test_an_attempt_may_answer_with_shards(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            item = await stage.one(attempt("sample.shards", b'{"count":2}'))
        assert item.outcome.value is None
        assert item.shards == (Call(b'{"count":0}'), Call(b'{"count":1}'))

    asyncio.run(scene())


def test_output_comes_before_the_result(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            await stage.one(attempt("sample.say", b'{"text":"two\\nlines"}'))
            assert stage.said == "two\nlines"

    asyncio.run(scene())


def test_a_secret_is_there_for_its_attempt_and_leaves_it_redacted(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            given = {"db": "correct-horse"}
            told = await stage.one(attempt("sample.tell"), given)
            assert value(told) == b'{"found":"[secret db]"}'
            assert stage.said == "it is [secret db]\n"
            blamed = await stage.one(attempt("sample.blame"), given)
            assert blamed.outcome.failure
            assert blamed.outcome.failure.message == "ValueError: [secret db] is wrong"
            assert value(await stage.one(double(2))) == b"4"

    asyncio.run(scene())


def test_a_death_names_its_attempt_and_a_new_process_follows(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            keys = stage.give(double(1), attempt("sample.die"), double(2))
            await stage.results(1)
            died = await stage.next(SlotDied)
            assert (died.key, died.failure.code) == (keys[1], "worker_died")
            assert died.failure.retryable
            assert await stage.next(SlotReady) == SlotReady(0)
            assert value(await stage.one(double(5))) == b"10"

    asyncio.run(scene())


def test_kill_ends_what_runs_and_carries_the_reason_back(make: Make) -> None:
    why = Failure("wall_limit", "too slow")

    async def scene() -> None:
        async with Stage(make()) as stage:
            keys = stage.give(double(1), attempt("sample.hang"), double(2))
            await stage.results(1)
            stage.executor.kill(0, why)
            died = await stage.next(SlotDied)
            assert (died.slot, died.key, died.failure) == (0, keys[1], why)
            await stage.next(SlotReady)
            assert value(await stage.one(double(3))) == b"6"

    asyncio.run(scene())


def test_kill_between_attempts_names_none(make: Make) -> None:
    why = Failure("cancelled", "no longer wanted")

    async def scene() -> None:
        async with Stage(make()) as stage:
            await stage.one(double(1))
            stage.executor.kill(0, why)
            assert await stage.next(SlotDied) == SlotDied(0, None, why)
            await stage.next(SlotReady)

    asyncio.run(scene())


def test_describe_names_what_runs(make: Make) -> None:
    async def scene() -> None:
        async with Stage(make()) as stage:
            cards, warnings = await stage.executor.describe()
        assert {*SCRIPT} <= {card.name for card in cards}
        assert not warnings

    asyncio.run(scene())


def test_nothing_is_said_after_stop(make: Make) -> None:
    async def scene() -> None:
        stage = Stage(make(), 2)
        async with stage:
            stage.give(attempt("sample.hang"))
        assert stage.quiet()

    asyncio.run(scene())
