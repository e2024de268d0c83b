"""What a worker process lets out of the secrets it is given."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from support.leaky_capabilities import FILL
from support.mesh import wait_for
from support.stage import Stage, attempt, code, value

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.core.model import Attempt, BlobRef, Encoding, Limits, Phase
from nova_node.core.signals import RanItem, SlotDied, SlotReady
from nova_node.secrets.redact import forms

CANARY = 'Tr0ub4dor&3 "quoted" ключ/+?'
GIVEN = {"db": CANARY, "pin": "48151623"}
NOTE = "[secret db]"


class Scene(Stage):
    def __init__(self, folder: Path, limits: Limits = Limits(output_bytes=1 << 20)) -> None:  # noqa: B008
        self.spool = folder / "spool"
        self.kept: list[bytes] = []
        modules = ["support.leaky_capabilities"]
        super().__init__(ProcessExecutor(str(self.spool), str, self.keep, modules, limits))

    def keep(self, path: str, encoding: Encoding, *sensitive: bool) -> BlobRef:
        self.kept.append(Path(path).read_bytes())
        return BlobRef("kept", len(self.kept[-1]), encoding)

    async def leak(self, way: str) -> RanItem:
        return await self.one(leak(way), GIVEN)


def leak(way: str) -> Attempt:
    return attempt("leaky.leak", json.dumps({"way": way}).encode())


def assert_clean(*shown: object) -> None:
    text = " ".join(
        each.decode(errors="replace") if isinstance(each, bytes) else repr(each) for each in shown
    )
    found = [form for form in forms(CANARY) | forms(GIVEN["pin"]) if form in text]
    assert not found


@pytest.mark.parametrize("way", ["text", "key", "number", "base64", "hex", "bytes"])
def test_results_are_redacted_and_stay_readable(tmp_path: Path, way: str) -> None:
    wanted: dict[str, object] = {
        "text": NOTE,
        "key": {NOTE: [{"deep": [1, NOTE]}]},
        "number": {"pin": "[secret pin]", "other": 12},
        "hex": NOTE,
    }

    async def main() -> None:
        async with Scene(tmp_path) as scene:
            item = await scene.leak(way)
            assert_clean(value(item), item)
            assert b"[secret " in value(item)
            if way in wanted:
                assert json.loads(value(item)) == wanted[way]
            if way == "bytes":
                assert value(item) == b"\xff" + NOTE.encode() + b"\x00"

    asyncio.run(main())


@pytest.mark.parametrize("way", ["large", "large-bytes"])
def test_large_results_are_redacted_before_they_are_in_a_file(tmp_path: Path, way: str) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            item = await scene.leak(way)
            assert item.outcome.value
            assert item.outcome.value.blob
            (kept,) = scene.kept
            assert kept.strip(b'"') == b"y" * FILL + NOTE.encode()

    asyncio.run(main())


def test_arguments_of_shards_are_redacted(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            split = attempt("leaky.cut", b'{"word":"x"}', phase=Phase.SPLIT)
            ran, cut = await scene.run(leak("shards"), split, secrets=GIVEN)
            assert ran.shards
            assert cut.shards
            assert json.loads(ran.shards[0].args) == {"way": NOTE}
            assert ran.shards[0].inputs[0].raw == NOTE.encode()
            assert json.loads(cut.shards[0].args) == {"word": "x" + NOTE}

    asyncio.run(main())


@pytest.mark.parametrize("way", ["raise", "fatal", "bad"])
def test_failures_are_redacted_before_they_are_cut(tmp_path: Path, way: str) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            failure = (await scene.leak(way)).outcome.failure
            assert failure
            assert_clean(*failure)
            assert CANARY[:5] not in failure.message
            if way == "raise":
                assert f"KeyError: '{NOTE}'" in failure.traceback
            if way == "fatal":
                assert failure.fix == f"do not use {NOTE}"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("print", f"say {NOTE} twice {NOTE}\n"),
        ("print-pieces", NOTE),
        ("write", f"raw {NOTE}\n"),
        ("write-pieces", NOTE),
        ("child", f"{NOTE}\n"),
        ("half", CANARY[:-2]),
        ("half-raw", CANARY[:-2]),
    ],
)
def test_output_is_redacted_however_it_is_written(tmp_path: Path, way: str, said: str) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            await scene.leak(way)
            assert scene.said == said

    asyncio.run(main())


@pytest.mark.parametrize("way", ["print", "write"])
def test_the_cap_does_not_cut_a_value_into_what_is_none(tmp_path: Path, way: str) -> None:
    async def main() -> None:
        async with Scene(tmp_path, Limits(output_bytes=8)) as scene:
            await scene.leak(way)
            assert scene.said.startswith(("say [sec", "raw [sec"))
            assert CANARY[:2] not in scene.said

    asyncio.run(main())


def test_what_a_thread_left_behind_says_later_is_redacted(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            await scene.leak("later")
            assert value(await scene.one(attempt("leaky.nudge"))) == b"null"
            assert f"late {NOTE}\n" in scene.said
            assert f"too late {NOTE}\n" in scene.said
            assert_clean(scene.said)

    asyncio.run(main())


def test_a_process_that_is_killed_holding_a_value_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "held"

    async def main() -> None:
        async with Scene(tmp_path) as scene:
            scene.give(
                attempt("leaky.hold", json.dumps({"path": str(path)}).encode()), secrets=GIVEN
            )
            await asyncio.to_thread(wait_for, path.exists, "the attempt to hold it")
            os.kill(int(path.read_text()), signal.SIGKILL)
            died = await scene.next(SlotDied)
            await scene.next(SlotReady)
            assert "SIGKILL" in died.failure.message
            assert f"said {NOTE}\n" in scene.said
            assert f"wrote {NOTE} and half of it again {CANARY[:-2]}" in scene.said
            await scene.leak("write")  # in the process that replaces it
            assert f"raw {NOTE}\n" in scene.said
            assert_clean(scene.said, died)
            assert not os.listdir(scene.spool)

    asyncio.run(main())


def test_a_value_is_gone_when_its_attempt_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            first, second = await scene.leak("text"), await scene.one(attempt("leaky.after"))
            assert value(first) == f'"{NOTE}"'.encode()
            failure = second.outcome.failure
            assert failure
            assert failure.message == "the task gives no secret 'db'"
            assert not failure.retryable

    asyncio.run(main())


def test_attempts_of_one_batch_have_each_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            scene.give(leak("text"), secrets={"db": "first-value"})
            scene.give(leak("text"), secrets={"db": "second-value"})
            scene.give(leak("text"), secrets={"dc": "third-value"})
            items = await scene.results(3)
            assert [value(item) for item in items[:2]] == [f'"{NOTE}"'.encode()] * 2
            assert code(items[2]) == "capability_failed"

    asyncio.run(main())


def test_a_value_is_neither_in_the_environment_nor_in_a_core_dump(tmp_path: Path) -> None:
    async def main() -> None:
        async with Scene(tmp_path) as scene:
            item = await scene.one(attempt("leaky.around"), GIVEN)
            around = json.loads(value(item))
            assert around == {"environ": False, "arguments": False, "cores": [0, 0]}

    asyncio.run(main())
