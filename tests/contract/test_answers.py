"""What a capability may answer in place of a plain value, through a real worker process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from support.mesh import wait_for
from support.stage import Stage, attempt, code

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.core.model import Attempt, BlobRef, Encoding, Failure, Value
from nova_node.core.signals import RanItem, SlotDied, SlotReady, Spoke

MODULE = "support.answering_capabilities"


class Shelf:
    """Keeps what becomes a blob, under its number."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.whole: list[str] = []

    def keep(self, path: str, encoding: Encoding, sensitive: bool, whole: bool = False) -> BlobRef:
        ref = BlobRef(str(len(self.kept)), Path(path).stat().st_size, encoding)
        self.kept[ref.id] = Path(path).read_bytes()
        self.whole += [ref.id] * whole
        return ref


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def executor(tmp_path: Path, shelf: Shelf) -> ProcessExecutor:
    return ProcessExecutor(str(tmp_path), str, shelf.keep, [MODULE], settings={"name": "test"})


def call(name: str, part: bool = False, **args: object) -> Attempt:
    return attempt(f"answer.{name}", json.dumps(args).encode(), part=part)


def given(item: RanItem) -> Value:
    assert item.outcome.failure is None, item.outcome.failure
    assert item.outcome.value is not None
    return item.outcome.value


def test_a_failure_has_the_code_that_its_author_gave_it(executor: ProcessExecutor) -> None:
    async def scene() -> None:
        async with Stage(executor) as stage:
            never, again = await stage.run(call("code"), call("code", retryable=True))
        told = ("no_such_table", "there is no table", "create it")
        assert never.outcome.failure == Failure(*told, False, "their traceback")
        assert again.outcome.failure == Failure(*told, True, "their traceback")

    asyncio.run(scene())


@pytest.mark.parametrize("large", [False, True])
def test_files_are_one_blob_beside_the_result(
    executor: ProcessExecutor, shelf: Shelf, tmp_path: Path, large: bool
) -> None:
    """It survives a power cut, however small; nothing of it stays in the spool."""
    names = ["a.txt", "b/é x", "c"]

    async def scene() -> None:
        async with Stage(executor) as stage:
            value = given(await stage.one(call("files", names=names, large=large)))
            assert value.pack is not None
            pack = shelf.kept[value.pack.id]
            assert shelf.whole == [value.pack.id]
            assert [each.name for each in value.files] == names
            for name, blob_id, offset, size in value.files:
                assert blob_id == value.pack.id
                assert pack[offset : offset + size] == name.encode() * 2
            result = shelf.kept[value.blob.id] if value.blob else value.data
            assert len(json.loads(result)) == (3 << 20 if large else 1)

    asyncio.run(scene())
    assert not list(tmp_path.glob("*-[0-9]*"))


@pytest.mark.parametrize(
    "name", ["/a", "../a", "a/../b", "a//b", "", ".", "a\nb", "a\\b", "x" * 1001]
)
def test_a_name_that_leads_elsewhere_is_refused(executor: ProcessExecutor, name: str) -> None:
    async def scene() -> None:
        async with Stage(executor) as stage:
            assert code(await stage.one(call("files", names=["fine", name]))) == "bad_result"
            assert given(await stage.one(call("files", names=[]))).pack is None

    asyncio.run(scene())


def test_a_shard_cannot_return_files(executor: ProcessExecutor) -> None:
    async def scene() -> None:
        async with Stage(executor) as stage:
            assert code(await stage.one(call("files", part=True, names=["a"]))) == "bad_result"

    asyncio.run(scene())


def test_secrets_are_redacted_in_files_and_their_names(
    executor: ProcessExecutor, shelf: Shelf
) -> None:
    async def scene() -> None:
        async with Stage(executor) as stage:
            item = await stage.one(call("secret"), {"db": "hunter-two-hunter"})
            value = given(item)
            assert value.pack is not None
            told = repr((item, shelf.kept))
            assert "hunter" not in told
            assert told.count("[secret db]") == 3

    asyncio.run(scene())


def test_what_is_not_offered_is_told_once_with_its_reason(executor: ProcessExecutor) -> None:
    async def scene() -> None:
        cards, warnings = await executor.describe()
        offered = {card.name: card for card in cards}
        assert not {"answer.absent", "answer.also"} & offered.keys()
        why = "answer.absent, answer.also: not offered, no table on test (fix: create it)"
        assert warnings == [why]
        assert offered["answer.here"].labels == (("table", "yes"),)
        assert offered["answer.here"].local
        assert not offered["answer.code"].local

    asyncio.run(scene())


def test_the_process_after_one_that_was_killed_cleans_up(
    executor: ProcessExecutor, tmp_path: Path
) -> None:
    cleaned = tmp_path / "cleaned"

    async def scene() -> None:
        async with Stage(executor) as stage:
            stage.give(call("killed"))
            await stage.next(Spoke)
            assert not exists(cleaned)
            executor.kill(0, Failure("cancelled", "by the test"))
            await stage.next(SlotDied)
            await stage.next(SlotReady)
            await asyncio.to_thread(wait_for, lambda: exists(cleaned), "the cleaning up")

    asyncio.run(scene())


def exists(path: Path) -> bool:
    return path.exists()
