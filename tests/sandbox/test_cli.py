"""The command `nova-sandbox`: what it prints, and what its exit code means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nova_sandbox.cli.fault import printable
from nova_sandbox.cli.run import EXITS, save
from nova_sandbox.events import Status
from nova_sandbox.image import Image

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    def run(*words: str, stdin: str = "", engine: str = "") -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "DOCKER_HOST": engine} if engine else {**os.environ}
        return subprocess.run(
            [sys.executable, "-m", "nova_sandbox", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            cwd=tmp_path,
            env=env,
        )

    return run


@pytest.fixture
def run(command: Command, engine_url: str, image: Image) -> Command:
    options = ["run", "--engine", engine_url, "--image", image.name, "--no-self-test"]

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return command(*options, *words, stdin=stdin)

    return run


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    probe = (
        "import sys; sys.argv = ['nova-sandbox', '--help']\n"
        "from nova_sandbox.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    took_s: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
        took_s.append(time.monotonic() - began)
        assert "doctor" in shown.stdout
        assert not {"docker", "requests", "nova_node", "grpc"} & set(shown.stderr.split())
    assert min(took_s) < 1.0


def test_a_program_from_a_file_with_its_own_options(run: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\nprint(sys.argv[1:])\nprint('to stderr', file=sys.stderr)\n"
        "open('/out/made', 'w').write('data')\nresult = {'a': 1}\n"
    )
    ran = run("--out", "files", "program.py", "--memory", "x")
    assert ran.stdout == "['--memory', 'x']\nresult: {\"a\":1}\n", ran
    assert ran.stderr == "to stderr\n"
    assert ran.returncode == 0
    assert (tmp_path / "files/made").read_text() == "data"


def test_a_program_from_stdin_as_json(run: Command) -> None:
    ran = run("--json", "-", stdin="print('hi')\nresult = 1")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines[0] == {"event": "output", "stream": "stdout", "text": "hi\n"}
    assert lines[-1]["status"] == "ok"
    assert lines[-1]["result"] == "1"


@pytest.mark.parametrize(
    ("options", "program", "code", "says"),
    [
        ((), "1 / 0", 1, "ZeroDivisionError"),
        (("--timeout", "0.3"), "while True: pass", 4, "timeout: still running"),
        ((), "a\0b", 5, "refused: the code holds a NUL"),
        (("--memory", "1"), "", 2, "memory_bytes"),
        (("--tier", "untrusted"), "", 5, "runsc"),
        (("--image", "missing"), "", 1, "image build"),
        (("--image", "python:3"), "", 5, "digest"),
        (("--engine", "unix:///nowhere"), "", 3, "install Docker"),
        (("--oci-runtime", "nothing"), "", 5, "no runtime nothing"),
    ],
)
def test_exit_codes(
    run: Command, options: tuple[str, ...], program: str, code: int, says: str
) -> None:
    ran = run(*options, "-", stdin=program)
    assert ran.returncode == code, ran
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr or "program.py" in ran.stderr


def test_every_end_has_an_exit_code() -> None:
    assert set(EXITS) == set(Status)
    assert [status for status, code in EXITS.items() if code == 0] == [Status.OK]


def test_the_fallback_says_what_it_is(command: Command) -> None:
    ran = command("run", "--runtime", "process", "-", stdin="print(1)")
    assert (ran.stdout, ran.returncode) == ("1\n", 0)
    assert "no boundary" in ran.stderr


def test_images_and_containers_are_shown(command: Command, engine_url: str, image: Image) -> None:
    listed = command("image", "list", "--json", "--engine", engine_url)
    assert image.id in {json.loads(line)["id"] for line in listed.stdout.splitlines()}
    assert command("pool", "--json", "--engine", engine_url).returncode == 0
    assert command("pool", "--reap", "--engine", engine_url).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("image", "build"),
        ("image", "build", "--from-host", "--label", "nothing"),
        ("image", "build", "--from-host", "--wheels", "."),
        ("run", "missing.py"),
    ],
)
def test_mistakes_name_the_fix(command: Command, words: tuple[str, ...]) -> None:
    ran = command(*words, engine="unix:///nowhere")
    assert ran.returncode == 2
    assert "fix:" in ran.stderr


def test_doctor_with_and_without_an_engine(command: Command, engine_url: str, image: Image) -> None:
    good = command("doctor", "--json", "--engine", engine_url, "--image", image.name)
    assert good.returncode == 0, good
    assert {json.loads(line)["level"] for line in good.stdout.splitlines()} <= {"ok", "note"}
    bad = command("doctor", "--engine", "unix:///nowhere")
    assert bad.returncode == 1
    assert "fix: install Docker" in bad.stdout


@pytest.mark.long
def test_trials_can_be_run_by_a_person(command: Command, engine_url: str, image: Image) -> None:
    words = ("--engine", engine_url, "--image", image.name)
    ran = command("test", "--only", "hard link", *words)
    assert ran.stdout == "ok   a hard link\n1 of 1 hold\n", ran
    assert command("test", "--only", "no such trial", *words).returncode == 1


def test_files_are_never_written_over_others_or_through_links(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    out = tmp_path / "out"
    save(out, "a/b", b"data")
    assert (out / "a/b").read_bytes() == b"data"
    (out / "link").symlink_to(target)
    for name in ("a/b", "link"):
        with pytest.raises(FileExistsError):
            save(out, name, b"other")
    assert target.read_text() == "mine"


def test_a_terminal_is_told_nothing_that_it_obeys() -> None:
    assert printable("a\x1b[2Jb\u202ec\nd\te") == "a\ufffd[2Jb\ufffdc\nd\te"
