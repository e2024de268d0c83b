"""Real nodes as processes, each mesh with a name, ports and folders of its own.

`with Mesh(folder) as mesh` ends every process it started, whatever happened; on the way out it writes
the nodes' logs to stdout, which pytest shows when the test failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
from nova_client import Client
from nova_proto import local_key

T = TypeVar("T")

PATIENCE_S = 20.0
PAUSE_S = 0.01
LOG_SHOWN_CHARS = 8_000
BIN = Path(sys.executable).parent
NODE, NOVA = str(BIN / "nova-node"), str(BIN / "nova")


class Node:
    """One `nova-node start`, whose options are kept for starting it again."""

    def __init__(self, mesh: Mesh, name: str, options: Sequence[str], command: Sequence[str]):
        self.name = name
        self.data_dir = mesh.folder / name
        self.log = mesh.folder / f"{name}.log"
        self._mesh = mesh
        self._options = options
        self._command = command
        self._address = ""
        self.spawn()

    def spawn(self) -> None:
        """Start it, at the address that it had when it was asked for."""
        options = [*self._command, NODE, "start", "--name", self.name, "--mesh", self._mesh.name]
        options += ["--data-dir", str(self.data_dir)]
        if "--listen" not in self._options:
            options += ["--listen", self._address or "127.0.0.1:0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*options, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._mesh.environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self) -> str:
        """Waits until the node has told where it is."""
        if not self._address:
            self._address = wait_for(self._told, f"node {self.name} to serve")["address"]
        return self._address

    @property
    def id(self) -> str:
        return str(wait_for(self._told, f"node {self.name} to serve")["node"])

    def _told(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            raise AssertionError(f"node {self.name} ended with {self.process.returncode}")
        for file in (self._mesh.runtime_dir / "nodes").glob("*.json"):
            with suppress(OSError, ValueError):
                note: dict[str, Any] = json.loads(file.read_text())
                if note["pid"] == self._node_pid():
                    return note
        return None

    def _node_pid(self) -> int:
        """Of the node itself, below whatever it was started with."""
        return self.pid

    def keyed(self, channel: Any) -> Any:
        """What to make stubs on, for a channel of gRPC's own."""
        return local_key.Keyed(channel, local_key.read(self._mesh.runtime_dir))

    def client(self, **options: Any) -> Client:
        return Client(self.address, **options)

    def workers(self) -> list[psutil.Process]:
        """The processes that run attempts."""
        return psutil.Process(self._node_pid()).children(recursive=True)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stand_still(self, whole: bool = False) -> None:
        """SIGSTOP; returns when nothing more leaves it, and with `whole` when no system call of its
        own is under way either. SIGCONT or `kill` ends it."""
        self.signal(signal.SIGSTOP)
        enough = all if whole else any  # the first thread that stops has told all the others to
        stats = [task / "stat" for task in Path(f"/proc/{self._node_pid()}/task").iterdir()]
        end = time.monotonic() + PATIENCE_S
        while not enough(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats):
            assert time.monotonic() < end, f"node {self.name} does not stop"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def restart(self) -> None:
        """After it ended: the same data and address; returns when it serves."""
        self.spawn()
        wait_for(self._told, f"node {self.name} to serve again")

    def exit_code(self, timeout_s: float = PATIENCE_S) -> int:
        """Waits until it ended by itself."""
        return self.process.wait(timeout_s)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Mesh:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"test-{secrets.token_hex(6)}"
        self.runtime_dir = folder / "run"
        self.nodes: dict[str, Node] = {}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NOVA_")}
        self.environment = {
            **inherited,
            "NOVA_RUNTIME_DIR": str(self.runtime_dir),
            "NOVA_IDENTITY_DIR": str(folder / "identity"),
            "NOVA_CONFIG": os.devnull,
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parents[1]), *inherited.get("PYTHONPATH", "").split(os.pathsep)]
            ).rstrip(os.pathsep),
        }

    def __enter__(self) -> Self:
        """Clients in this process are those nodes' user too."""
        self._runtime_dir_before = os.environ.get("NOVA_RUNTIME_DIR")
        os.environ["NOVA_RUNTIME_DIR"] = str(self.runtime_dir)
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop("NOVA_RUNTIME_DIR")
        if self._runtime_dir_before is not None:
            os.environ["NOVA_RUNTIME_DIR"] = self._runtime_dir_before
        for node in self.nodes.values():
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.process.wait()
        for node in self.nodes.values():
            sys.stdout.write(f"--- log of {node.name}\n{node.said()[-LOG_SHOWN_CHARS:]}\n")

    def start(self, name: str, *options: str, command: Sequence[str] = ()) -> Node:
        """A node; `command` goes before `nova-node` (to start it in a namespace, say)."""
        node = self.nodes[name] = Node(self, name, options, command)
        return node

    def nova(
        self, *args: str, node: Node | None = None, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """The command `nova`, asked to talk to a node."""
        environment = self.environment | ({"NOVA_NODE": node.address} if node else {})
        return subprocess.run(
            [NOVA, *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )


def wait_for(look: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S) -> T:
    """What `look` finds once it finds something true."""
    end = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s for {what}")
        time.sleep(PAUSE_S)
    return found


async def eventually(
    ask: Callable[[], Awaitable[T | None]], what: str, timeout_s: float = PATIENCE_S
) -> T:
    """What `ask` answers once it answers something true."""
    end = time.monotonic() + timeout_s
    while not (found := await ask()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s for {what}")
        await asyncio.sleep(PAUSE_S)
    return found


async def met(client: Client, count: int, timeout_s: float = PATIENCE_S) -> None:
    """Until `count` nodes, itself among them, are alive in its eyes and it knows what they can do."""

    async def enough() -> bool:
        nodes = (await client.nodes()).nodes
        return sum(node.state == "alive" and bool(node.capabilities) for node in nodes) == count

    await eventually(enough, f"{count} nodes alive at {client.address}", timeout_s)


def run(scene: Coroutine[Any, Any, T], timeout_s: float = 100.0) -> T:
    """A coroutine test, which must end in time."""

    async def bounded() -> T:
        async with asyncio.timeout(timeout_s):
            return await scene

    return asyncio.run(bounded())
