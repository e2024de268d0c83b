"""A package of capabilities, installed as its users would, runs."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.mesh import Mesh, met, run
from support.stage import Stage, attempt, value

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.core.model import BlobRef, Encoding, Extent, Input, Phase, Value

EXAMPLE = Path(__file__).parents[1] / "support" / "plugin_example"
TEXT = b"a bb " * 1000 + b"the-longest-word " + b"c " * 1000


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
    ]
    options = ["--disable-pip-version-check", "--no-input", "--quiet", "--target", str(target)]
    subprocess.run([*pip, *options, str(EXAMPLE)], check=True, stdin=subprocess.DEVNULL)
    return target


def test_an_installed_plug_in_runs(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed)])
    (tmp_path / "text").write_bytes(TEXT)

    def locate(blob_id: str) -> str:
        return str(tmp_path / blob_id)

    def keep(path: str, encoding: Encoding, sensitive: bool) -> BlobRef:
        raise AssertionError("nothing is large here")

    async def scene() -> None:
        executor = ProcessExecutor(str(tmp_path / "spool"), locate, keep)
        async with Stage(executor) as stage:
            cards, warnings = await executor.describe()
            assert not warnings
            assert next(card for card in cards if card.name == "example.longest").splits
            files = Input("files", extents=(Extent("text", "text", 0, len(TEXT)),))
            split = await stage.one(
                attempt("example.longest", b"", files, phase=Phase.SPLIT, shards=4)
            )
            assert split.shards is not None
            assert len(split.shards) == 4
            runs = await stage.run(
                *(attempt("example.longest", each.args, *each.inputs) for each in split.shards)
            )
            parts: tuple[Value, ...] = tuple(r.outcome.value for r in runs if r.outcome.value)
            merged = await stage.one(attempt("example.longest", phase=Phase.MERGE, parts=parts))
            assert value(merged) == b'"the-longest-word"'

    asyncio.run(scene())


def test_an_installed_plug_in_runs_on_a_node(installed: Path, tmp_path: Path, mesh: Mesh) -> None:
    """Found by its entry point alone, offered to a node that lacks it, called by name."""
    mesh.environment["PYTHONPATH"] += os.pathsep + str(installed)
    mesh.start("has", "--slots", "1")
    mesh.environment["PYTHONPATH"] = mesh.environment["PYTHONPATH"].rpartition(os.pathsep)[0]
    lacks = mesh.start("lacks", "--slots", "1")
    (tmp_path / "text").write_bytes(TEXT)

    async def offered() -> None:
        async with lacks.client() as client:
            await met(client, 2)

    run(offered())
    done = mesh.nova("run", "example.longest", "--input", str(tmp_path / "text"), node=lacks)
    assert done.returncode == 0, done.stderr
    assert "the-longest-word" in done.stdout
