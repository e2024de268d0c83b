"""Documents keep their word: commands exist, links resolve, no file names its author's machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support.repo import ROOT, files

DOCUMENTS = [p for p in files() if p.suffix == ".md"]
PROGRAMS = ("nova", "nova-node", "nova-sandbox")
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:work|root|(?:home|Users)(?!/(?:me|you)\b))/[A-Za-z0-9_.-]+"
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[str]:
    """Lines of code blocks, and inline code, that start with one of our programs or make."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines = [re.sub(r"^(\$ |[A-Z_]+=\S+ )+", "", line) for line in lines]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [line.split(" #")[0] for line in lines if line.split(" ")[0] in (*PROGRAMS, "make")]


@cache
def help_of(*words: str) -> str:
    program = Path(sys.executable).with_name(words[0])
    run = subprocess.run(
        [program, *words[1:], "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert run.returncode == 0, f"{' '.join(words)} does not exist: {run.stderr}"
    return run.stdout


def subcommands(help_text: str) -> set[str]:
    _, _, listed = help_text.partition("Commands:")
    return set(re.findall(r"^  ([a-z][a-z-]*)", listed, re.M))


def faults(command: str) -> list[str]:
    """What is wrong with a command line of ours."""
    words = command.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        return [w for w in words[1:] if "=" not in w and w not in targets]
    path, rest = [words[0]], words[1:]
    while rest and (known := subcommands(help_of(*path))):
        if rest[0].startswith("-"):
            break
        if rest[0] not in known:
            return [f"no command {rest[0]}"]
        path.append(rest.pop(0))
    flags = {w.split("=")[0] for w in rest if w.startswith("--") and w != "--"}
    return [f"no option {f}" for f in flags if f not in help_of(*path)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_and_options_exist(path: Path) -> None:
    wrong = {c: f for c in commands(path.read_text()) if (f := faults(c))}
    assert not wrong


def test_a_wrong_command_is_noticed() -> None:
    assert commands("```\n$ make nothing  # x\n```\nand `make test`") == [
        "make nothing ",
        "make test",
    ]
    assert faults("make nothing") == ["nothing"]
    assert not faults("make demo PATH=folder")
    assert faults("nova-node fly") == ["no command fly"]
    assert faults("nova-node start --wings") == ["no option --wings"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_resolve(path: Path) -> None:
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file) if file else path
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            broken.append(target)
    assert not broken


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_no_file_names_the_machine_it_was_written_on() -> None:
    found = [
        f"{name(path)}: {match[0]}"
        for path in files()
        for match in MACHINE_PATH.finditer(path.read_text(errors="replace"))
    ]
    assert not found
