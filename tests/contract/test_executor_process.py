"""What only real processes do: die of signals, flood, leave large results, load plug-ins."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from support.stage import Stage, attempt, code, value

from nova_node.adapters import worker_process
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.worker_output import MARKER
from nova_node.adapters.worker_process import Setup, WorkerProcess
from nova_node.core.errors import NotFound, Overloaded
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Capability,
    Encoding,
    Extent,
    Input,
    Limits,
    Phase,
    Value,
)
from nova_node.core.signals import (
    Ran,
    SlotDied,
    SlotReady,
    Spoke,
)

MODULE = "support.sample_capabilities"


class Shelf:
    """Files by blob id, as a blob store would give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.full = False

    def add(self, blob_id: str, data: bytes) -> None:
        (self.folder / blob_id).write_bytes(data)

    def locate(self, blob_id: str) -> str:
        path = self.folder / blob_id
        if not path.exists():
            raise NotFound(f"blob {blob_id} is not here")
        return str(path)

    def keep(self, path: str, encoding: Encoding) -> BlobRef:
        if self.full:
            raise Overloaded("the disk is full", "free some space")
        size = os.path.getsize(path)
        os.rename(path, self.folder / f"kept-{size}")
        return BlobRef(f"kept-{size}", size, encoding)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return Shelf(folder)


def executor(shelf: Shelf, *modules: str, limits: Limits | None = None) -> ProcessExecutor:
    def keep(path: str, encoding: Encoding, sensitive: bool) -> BlobRef:
        return shelf.keep(path, encoding)

    spool = str(shelf.folder.parent / "spool")
    modules = modules or (MODULE,)
    if limits is None:
        return ProcessExecutor(spool, shelf.locate, keep, modules)
    return ProcessExecutor(spool, shelf.locate, keep, modules, limits)


def call(name: str, **args: object) -> Attempt:
    return attempt(f"sample.{name}", json.dumps(args).encode())


@pytest.mark.parametrize(
    ("args", "message", "fix"),
    [
        (b'{"n":"1"}', "parameter 'n' must be a whole number, not text", "give 'n' as"),
        (b'{"n":true}', "not true or false", "give 'n' as"),
        (b"{}", "parameter 'n' is missing", "give 'n'"),
        (b'{"n":1,"m":2}', "no parameter 'm'", "sample.double takes n"),
        (b"[1]", "not a JSON object", "by name"),
        (b'{"n":NaN}', "NaN is not JSON", "JSON object"),
        (b'{"n":' + b"[" * 100_000, "not JSON", "JSON object"),
        (b"\xff{}", "not JSON", "JSON object"),
    ],
)
def test_arguments_are_checked_before_the_call(
    shelf: Shelf, args: bytes, message: str, fix: str
) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            item = await stage.one(attempt("sample.double", args))
        failure = item.outcome.failure
        assert failure is not None
        assert (failure.code, failure.retryable) == ("invalid_argument", False)
        assert message in failure.message
        assert fix in failure.fix

    asyncio.run(scene())


