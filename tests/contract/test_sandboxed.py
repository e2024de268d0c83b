"""python.run, python.map and shell.run in real worker processes, on the runtime that needs no engine.

What containers add is tested in tests/sandbox and tests/e2e/test_sandbox_mesh.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from support.stage import Stage, attempt, code

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.core.model import Attempt, BlobRef, Encoding, Extent, Input, Phase, Value
from nova_node.core.signals import RanItem

MODULE = "nova_node.capabilities.sandboxed"
SETTINGS: dict[str, object] = {
    "name": "test",
    "sandbox.runtime": "process",
    "sandbox.images": ("host",),
    "sandbox.tier": "trusted",
    "sandbox.engine": "",
    "sandbox.share_process": False,
}
BLOB = "b" * 64
LATER = """
import os
from nova_node.capability import NotOffered, Offer, capability

def check():
    open("asked", "a").write("x")
    if os.path.exists("half"):
        return Offer(lacks="no image science")
    if not os.path.exists("here"):
        raise NotOffered("no engine", "start it")
    return Offer()

@capability("later.run", check=check)
def run() -> int:
    return 1
"""


def executor(folder: Path, **settings: object) -> ProcessExecutor:
    def keep(path: str, encoding: Encoding, sensitive: bool, whole: bool = False) -> BlobRef:
        data = Path(path).read_bytes()
        (folder / "kept").write_bytes(data)
        return BlobRef(BLOB, len(data), encoding)

    told = SETTINGS | {f"sandbox.{key}": value for key, value in settings.items()}
    spool, shelf = str(folder / "spool"), folder / "shelf"
    shelf.mkdir(exist_ok=True)
    return ProcessExecutor(
        spool, lambda blob_id: str(shelf / blob_id), keep, [MODULE], settings=told
    )


def run(name: str, **args: object) -> Attempt:
    return attempt(name, json.dumps(args).encode())


def statement(item: RanItem) -> dict[str, Any]:
    return json.loads(item_value(item).data)


def item_value(item: RanItem) -> Value:
    assert item.outcome.failure is None, item.outcome.failure
    assert item.outcome.value is not None
    return item.outcome.value


def test_a_program_ends_as_a_statement(tmp_path: Path) -> None:
    """With what it printed as output, and the files that it left beside it."""
    program = """
import os, sys
print("heard", sys.argv[1:])
print("loud", file=sys.stderr)
os.mkdir(os.environ["NOVA_OUT"] + "/a")
for name in ("a/b.txt", "c"):
    with open(os.environ["NOVA_OUT"] + "/" + name, "w") as file:
        file.write(name * 2)
