"""The console in a real terminal: typed at and read through tmux, with real nodes that are killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mesh import NOVA, Mesh, Node, met, run, wait_for
from support.terminal import Terminal
from support.tools import absent

pytestmark = pytest.mark.skipif(absent("tmux"), reason="needs tmux")

AFTER = "back-in-the-shell"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Node, Node]]:
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        one = mesh.start("one", "--slots", "1", "--capability", "support.sample_capabilities")
        two = mesh.start("two", "--slots", "1")

        async def ready() -> None:
            async with one.client() as client:
                await met(client, 2)

        run(ready())
        yield mesh, one, two


@pytest.fixture
def terminal(pair: tuple[Mesh, Node, Node]) -> Iterator[Terminal]:
    mesh, one, _ = pair
    terminal = Terminal(mesh.folder, mesh.environment, 100, 32)
    try:
        terminal.type(f"{NOVA} console --node {one.address}; echo {AFTER}", "Enter")
        terminal.shows("LIVE", "2/2 up")
        yield terminal
    finally:
        terminal.end()
        shutil.rmtree(mesh.folder / "tmux")


def test_a_task_is_started_found_and_followed_by_keys(
    pair: tuple[Mesh, Node, Node], terminal: Terminal, tmp_path: Path
) -> None:
    terminal.type("6")
    terminal.shows("core.echo data:json")
    terminal.type("/", "e", "c", "h", "o", "Enter")
    terminal.shows("1 capabilities")
    terminal.type("Enter")
    terminal.shows("JSON or bytes", "fill in what has a *")
    terminal.type("4", "2")
    terminal.shows("nova --node", "run core.echo")
    terminal.type("Enter")
    terminal.shows("✔ done", "RESULT", "42", "OUTPUT")
    terminal.type("4")
    terminal.shows("accepted", "core.echo", "finished", "following")
    (tmp_path / "text").write_text("a few words\n" * 1000)
    mesh, one, _ = pair
    words = mesh.nova("run", "text.wordcount", "--input", str(tmp_path), "--shards", "4", node=one)
    assert words.returncode == 0, words.stderr
    terminal.type("5")
    terminal.shows("Flow of", "6 of 6 steps", "critical split → shard", "run ×4  4/4")
    terminal.type("z")
    terminal.shows("REPLAY", "◆")
    terminal.type("q")
    terminal.shows(AFTER)


def test_it_stays_while_its_node_dies_and_shows_it_again(
    pair: tuple[Mesh, Node, Node], terminal: Terminal
) -> None:
    _, one, two = pair
    two.kill()
    terminal.shows("✖ 1 down", "✖ two")
    one.kill()
    terminal.shows("OFFLINE", "no node answers at", "r now")
    terminal.type("4")
    terminal.shows("Events")
    one.restart()
    two.restart()
    terminal.type("r")
    terminal.shows("LIVE", "2/2 up")


def test_suspend_and_signals_give_the_terminal_back(terminal: Terminal) -> None:
    terminal.type("C-z")
    terminal.shows("topped")
    terminal.type("fg", "Enter")
    terminal.shows("LIVE", "Topology", "two", "quit")
    console = terminal.console()
    os.kill(console.pid, signal.SIGTERM)
    wait_for(lambda: not console.is_running(), "the console to end")
    terminal.type("echo on-a-clean-line", "Enter")
    assert "Topology" not in terminal.shows("\non-a-clean-line")


def test_a_terminal_that_is_closed_leaves_no_process(terminal: Terminal) -> None:
    console = terminal.console()
    terminal.end()
    wait_for(lambda: not console.is_running(), "the console to end")


def test_without_a_terminal_it_says_what_to_use(pair: tuple[Mesh, Node, Node]) -> None:
    mesh, one, _ = pair
    done = mesh.nova("console", node=one)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nova watch --json" in done.stderr
