"""Places: what runs beside each other in one process, and what one attempt cannot do to the others."""

import asyncio
import functools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.stage import PATIENCE_S, Stage, attempt, code, value

from nova_node.adapters.executor_both import BothExecutor
from nova_node.adapters.executor_host import HostExecutor
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.host_process import HostConfig
from nova_node.adapters.worker_output import MARKER
from nova_node.core.errors import NotFound
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Demand,
    Encoding,
    Extent,
    Failure,
    Input,
    Limits,
    Mandate,
    Usage,
)
from nova_node.core.signals import Ran, SlotDied, SlotReady, Spoke
from nova_node.ports import Asked, AskEnd

CANCELLED = Failure("cancelled", "no longer wanted")


class Fake:
    """An Asker: keeps what was asked for; answers as told."""

    def __init__(self, answer: Callable[[Asked], AskEnd | None]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.parents: list[Attempt] = []
        self.withdrawn: list[int] = []
        self.closed = 0
        self.open = self.most = 0

    def of(self, attempt: Attempt) -> "FakeAsking":
        self.parents.append(attempt)
        return FakeAsking(self)


class FakeAsking:
    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self._ends: dict[int, Callable[[AskEnd], None]] = {}

    def ask(
        self,
        number: int,
        asked: Asked,
        hear: Callable[[str], None] | None,
        end: Callable[[AskEnd], None],
    ) -> None:
        self._fake.asked.append(asked)
        self._fake.open += 1
        self._fake.most = max(self._fake.most, self._fake.open)
        self._ends[number] = end
        if hear is not None:
            hear("heard ")
        told = self._fake.answer(asked)
        if told is not None:
            asyncio.get_running_loop().call_later(0.01, self._end, number, told)

    def _end(self, number: int, told: AskEnd) -> None:
        self._fake.open -= 1
        self._ends.pop(number)(told)

    def withdraw(self, number: int) -> None:
        self._fake.withdrawn.append(number)
        self._end(number, AskEnd(CANCELLED, usage=Usage("m", 1, 1, 9)))

    def close(self) -> None:
        self._fake.closed += 1


class Scene(Stage):
    """Places alone."""

    def __init__(
        self,
        folder: Path,
        places: int = 4,
        config: HostConfig | None = None,
        asker: Fake | None = None,
    ) -> None:
        self.folder = folder
        self.kept: dict[str, bytes] = {}
        self._before = psutil.Process().children(recursive=True)
        processes = ProcessExecutor(
            str(folder / "spool"),
            lambda blob_id: str(folder / blob_id),
            self.keep,
            ["support.waiting_capabilities"],
            settings={"x.y": "told"},
        )
        self.host = HostExecutor(processes, "k7q2m9xd4f5g6h7j", config)
        self.host.asker = asker
        super().__init__(BothExecutor(processes, self.host, places), 0)
        self.places = places

    async def __aenter__(self) -> "Scene":
        await super().__aenter__()
        for number in range(self.places):
            assert await self.next(SlotReady) == SlotReady(number)
        return self

    def keep(self, path: str, encoding: Encoding, *more: bool) -> BlobRef:
        data = Path(path).read_bytes()
        self.kept[f"kept-{len(data)}"] = data
        return BlobRef(f"kept-{len(data)}", len(data), encoding)

    async def begun(self, count: int = 1) -> None:
        """So many have said that they have begun."""
        while self.said.count("begun") < count:
            signal = await asyncio.wait_for(self._signals.get(), PATIENCE_S)
            assert isinstance(signal, Spoke), signal
            self.said += signal.text

    def processes(self) -> list[psutil.Process]:
        """That were started since; whoever runs the tests may have others."""
        now = psutil.Process().children(recursive=True)
        return [process for process in now if process not in self._before]


def call(name: str, **args: object) -> Attempt:
    return attempt(f"waiting.{name}", json.dumps(args).encode())


def play(folder: Path, act: Callable[[Scene], Any], places: int = 4, **more: Any) -> Scene:
    scene = Scene(folder, places, **more)

    async def main() -> None:
        async with asyncio.timeout(60), scene:
            await act(scene)

    asyncio.run(main())
    return scene


def host_of(scene: Scene) -> psutil.Process:
    (found,) = scene.processes()
    return found


def test_the_host_is_started_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        assert not scene.processes()
        assert value(await scene.one(attempt("sample.double", b'{"n":2}'))) == b"4"
        assert host_of(scene).is_running()

    play(tmp_path, act)


def test_it_ends_after_a_rest_and_comes_again(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        for _ in range(2):
            assert value(await scene.one(attempt("sample.double", b'{"n":2}'))) == b"4"
            ended = functools.partial(host_of(scene).wait, 20)
            await asyncio.to_thread(ended)

    play(tmp_path, act, config=HostConfig(idle_s=0.05))


def test_all_places_run_at_once_in_one_process(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        for slot in range(63):
            scene.give(attempt("sample.hang"), slot=slot)
        (item,) = await scene.run(call("who", key="x.y"), slot=63)
        *who, pid = json.loads(value(item))
        assert who == ["k7q2m9xd-1", "", 0, "told"]
        assert pid == host_of(scene).pid

    play(tmp_path, act, places=64)


def test_an_attempt_knows_its_task_submitter_and_allowance(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        given = call("who", key="x.y")._replace(
            no=42,
            demand=Demand("waiting.who", allowance_uusd=7),
            mandate=Mandate("submitter/anna", b""),
            owner="q9w8e7r6t5y4u3i2",
        )
        *who, _ = json.loads(value(await scene.one(given)))
        assert who == ["q9w8e7r6-42", "submitter/anna", 7, "told"]

    play(tmp_path, act)


def test_pieces_of_a_line_are_told_as_they_come(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.give(call("pieces", texts=["one", " two"], flood=0))
        assert (await scene.next(Spoke)).text == "one"
        assert (await scene.next(Spoke)).text == " two"
        await scene.results(1)

    play(tmp_path, act)


def test_output_is_cut_at_the_cap(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        asked = b'{"texts":["one"],"flood":1000000}'
        await scene.one(attempt("waiting.pieces", asked, limits=Limits(output_bytes=100)))
        assert scene.said == "one" + "y" * 97 + MARKER

    play(tmp_path, act)


def test_what_an_attempt_used_comes_with_its_result_and_its_failure(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        done = await scene.one(call("spend", uusd=4))
        assert done.outcome.usage == Usage("m", 11, 22, 7)
        failed = await scene.one(call("spend", uusd=None, fails=True))
        assert code(failed) == "capability_failed"
        assert failed.outcome.usage == Usage("m", 11, 22, None)
        silent = await scene.one(attempt("sample.double", b'{"n":2}'))
        assert silent.outcome.usage is None
        unknown = await scene.one(call("nothing"))
        assert (code(unknown), unknown.outcome.usage) == ("unavailable", Usage())

    play(tmp_path, act)


def test_files_in_and_out(tmp_path: Path) -> None:
    (tmp_path / "b1").write_bytes(b"xabcx")
    given = Input("given", extents=(Extent("f", "b1", 1, 3),))

    async def act(scene: Scene) -> None:
        item = await scene.one(attempt("waiting.files", b'{"size":1000000}', given))
        end = item.outcome.value
        assert end
        assert end.blob == BlobRef("kept-3000002", 3_000_002, Encoding.JSON)
        assert end.files == (Extent("a/b.txt", "kept-3", 0, 3),)
        assert scene.kept["kept-3"] == b"abc"
        assert not os.listdir(tmp_path / "spool")
        lost = Input("given", extents=(Extent("f", "gone", 1, 3),))
        scene.host.processes.locate = _lost
        assert code(await scene.one(attempt("waiting.files", b'{"size":1}', lost))) == "unavailable"

    play(tmp_path, act)


def _lost(blob_id: str) -> str:
    raise OSError("it is not here")


def test_attempts_beside_each_other_have_each_their_own_secrets(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.host.reveal(lambda: {"key": "sk-provider"})
        for slot, given in enumerate(("first-value", "other-value")):
            asked = attempt("waiting.secret", b'{"name":"db","other":"key"}')
            scene.give(asked, slot=slot, secrets={"db": given})
        found = {value(item) for item in await scene.results(2)}
        assert found == {b'"FIRST-VALUE"', b'"OTHER-VALUE"'}
        assert scene.said == "[secret key] " * 2

    play(tmp_path, act)


def test_a_kill_cancels_that_attempt_alone_and_lets_it_close_what_it_has(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        (key,) = scene.give(call("tidy", path=str(tmp_path / "note")), slot=1)
        scene.give(attempt("sample.hang"), slot=2)
        await scene.begun()
        found = host_of(scene)
        scene.executor.kill(1, CANCELLED)
        assert await scene.next(SlotDied) == SlotDied(1, key, CANCELLED, Usage("m", 5, 6, 7))
        assert await scene.next(SlotReady) == SlotReady(1)
        assert (tmp_path / "note").read_text() == "closed"
        assert value((await scene.run(attempt("sample.double", b'{"n":2}'), slot=1))[0]) == b"4"
        assert host_of(scene) == found

    play(tmp_path, act)


@pytest.mark.parametrize("block_s", [0.0, 3600.0])
def test_what_does_not_end_takes_the_host_along(tmp_path: Path, block_s: float) -> None:
    async def act(scene: Scene) -> None:
        (victim,) = scene.give(call("pieces", texts=[]), slot=0)
        (key,) = scene.give(call("stubborn", block_s=block_s), slot=3)
        await scene.begun()
        scene.executor.kill(3, CANCELLED)
        died = {d.slot: d for d in [await _died(scene), await _died(scene)]}
        assert died[3] == SlotDied(3, key, CANCELLED)
        assert (died[0].key, died[0].failure.code) == (victim, "worker_died")
        assert died[0].failure.retryable
        assert value((await scene.run(attempt("sample.double", b'{"n":2}'), slot=3))[0]) == b"4"

    play(tmp_path, act, config=HostConfig(grace_s=0.3))


async def _died(scene: Scene) -> SlotDied:
    died = await scene.next(SlotDied)
    assert await scene.next(SlotReady) == SlotReady(died.slot)
    return died


def test_a_host_that_is_killed_fails_what_it_ran_and_nothing_else(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        keys = [*scene.give(call("stubborn"), slot=1), *scene.give(call("stubborn"), slot=2)]
        await scene.begun(2)
        host_of(scene).send_signal(signal.SIGKILL)
        died = [await _died(scene), await _died(scene)]
        assert [d.key for d in died] == keys
        assert all(d.failure.retryable and "SIGKILL" in d.failure.message for d in died)
        assert value((await scene.run(attempt("sample.double", b'{"n":2}'), slot=0))[0]) == b"4"
        assert scene.quiet()

    play(tmp_path, act)


def test_a_host_with_too_much_memory_is_ended(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.give(call("hoard", mib=150))
        died = await _died(scene)
        assert (died.failure.code, died.failure.retryable) == ("memory_limit", True)

    play(tmp_path, act, config=HostConfig(memory_bytes=120 << 20))


def test_a_host_that_cannot_start_fails_the_attempt(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        def reveal() -> dict[str, str]:
            raise NotFound("no keyring")

        scene.host.reveal(reveal)
        scene.give(call("hoard", mib=1))
        died = await _died(scene)
        assert "no keyring" in died.failure.message
        scene.host.reveal(dict)
        assert value(await scene.one(attempt("sample.double", b'{"n":2}'))) == b"4"

    play(tmp_path, act)


# ---------------------------------------------------------------- asks


def echo(asked: Asked) -> AskEnd:
    if asked.inputs:
        return AskEnd(None, Encoding.RAW, asked.inputs[0].raw, (("f", b"123"),), "n1")
    return AskEnd(None, Encoding.JSON, asked.args, (), "n1", Usage("m", 1, 2, 3))


def test_an_ask_says_what_it_wants_and_gets_its_answer(tmp_path: Path) -> None:
    fake = Fake(echo)

    async def act(scene: Scene) -> None:
        asks = call("ask", capability="a.b", args={"x": 1}, times=3, allowance=5, timeout_s=9)
        item = await scene.one(asks)
        assert json.loads(value(item)) == [{"value": {"x": 1}, "files": {}, "node": "n1"}] * 3
        assert fake.asked == [Asked("a.b", b'{"x":1}', allowance_uusd=5, timeout_s=9.0)] * 3
        assert item.outcome.usage == Usage("m", 3, 6, 9)
        assert scene.said == "heard heard heard "
        (parent,) = fake.parents
        assert parent.demand.capability == "waiting.ask"
        assert fake.closed == 1

    play(tmp_path, act, asker=fake)


def test_bytes_go_with_an_ask_and_files_come_back(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        asks = attempt(
            "waiting.ask", b'{"capability":"a.b","args":{}}', Input("data", bytes(3 << 20))
        )
        (told,) = json.loads(value(await scene.one(asks)))
        assert told == {"value": 3 << 20, "files": {"f": 3}, "node": "n1"}

    play(tmp_path, act, asker=Fake(echo))


def test_a_failed_ask_is_raised_with_all_that_it_says(tmp_path: Path) -> None:
    def refuse(_: Asked) -> AskEnd:
        return AskEnd(Failure("model_overloaded", "busy", "wait", True, "", 2.5))

    async def act(scene: Scene) -> None:
        (told,) = json.loads(value(await scene.one(call("ask", capability="a.b", args={}))))
        assert told == {"code": "model_overloaded", "message": "busy", "retryable": True}

    play(tmp_path, act, asker=Fake(refuse))


def test_an_ask_that_is_cancelled_is_withdrawn_and_what_it_used_counts(tmp_path: Path) -> None:
    fake = Fake(lambda asked: None if asked.capability == "a.slow" else echo(asked))

    async def act(scene: Scene) -> None:
        item = await scene.one(call("first", slow="a.slow", args={}))
        assert json.loads(value(item)) == {"data": "quick"}
        assert fake.withdrawn == [1]
        assert item.outcome.usage == Usage("m", 2, 3, 12)

    play(tmp_path, act, asker=fake)


def test_what_an_attempt_asked_for_ends_with_it(tmp_path: Path) -> None:
    fake = Fake(lambda _: None)

    async def act(scene: Scene) -> None:
        scene.give(call("ask", capability="a.b", args={}))
        assert (await scene.next(Spoke)).text == "heard "
        scene.executor.kill(0, CANCELLED)
        assert (await _died(scene)).usage == Usage("m", 1, 1, 9)
        assert (fake.withdrawn, fake.closed) == ([1], 1)

    play(tmp_path, act, asker=fake)


def test_a_host_that_dies_ends_what_was_asked_for(tmp_path: Path) -> None:
    fake = Fake(lambda _: None)

    async def act(scene: Scene) -> None:
        scene.give(call("ask", capability="a.b", args={}))
        await scene.next(Spoke)
        host_of(scene).send_signal(signal.SIGKILL)
        await _died(scene)
        assert fake.closed == 1

    play(tmp_path, act, asker=fake)


def test_a_card_says_what_waits(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        cards, warnings = await scene.executor.describe()
        assert not warnings
        named = {card.name: card.waits for card in cards}
        assert named["waiting.ask"]
        assert not named["core.echo"]

    play(tmp_path, act)


def test_results_of_a_place_name_it(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.give(attempt("sample.double", b'{"n":2}'), slot=3)
        assert (await scene.next(Ran)).slot == 3

    play(tmp_path, act)