result = {"n": 1}
"""

    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            item = await stage.one(run("python.run", code=program, args=["x", 2]))
            told = statement(item)
            assert (told["status"], told["result"], told["exit_code"]) == ("ok", {"n": 1}, 0)
            named = {each["name"]: each["size_bytes"] for each in told["files"]}
            assert named == {"a/b.txt": 14, "c": 2}
            assert "heard ['x', '2']\n" in stage.said
            assert "loud\n" in stage.said
        value = item_value(item)
        assert value.pack == BlobRef(BLOB, 16)
        packed = (tmp_path / "kept").read_bytes()
        for name, blob_id, offset, size in value.files:
            assert (blob_id, packed[offset : offset + size]) == (BLOB, name.encode() * 2)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("name", "args", "failure", "message"),
    [
        ("python.run", {"code": "1/0"}, "program_failed", "ZeroDivisionError"),
        ("python.run", {"code": "exit(3)"}, "program_failed", "exit code 3"),
        ("shell.run", {"code": "exit 4"}, "program_failed", "exit code 4"),
        ("python.run", {"code": "while 1: 1", "timeout_s": 0.2}, "sandbox_timeout", "0.2 s"),
        ("python.run", {"code": "print('x' * 2**21)"}, "sandbox_output", "1,048,576"),
        ("python.run", {"code": "a\0b"}, "sandbox_refused", "NUL"),
        ("python.run", {}, "invalid_argument", "either"),
        ("python.run", {"code": "1", "timeout_s": 1e9}, "invalid_argument", "timeout_s"),
        ("python.run", {"code": "1", "memory_mib": 1}, "invalid_argument", "memory_mib"),
    ],
)
def test_other_ends_are_failures_that_are_not_tried_again(
    tmp_path: Path, name: str, args: dict[str, object], failure: str, message: str
) -> None:
    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            item = await stage.one(run(name, **args))
        assert code(item) == failure
        assert item.outcome.failure is not None
        assert message in item.outcome.failure.message
        assert not item.outcome.failure.retryable
        assert ("program.py" in item.outcome.failure.traceback) == ("1/0" in str(args))

    asyncio.run(scene())


def test_a_caller_may_take_the_statement_whatever_it_says(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            told = statement(await stage.one(run("python.run", code="1/0", check=False)))
        assert (told["status"], told["exit_code"], told["result"]) == ("error", 1, None)
        assert "ZeroDivisionError" in told["traceback"]

    asyncio.run(scene())


def test_a_program_comes_as_a_file_and_reads_stdin(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            (tmp_path / "shelf" / BLOB).write_bytes(b"..one\ntwo..")
            stdin = Input("stdin", extents=(Extent("in", BLOB, 2, 7),))
            program = Input("program", b"import sys; result = sys.stdin.read()")
            item = await stage.one(attempt("python.run", b"", program, stdin))
        assert statement(item)["result"] == "one\ntwo"

    asyncio.run(scene())


@pytest.mark.parametrize("how", ["def each(x): return x * 2", "result = item * 2"])
def test_a_map_is_one_list_in_order(tmp_path: Path, how: str) -> None:
    lines = b"".join(b"%d\n" % n for n in range(20)) + b"\n"

    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            (tmp_path / "shelf" / BLOB).write_bytes(lines)
            whole = Input("items", extents=(Extent("items", BLOB, 0, len(lines)),))
            asked = json.dumps({"code": how}).encode()
            split = attempt("python.map", asked, whole, phase=Phase.SPLIT, shards=3)
            shards = (await stage.one(split)).shards
            assert shards is not None
            assert len(shards) == 3
            calls = [attempt("python.map", each.args, *each.inputs, part=True) for each in shards]
            parts = tuple([item_value(await stage.one(each)) for each in calls])
            merge = attempt("python.map", phase=Phase.MERGE, parts=parts)
            assert json.loads(item_value(await stage.one(merge)).data) == [n * 2 for n in range(20)]

    asyncio.run(scene())


def test_a_map_tells_which_item_failed_and_takes_no_files(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(executor(tmp_path)) as stage:
            (tmp_path / "shelf" / BLOB).write_bytes(b"3\n0\n")
            items = Input("items", extents=(Extent("items", BLOB, 0, 4),))
            for how, failure in (
                ("result = 1 / item", "program_failed"),
                ("import os; open(os.environ['NOVA_OUT'] + '/f', 'a')", "sandbox_refused"),
            ):
                asked = json.dumps({"code": how}).encode()
                assert code(await stage.one(attempt("python.map", asked, items))) == failure
            assert "failed at the item 0\n" in stage.said

    asyncio.run(scene())


def test_the_node_hears_of_its_pools(tmp_path: Path) -> None:
    async def scene() -> None:
        runs = executor(tmp_path)
        assert runs.pools.take() == ()
        async with Stage(runs) as stage:
            for _ in range(2):
                item_value(await stage.one(run("python.run", code="1")))
            claims = 0
            async with asyncio.timeout(20):
                while True:
                    pools = runs.pools.take()
                    claims += sum(pool.claims for pool in pools)
                    if pools and pools[0][:5] == ("host", 1, 0, 0, 0) and claims == 2:
                        break
                    await asyncio.sleep(0.05)

    asyncio.run(scene())


def test_without_a_boundary_it_is_for_this_node_unless_told(tmp_path: Path) -> None:
    async def scene() -> None:
        for share, local in ((False, True), (True, False)):
            cards, warnings = await executor(tmp_path, share_process=share).describe()
            offered = {card.name: card for card in cards}
            assert {"python.run", "python.map", "shell.run"} <= offered.keys()
            assert offered["python.run"].local is local
            assert ("sandbox.boundary", "none") in offered["python.run"].labels
            assert not offered["core.noop"].local
            assert not warnings

    asyncio.run(scene())


def test_a_node_without_an_engine_says_so_and_offers_the_rest(tmp_path: Path) -> None:
    async def scene() -> None:
        absent = f"unix://{tmp_path}/absent"
        cards, warnings = await executor(tmp_path, runtime="docker", engine=absent).describe()
        names = {card.name for card in cards}
        assert "core.noop" in names
        assert not any("run" in name or "python" in name for name in names)
        (warning,) = warnings
        assert warning.startswith("python.run, shell.run, python.map: not offered, no container")
        assert "install Docker" in warning

    asyncio.run(scene())


def test_an_engine_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    async def scene() -> None:
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(f"{tmp_path}/mute")
            mute.listen()
            runs = executor(tmp_path, runtime="docker", engine=f"unix://{tmp_path}/mute")
            _, (warning,) = await runs.describe()
        assert "does not answer" in warning
        assert "nova-sandbox doctor" in warning

    asyncio.run(scene())


def test_what_is_withheld_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "later.py").write_text(LATER)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    async def scene() -> None:
        runs = executor(tmp_path, runtime="off")
        runs.setup = runs.setup._replace(modules=(*runs.setup.modules, "later"))
        cards, warnings = await runs.describe()
        assert warnings == ["later.run: not offered, no engine (fix: start it)"]
        assert runs.withheld
        before = {card.name for card in cards}
        asked = (tmp_path / "spool/asked").stat().st_size

        (tmp_path / "spool/half").touch()
        cards, warnings = await runs.describe()
        assert {card.name for card in cards} == before | {"later.run"}
        assert warnings == ["later.run: no image science"]
        assert runs.withheld

        (tmp_path / "spool/half").unlink()
        (tmp_path / "spool/here").touch()
        cards, warnings = await runs.describe()
        assert {card.name for card in cards} == before | {"later.run"}
        assert (warnings, runs.withheld) == ([], False)
        assert (tmp_path / "spool/asked").stat().st_size == asked * 3

    asyncio.run(scene())


def test_a_node_that_wants_none_is_not_warned(tmp_path: Path) -> None:
    async def scene() -> None:
        cards, warnings = await executor(tmp_path, runtime="off").describe()
        assert "python.run" not in {card.name for card in cards}
        assert not warnings

    asyncio.run(scene())
