"""The command `nova-node`, without a node: a servicer of few lines stands in for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from nova_proto.v1 import nodes_pb2, nodes_pb2_grpc, task_pb2

import nova_node
from nova_node.adapters.local_nodes import LocalNode, announce, nodes_dir
from nova_node.cli import main
from nova_node.config import NodeConfig
from nova_node.core.errors import InUse


class StandIn(nodes_pb2_grpc.NodesServicer):
    def __init__(self) -> None:
        self.drains: list[nodes_pb2.DrainRequest] = []
        self.left_running = 0
        self.drained = True

    def Status(self, request: Any, context: Any) -> nodes_pb2.NodeStatus:
        status = nodes_pb2.NodeStatus(running=3, pid=7, up_s=12.5, data_dir="data\x1b[31m")
        member = status.node.member
        member.node, member.name, member.mesh = "id-of-a", "a", "nova"
        member.version, member.protocol, member.digest.slots = "0.1.0", 1, 2
        return status

    def Drain(self, request: nodes_pb2.DrainRequest, context: Any) -> nodes_pb2.DrainReply:
        self.drains.append(request)
        if request.timeout_s == 1:
            error = task_pb2.Error(code="draining", message="already draining", fix="wait")
            context.set_trailing_metadata((("nova-error-bin", error.SerializeToString()),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "already draining")
        return nodes_pb2.DrainReply(left_running=self.left_running)

    def Resume(self, request: Any, context: Any) -> nodes_pb2.ResumeReply:
        return nodes_pb2.ResumeReply(was_draining=self.drained)


class Served:
    def __init__(self, address: str, servicer: StandIn) -> None:
        self.address = address
        self.servicer = servicer


@pytest.fixture
def served() -> Generator[Served]:
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        servicer = StandIn()
        healthy: Any = health.HealthServicer()
        healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        nodes_grpc: Any = nodes_pb2_grpc
        nodes_grpc.add_NodesServicer_to_server(servicer, server)
        health_grpc: Any = health_pb2_grpc
        health_grpc.add_HealthServicer_to_server(healthy, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield Served(f"127.0.0.1:{port}", servicer)
        server.stop(None).wait()


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("NOVA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def nova_node_command(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def announce_at(address: str, name: str = "a") -> None:
    announce(LocalNode(f"id-of-{name}", name, address, "nova", "data", os.getpid()), nodes_dir())


def test_help_is_quick_and_loads_click_alone() -> None:
    program = """
import sys
from nova_node.cli import main
try:
    main(['--help'])
finally:
    print(*sys.modules)