def test_failures_tell_where_and_whether_to_try_again(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            again, never, odd, unknown = await stage.run(
                call("fail"), call("fail", fatal=True), call("odd"), call("nothing")
            )
        failure = again.outcome.failure
        assert failure is not None
        assert failure.message == "ValueError: not today"
        assert failure.retryable
        assert 'raise ValueError("not today")' in failure.traceback
        assert "worker_calls" not in failure.traceback
        assert never.outcome.failure is not None
        assert not never.outcome.failure.retryable
        assert never.outcome.failure.fix == "ask for something else"
        assert code(odd) == "bad_result"
        assert code(unknown) == "unavailable"

    asyncio.run(scene())


def test_bytes_in_and_out(shelf: Shelf) -> None:
    data = bytes(range(256))

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            item = await stage.one(attempt("sample.bytes", b"", Input("data", data)))
        assert item.outcome.value == Value(Encoding.RAW, data[::-1])

    asyncio.run(scene())


def test_split_run_and_merge_of_files(shelf: Shelf) -> None:
    shelf.add("a", b"\x01" * 100)
    shelf.add("b", b"xx" + b"\x02" * 100 + b"xx")
    files = Input("files", extents=(Extent("a", "a", 0, 100), Extent("b", "b", 2, 100)))

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            item = await stage.one(attempt("sample.sum", b"", files, phase=Phase.SPLIT, shards=2))
            assert item.shards is not None
            assert [each.inputs[0].extents for each in item.shards] == [
                (Extent("a", "a", 0, 100),),
                (Extent("b", "b", 2, 100),),
            ]
            runs = await stage.run(
                *(attempt("sample.sum", each.args, *each.inputs, part=True) for each in item.shards)
            )
            assert [value(each) for each in runs] == [b"100", b"200"]
            shelf.add("large", b"7")
            parts = (
                *(each.outcome.value for each in runs if each.outcome.value),
                Value(Encoding.JSON, blob=BlobRef("large", 1, Encoding.JSON)),
            )
            merged = await stage.one(attempt("sample.sum", phase=Phase.MERGE, parts=parts))
            assert value(merged) == b"307"

    asyncio.run(scene())


def test_packed_parts_reach_the_merge_and_its_result_is_json(shelf: Shelf) -> None:
    shelf.add("a", b"one two")
    shelf.add("b", b"two three")

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            runs = await stage.run(
                *(
                    attempt(
                        "text.wordcount",
                        b"",
                        Input("files", extents=(Extent(name, name, 0, size),)),
                        part=True,
                    )
                    for name, size in (("a", 7), ("b", 9))
                )
            )
            parts = tuple(each.outcome.value for each in runs if each.outcome.value)
            assert [part.encoding for part in parts] == [Encoding.RAW, Encoding.RAW]
            merged = await stage.one(attempt("text.wordcount", phase=Phase.MERGE, parts=parts))
            assert json.loads(value(merged)) == {"one": 1, "two": 2, "three": 1}

    asyncio.run(scene())


def test_a_run_may_split_again_and_bad_splits_are_terminal(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            again, none, many = await stage.run(
                call("nested", depth=2), call("shards", count=0), call("shards", count=10_001)
            )
        assert again.shards is not None
        assert [each.args for each in again.shards] == [b'{"depth":1}', b'{"depth":0}']
        assert (code(none), code(many)) == ("bad_split", "bad_split")

    asyncio.run(scene())


def test_a_blob_that_is_not_here_fails_its_attempt_alone(shelf: Shelf) -> None:
    lost = Input("files", extents=(Extent("a", "gone", 0, 1),))

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            missing, done = await stage.run(attempt("sample.sum", b"", lost), call("double", n=1))
        assert (code(missing), value(done)) == ("unavailable", b"2")

    asyncio.run(scene())


def test_large_results_become_blobs_and_small_ones_stay(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            large = await stage.one(call("mixed", size=3 << 20))
            part = attempt("sample.mixed", b'{"size":5000}', part=True)
            small_part = attempt("sample.mixed", b'{"size":50}', part=True)
            inline, kept, small = await stage.run(call("mixed", size=5000), part, small_part)
        ref = BlobRef(f"kept-{(3 << 20) + 2}", (3 << 20) + 2, Encoding.JSON)
        assert large.outcome.value == Value(Encoding.JSON, blob=ref)
        assert value(inline) == b'"' + b"x" * 5000 + b'"'
        assert kept.outcome.value is not None
        assert kept.outcome.value.blob is not None
        assert len(value(small)) == 52
        assert not os.listdir(shelf.folder.parent / "spool")

    asyncio.run(scene())


def test_a_result_that_cannot_be_kept_may_be_tried_again(shelf: Shelf) -> None:
    shelf.full = True

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            item = await stage.one(call("mixed", size=3 << 20))
        assert code(item) == "overloaded"
        assert item.outcome.failure
        assert item.outcome.failure.retryable
        assert not os.listdir(shelf.folder.parent / "spool")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("how", "words"), [("exit", "exited with status 3"), ("segfault", "was ended by SIGSEGV")]
)
def test_a_crash_says_how(shelf: Shelf, how: str, words: str) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            (key,) = stage.give(call("die", how=how))
            died = await stage.next(SlotDied)
            assert died.key == key
            assert words in died.failure.message

    asyncio.run(scene())


def test_a_result_under_way_to_the_store_survives_the_next_crash(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            died_first = asyncio.Event()
            loop, keep = asyncio.get_running_loop(), shelf.keep

            def slowly(path: str, encoding: Encoding) -> BlobRef:
                asyncio.run_coroutine_threadsafe(died_first.wait(), loop).result()
                return keep(path, encoding)

            shelf.keep = slowly
            stage.give(call("mixed", size=3 << 20), call("die"))
            await stage.next(SlotDied)
            await stage.next(SlotReady)
            died_first.set()
            (item,) = await stage.results(1)
            assert item.outcome.value
            assert item.outcome.value.blob

    asyncio.run(scene())


def test_kill_ends_the_whole_process_group(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            stage.give(call("spawn"))
            child = psutil.Process(int((await stage.next(Spoke)).text))
            assert child.is_running()
        async with asyncio.timeout(10):  # a killed process may take a moment to be gone
            while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_output_past_the_cap_is_cut_once(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf, limits=Limits(output_bytes=1000))) as stage:
            assert value(await stage.one(call("loud", size=100_000))) == b'"done"'
            assert len(stage.said) == 1000 + len(MARKER)
            assert stage.said.endswith(MARKER)

    asyncio.run(scene())


def test_a_flood_of_a_child_process_is_cut_and_does_not_block(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf, limits=Limits(output_bytes=1000))) as stage:
            assert value(await stage.one(call("loud", size=2_000_000, raw=True))) == b'"done"'
            assert stage.said == "\0" * 1000 + MARKER

    asyncio.run(scene())


def test_output_of_child_processes_is_the_attempts_and_stdin_is_empty(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            heard: list[tuple[int, bool, str]] = []
            keys = stage.give(
                call("shell", command="echo one"), call("shell", command="echo two >&2")
            )
            for _ in range(4):
                match await stage.next(Ran | Spoke):  # type: ignore[arg-type]
                    case Spoke(_, key, stderr, text):
                        heard.append((key, stderr, text))
                    case Ran(_, results):
                        assert all(value(item) == b'""' for item in results)
            assert heard == [(keys[0], False, "one\n"), (keys[1], True, "two\n")]

    asyncio.run(scene())


def test_processor_time_is_limited(shelf: Shelf) -> None:
    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            await stage.executor.describe()
            (key,) = stage.give(call("burn"))
            died = await stage.next(SlotDied)
            assert (died.key, died.failure.code) == (key, "cpu_limit")
            assert not died.failure.retryable
            await stage.next(SlotReady)

    asyncio.run(scene())


def test_memory_is_limited(shelf: Shelf) -> None:
    async def scene() -> None:
        limits = Limits(memory_bytes=64 << 20)
        async with Stage(executor(shelf)) as stage:
            asked = attempt("sample.hoard", b'{"mib":200}', limits=limits)
            item = await stage.one(asked)
            assert code(item) == "memory_limit"
            small = attempt("sample.hoard", b'{"mib":8}', limits=limits)
            assert value(await stage.one(small)) == str(8 << 20).encode()

    asyncio.run(scene())


def test_memory_that_the_soft_limit_missed_is_watched(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_node.adapters.executor_process.WATCH_S", 0.01)

    async def scene() -> None:
        async with Stage(executor(shelf, limits=Limits(memory_bytes=1 << 20))) as stage:
            (key,) = stage.give(call("hang"))
            died = await stage.next(SlotDied)
            assert (died.key, died.failure.code) == (key, "memory_limit")

    asyncio.run(scene())


def test_cards_tell_parameters_and_broken_modules_cost_a_warning(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaks.py").write_text("raise ImportError('no luck')")
    (tmp_path / "ends.py").write_text("import os; os._exit(7)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    async def scene() -> None:
        modules = ("breaks", "ends", "absent", MODULE)
        cards, warnings = await executor(shelf, *modules).describe()
        by_name: dict[str, Capability] = {card.name: card for card in cards}
        mixed = by_name["sample.mixed"]
        assert (mixed.version, mixed.limits.output_bytes) == ("2", 100)
        assert [p[:4] for p in mixed.params] == [
            ("size", "int", True, b""),
            ("fill", "str", False, b'"x"'),
        ]
        assert by_name["sample.sum"].splits
        assert by_name["text.wordcount"].merges
        assert [warning.split()[0] for warning in warnings] == ["breaks", "ends", "absent"]
        assert "status 7" in warnings[1]

    asyncio.run(scene())


def test_a_process_that_does_not_start_is_tried_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    start, command = WorkerProcess.start, worker_process._START  # pyright: ignore[reportPrivateUsage]

    async def start_the_fourth(
        self: WorkerProcess, setup: Setup, after: Sequence[str] = ()
    ) -> None:
        tries.append(setup.spool)
        if len(tries) == 1:
            raise BlockingIOError("no more processes")
        monkeypatch.setattr(worker_process, "_START", command if len(tries) == 4 else "exit(1)")
        await start(self, setup, after)

    monkeypatch.setattr(WorkerProcess, "start", start_the_fourth)
    monkeypatch.setattr("nova_node.adapters.executor_process.BACKOFF_S", (0.001, 0.002))

    async def scene() -> None:
        async with Stage(executor(shelf)) as stage:
            assert value(await stage.one(call("double", n=1))) == b"2"
        assert len(tries) == 4

    asyncio.run(scene())


def test_the_node_imports_no_capability() -> None:
    asked = (
        "import sys, nova_node.adapters.executor_process\n"
        "print([m for m in sys.modules if m.startswith('nova_node.capabilities')])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_worker_ends_with_its_node(tmp_path: Path) -> None:
    node = (
        "import asyncio, sys\n"
        "from nova_node.adapters.executor_process import ProcessExecutor\n"
        "async def main():\n"
        "    executor = ProcessExecutor(sys.argv[1], str, None)\n"
        "    ready = asyncio.Event()\n"
        "    await executor.start(1, lambda signal: ready.set())\n"
        "    await ready.wait()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    run = subprocess.Popen([sys.executable, "-c", node, str(tmp_path)], stdout=subprocess.PIPE)
    assert run.stdout
    with run, run.stdout:
        assert run.stdout.readline() == b"ready\n"
        workers = psutil.Process(run.pid).children()
        run.kill()
        assert len(workers) == 1
        assert psutil.wait_procs(workers, timeout=10)[1] == []
