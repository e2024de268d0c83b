"""The `nova` command against a fake node in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from nova_console.cli import COMMANDS, cli
from support.fake_node import fake_process

SCRIPT = "from nova_console.cli import main; main()"


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with fake_process() as address:
        yield address


def nova(node: str, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "--node", node], catch_exceptions=False)


def test_run_prints_the_result_and_nothing_else(node: str):
    ran = nova(node, "run", "core.echo", "--arg", "value=[1]", "--arg", "count=2")
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"value": [1], "count": 2})
    assert ran.stderr == "one\ntwo \\x1b[31mred\n"


def test_run_prints_json_with_a_schema(node: str):
    ran = nova(node, "run", "core.upper", "--arg", "data=abc", "--json")
    fields = json.loads(ran.stdout)
    assert (fields["schema"], fields["status"], fields["value"]) == (1, "done", {"base64": "QUJD"})


def test_run_packs_folders(node: str, tmp_path: Path):
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    ran = nova(node, "run", "text.words", "--input", str(tmp_path), "--arg", "deep=no")
    names = [f"{tmp_path.name}/a", f"{tmp_path.name}/b"]
    assert json.loads(ran.stdout) == {"names": names, "deep": False}


def test_every_question_is_answered_in_both_forms(node: str):
    detached = nova(node, "run", "core.echo", "--detach", "--json")
    id = json.loads(detached.stdout)["id"]
    for args, human in (
        (["tasks"], id),
        (["show", id], "core.echo"),
        (["logs", id], "two \\x1b[31mred"),
        (["explain", id], "waits for a free slot"),
        (["nodes"], "fake\\x1b[2J"),
        (["capabilities"], "text.words files:files [deep:bool]"),
        (["flow", id], "1 of 1 steps"),
        (["resume", "k7q2"], "takes work again"),
        (["cancel", id], "cancelled"),
    ):
        plain = nova(node, *args)
        assert plain.exit_code == 0, plain.output
        assert human in plain.stdout
        assert "\x1b" not in plain.output
        for line in nova(node, *args, "--json").stdout.splitlines():
            assert json.loads(line)["schema"] == 1


def test_drain_fails_while_something_still_runs(node: str):
    left = nova(node, "drain", "--stay")
    assert (left.exit_code, left.stdout) == (1, "3 attempts were still running after 60 s\n")
    assert json.loads(nova(node, "drain", "fake\x1b[2J", "--json").stdout)["left_running"] == 0


def test_dead_letters_are_requeued_alone_all_together_or_edited(node: str):
    ids: list[str] = []
    for _ in range(3):
        ran = nova(node, "run", "core.fail", "--arg", "message=no luck", "--json")
        ids.append(json.loads(ran.stdout)["id"])
    ran = nova(node, "requeue", ids[0])
    assert (ran.exit_code, ran.stdout) == (0, f"{ids[0]} waiting\n")
    ran = nova(node, "requeue", ids[0], ids[1])
    assert (ran.exit_code, ran.stdout) == (1, f"{ids[1]} waiting\n")
    assert f"{ids[0]}: it is none; look again" in ran.stderr
    ran = nova(node, "requeue", ids[2], "--arg", "message=else", "--json")
    made = json.loads(ran.stdout)
    assert made["again_of"] == ids[2]
    assert json.loads(nova(node, "show", made["id"], "--json").stdout)["args"] == {
        "message": "else"
    }
    ran = nova(node, "requeue", "--all", "--capability", "core.fail", "--json")
    assert {one["id"] for one in json.loads(ran.stdout)["tasks"]} >= {ids[2]}
    assert "no dead letters" in nova(node, "requeue", "--all", "--capability", "core.none").stderr


def test_options_before_the_command_count_too(node: str):
    ran = CliRunner().invoke(cli, ["--node", node, "--json", "nodes"])
    assert json.loads(ran.stdout)["mesh"] == "home"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["run", "core.fail", "--arg", "message=no luck"], 1, "error: no luck"),
        (["show", "nobody-1"], 1, "fix: look again"),
        (["run", "core.eco"], 1, "did you mean core.echo"),
        (["run", "core.fail"], 2, "--arg message=STR"),
        (["run", "core.echo", "--arg", "count=x"], 2, "count takes int"),
        (["run", "core.echo", "--priority", "10"], 2, "0<=x<=9"),
        (["run", "core.hang", "--timeout", "0.05"], 4, "nova cancel"),
        (["tasks", "--status", "asleep"], 2, "asleep"),
        (["nothing"], 2, "No such command"),
        (["requeue"], 2, "name tasks, or --all"),
        (["requeue", "k7q2m9xd-1", "--all"], 2, "name tasks, or --all"),
        (["requeue", "a", "b", "--arg", "value=1"], 2, "one task at a time"),
        (["resume", "nobody"], 1, "no node is called nobody"),
    ],
)
def test_exit_codes_and_fixes(node: str, args: list[str], code: int, says: str):
    ran = nova(node, *args) if args != ["nothing"] else CliRunner().invoke(cli, args)
    assert (ran.exit_code, ran.stdout) == (code, "")
    assert says in ran.stderr
    assert "Traceback (most" not in ran.output


def test_nobody_there_is_exit_3():
    ran = nova("127.0.0.1:9", "nodes")
    assert ran.exit_code == 3
    assert "error: no node answers at 127.0.0.1:9\nfix: " in ran.stderr
    error = json.loads(nova("127.0.0.1:9", "nodes", "--json").stderr)["error"]
    assert error["code"] == "unavailable"


def test_failures_in_json_go_to_stdout_with_the_task(node: str):
    ran = nova(node, "run", "core.fail", "--arg", "message=no luck", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["failure"]["message"]) == (1, "no luck")


def test_empty_lists_say_what_to_do_next(node: str):
    ran = nova(node, "tasks", "--capability", "no.such")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert "`nova tasks` lists them all" in ran.stderr


def test_ctrl_c_leaves_the_task_running(node: str):
    command = [sys.executable, "-c", SCRIPT, "run", "core.hang", "--node", node]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "goes on" in err
    assert "nova logs -f k7q2m9xd-" in err
    assert "Traceback" not in err


def test_watch_prints_events_until_the_reader_leaves(node: str):
    nova(node, "run", "core.noop")
    command = [sys.executable, "-c", SCRIPT, "watch", "--from-seq", "1", "--json", "--node", node]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert (first["schema"], first["seq"], first["kind"]) == (1, 1, "accepted")


def test_help_is_quick_and_loads_no_grpc():
    code = (
        "import sys; from nova_console.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'google.protobuf', 'nova_client', 'asyncio', 'nova_node'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = os.times()
    assert (done.returncode, done.stderr) == (0, "")
    used_s = after.children_user + after.children_system
    used_s -= before.children_user + before.children_system
    assert used_s < 0.5
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str):
    ran = CliRunner().invoke(cli, [name, "--help"])
    assert ran.exit_code == 0
    assert "Usage: " in ran.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str):
    ran = CliRunner().invoke(cli, ["completion", shell])
    assert ran.exit_code == 0
    assert "_NOVA_COMPLETE" in ran.stdout