"""
    took_s: list[float] = []
    loaded: set[str] = set()
    for _ in range(5):
        began = time.monotonic()
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        took_s.append(time.monotonic() - began)
        assert run.returncode == 0, run.stderr
        loaded = set(run.stdout.splitlines()[-1].split())
    heavy = {"grpc", "zeroconf", "asyncio", "psutil", "platformdirs", "nova_node.config"}
    assert not loaded & heavy
    assert min(took_s) < 0.5


def test_every_command_has_help() -> None:
    for name in main.commands:
        result = nova_node_command(name, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_config_prints_values_and_origins() -> None:
    result = nova_node_command("config", "--json", "--mesh", "lab", "--set", "limits.wall_s=9")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    settings = {s["key"]: s for s in document["settings"]}
    assert settings["mesh"]["value"] == "lab"
    assert settings["mesh"]["origin"] == "flag"
    assert settings["limits.wall_s"]["value"] == 9
    assert settings["slots"]["origin"] == "default"
    words = nova_node_command("config", "--label", "a=b", "--peer", "[::1]:7601").stdout
    assert '{"a": "b"}' in words
    assert '["[::1]:7601"]' in words


def test_config_written_down_is_read_back(tmp_path: Path) -> None:
    """`config --json` gives values that config.toml takes."""
    document = json.loads(nova_node_command("config", "--json", "--label", "a=b").stdout)
    lines: list[str] = []
    tables: dict[str, list[str]] = {}
    for setting in document["settings"]:
        table, _, key = setting["key"].rpartition(".")
        if setting["key"] == "labels":
            tables["labels"] = [f"{k} = {json.dumps(v)}" for k, v in setting["value"].items()]
        else:
            tables.setdefault(table, []).append(f"{key} = {json.dumps(setting['value'])}")
    lines += tables.pop("")
    for table, rows in tables.items():
        lines += [f"[{table}]", *rows]
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines))
    again = json.loads(nova_node_command("config", "--json", "--config", str(path)).stdout)
    assert [s["value"] for s in again["settings"]] == [s["value"] for s in document["settings"]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["config", "--listen", "nonsense:"], 2, "HOST:PORT"),
        (["config", "--set", "lables=a=b"], 2, "labels"),
        (["config", "--set", "novalue"], 2, "KEY=VALUE"),
        (["config", "--config", "not-there.toml"], 2, "no config file"),
        (["start", "--listen", "0.0.0.0:7600"], 5, "nova-node init"),
        (["start", "--wings"], 2, "--wings"),
        (["fly"], 2, "fly"),
        (["status"], 3, "no node of yours runs"),
        (["status", "--node", "127.0.0.1:1"], 3, "no node answers"),
        (["drain"], 3, "no node of yours runs"),
        (["drain", "--node", "::1"], 2, "brackets"),
    ],
)
def test_a_mistake_gets_one_message_and_a_fix(words: list[str], code: int, said: str) -> None:
    result = nova_node_command(*words)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_start_hands_its_config_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[NodeConfig] = []

    def run(config: NodeConfig, adopt: bool) -> int:
        ran.append(config)
        return 4

    put_in_place(monkeypatch, "node", run)
    result = nova_node_command("start", "--name", "b", "--listen", "127.0.0.1:7700", "--no-mdns")
    assert result.exit_code == 4
    assert "node b of mesh nova: 127.0.0.1:7700" in result.stderr
    assert not ran[0].discovery.mdns


def test_a_node_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: NodeConfig, adopt: bool) -> int:
        raise InUse(f"{config.listen} is taken", "choose another with --listen")

    put_in_place(monkeypatch, "node", run)
    result = nova_node_command("start")
    assert result.exit_code == 1
    assert "error: 127.0.0.1:7600 is taken\n  fix: choose another" in result.stderr


def test_demo_gets_its_path_and_whether_to_end_in_the_console(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[str | None, bool]] = []

    def run(path: str | None, with_console: bool) -> int:
        given.append((path, with_console))
        return 0

    put_in_place(monkeypatch, "demo", run)
    assert nova_node_command("demo").exit_code == 0
    assert nova_node_command("demo", "--path", "folder").exit_code == 0
    assert nova_node_command("demo", "--no-console").exit_code == 0
    assert given == [(None, True), ("folder", True), (None, False)]


def put_in_place(monkeypatch: pytest.MonkeyPatch, name: str, run: Any) -> None:
    module = ModuleType(f"nova_node.{name}")
    vars(module)["run"] = run
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(nova_node, name, module, raising=False)


def test_status_of_the_node_here(served: Served) -> None:
    announce_at(served.address)
    words = nova_node_command("status")
    assert words.exit_code == 0
    assert "a (id-of-a)" in words.stdout
    assert "3 running" in words.stdout
    assert "\x1b" not in words.stdout
    document = json.loads(nova_node_command("status", "--json").stdout)
    assert document["schema"] == 1
    assert document["nodes"][0]["address"] == served.address
    assert document["nodes"][0]["running"] == 3
    assert document["nodes"][0]["pid"] == 7


def test_status_shows_the_others_when_one_does_not_answer(served: Served) -> None:
    announce_at(served.address)
    announce_at("127.0.0.1:1", "b")
    result = nova_node_command("status")
    assert result.exit_code == 0
    assert "a (id-of-a)" in result.stdout
    assert "127.0.0.1:1: no node answers" in result.stdout


def test_drain_by_name_address_or_as_the_only_one(served: Served) -> None:
    announce_at(served.address)
    assert nova_node_command("drain").exit_code == 0
    assert nova_node_command("drain", "--node", "a", "--stay").exit_code == 0
    assert nova_node_command("drain", "--node", served.address, "--timeout", "3").exit_code == 0
    assert [(d.stay, d.timeout_s) for d in served.servicer.drains] == [
        (False, 60),
        (True, 60),
        (False, 3),
    ]


def test_drain_says_what_was_left(served: Served) -> None:
    served.servicer.left_running = 2
    result = nova_node_command("drain", "--node", served.address, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["left_running"] == 2


def test_resume_says_whether_there_was_a_drain(served: Served) -> None:
    announce_at(served.address)
    for was, says in ((True, "takes work again"), (False, "it was not draining")):
        served.servicer.drained = was
        assert says in nova_node_command("resume").stdout
        result = nova_node_command("resume", "--node", "a", "--json")
        assert json.loads(result.stdout)["was_draining"] is was


def test_drain_must_know_which(served: Served) -> None:
    announce_at(served.address)
    announce_at("127.0.0.1:1", "b")
    result = nova_node_command("drain")
    assert result.exit_code == 2
    assert "--node" in result.stderr
    assert not served.servicer.drains


def test_what_the_node_says_of_its_error_is_shown(served: Served) -> None:
    result = nova_node_command("drain", "--node", served.address, "--timeout", "1")
    assert result.exit_code == 1
    assert "error: already draining\n  fix: wait" in result.stderr


def test_doctor_asks_a_named_peer(served: Served, tmp_path: Path) -> None:
    result = nova_node_command(
        "doctor", "--json", "--no-mdns", "--listen", "127.0.0.1:0", "--peer", served.address
    )
    document = json.loads(result.stdout)
    (peer,) = [f for f in document["findings"] if f["check"] == f"peer {served.address}"]
    assert peer["verdict"] == "ok"
    other = nova_node_command(
        "doctor", "--no-mdns", "--listen", "127.0.0.1:0", "--mesh", "lab", "--peer", served.address
    )
    assert other.exit_code == 1
    assert "it is of mesh nova" in other.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    result = nova_node_command("completion", shell)
    assert result.exit_code == 0
    assert "_NOVA_NODE_COMPLETE" in result.stdout
