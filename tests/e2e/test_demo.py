"""The demo, as a newcomer runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support.mesh import NODE, wait_for
from support.terminal import Terminal
from support.tools import absent

NAMES = {"alder", "birch", "cedar"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a demo whose temporary folder is our own to look into."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**kept, "TMPDIR": str(folder)}


def leftovers(environment: dict[str, str]) -> list[str]:
    folder = environment["TMPDIR"]
    left = [str(path) for path in Path(folder).iterdir()]
    for process in psutil.process_iter(["cmdline"]):
        if any(folder in part for part in process.info["cmdline"] or ()):
            left.append(str(process))
    return left


def test_the_account_of_a_run(tmp_path: Path, environment: dict[str, str]) -> None:
    text = tmp_path / "text"
    text.mkdir()
    for number in range(8):
        (text / f"{number}.txt").write_text(f"alpha beta file{number} " * 20_000)
    done = subprocess.run(
        [NODE, "demo", "--path", str(text)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    found = set(re.findall(r"([a-z]+) found ([a-z]+)", said))
    assert found == {(who, whom) for who in NAMES for whom in NAMES - {who}}
    killed = re.search(r"killed +([\d.]+) s  (birch|cedar), .* when (\d+) of (\d+) shards", said)
    assert killed is not None, said
    assert int(killed[4]) / 3 <= int(killed[3]) < int(killed[4])
    assert re.search(r"noticed +[\d.]+ s  by the owner, \d+ ms later", said)
    assert "most     alpha 160,000, beta 160,000, file0 20,000" in said
    assert "words    480,000, 10 different" in said
    assert said.endswith("counts agree\n")
    wait_for(lambda: not leftovers(environment), "nothing to be left")


@pytest.mark.skipif(absent("tmux"), reason="needs tmux")
@pytest.mark.parametrize("by", ["q", "SIGTERM"])
def test_in_a_terminal_it_ends_in_the_console(
    tmp_path: Path, environment: dict[str, str], by: str
) -> None:
    """With the story in it, and nothing is left however one leaves it."""
    text = tmp_path / "text"
    text.mkdir()
    for number in range(8):
        (text / f"{number}.txt").write_text(f"alpha beta file{number} " * 20_000)
    terminal = Terminal(tmp_path, environment, 120, 40)
    try:
        terminal.type(f"{NODE} demo --path {text}; echo left-with-$?", "Enter")
        terminal.shows("LIVE", "Flow of", "text.wordcount · done", " 0 running", timeout_s=60.0)
        terminal.shows("critical split → shard", "alder", "By node")
        terminal.type("1")
        terminal.shows("● alder", "✖ 1 down")
        if by == "q":
            terminal.type("q")
            terminal.shows("result   counts agree", "left-with-0")
        else:
            shell = terminal.console().parent()
            assert shell is not None
            shell.send_signal(signal.SIGTERM)
            terminal.shows("result   counts agree", "left-with-130")
        assert "Topology" not in terminal.screen()
        wait_for(lambda: not leftovers(environment), "nothing to be left")
    finally:
        terminal.end()


@pytest.mark.skipif(absent("tmux"), reason="needs tmux")
@pytest.mark.parametrize("how", ["nova-node demo --no-console", "CI=1 nova-node demo"])
def test_it_ends_without_the_console_when_told_so(
    tmp_path: Path, environment: dict[str, str], how: str
) -> None:
    (tmp_path / "text.txt").write_text("alpha beta " * 20_000)
    terminal = Terminal(tmp_path, environment, 120, 40)
    try:
        command = how.replace("nova-node", NODE)
        terminal.type(f"{command} --path {tmp_path / 'text.txt'}; echo left-with-$?", "Enter")
        terminal.shows("result   counts agree", "left-with-0", timeout_s=60.0)
        wait_for(lambda: not leftovers(environment), "nothing to be left")
    finally:
        terminal.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing(
    environment: dict[str, str], number: signal.Signals
) -> None:
    demo = subprocess.Popen(
        [NODE, "demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("found"):
            break
    demo.send_signal(number)
    began = time.monotonic()
    demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert time.monotonic() - began < 10
    wait_for(lambda: not leftovers(environment), "nothing to be left")


def test_a_folder_that_is_not_there(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [NODE, "demo", "--path", "/no/such/folder"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "/no/such/folder" in done.stderr
