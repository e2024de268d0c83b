"""Machines of a test network, each with folders of its own, on which a person types commands.

`with Machines(network, folder) as machines` ends every process that was started; on the way out it
writes the nodes' logs to stdout, which pytest shows when a test failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from nova_client import Client
from nova_proto.identity import folder
from nova_proto.identity.folder import Credentials
from support.mesh import LOG_SHOWN_CHARS, NODE, NOVA, PATIENCE_S, wait_for
from support.netns import Network

COMMAND_S = 30.0


class Machine:
    """One host, its one user and at most one node."""

    def __init__(self, network: Network, host: int, home: Path, extra: Mapping[str, str]) -> None:
        self._network = network
        self._host = host
        self.name = f"m{host}"
        self.home = home
        self.log = home / "node.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._prefix = network.command(host)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NOVA_")}
        self._environment = {
            **inherited,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "USER": "ada",
            "LOGNAME": "ada",
            "NOVA_CONFIG": os.devnull,
            "NOVA_DATA_DIR": str(home / "data"),
            "NOVA_IDENTITY_DIR": str(home / "identity"),
            "NOVA_RUNTIME_DIR": str(home / "run"),
            **extra,
        }
        home.mkdir()

    @property
    def ip(self) -> str:
        return self._network.ip(self._host)

    def move(self) -> None:
        """To another network; returns when the node here says so."""
        self._network.move(self._host)

        def moved() -> bool:
            note = self._told()
            return note is not None and note["address"] == f"{self.ip}:7600"

        wait_for(moved, f"{self.name} to say where it is now")
        self.address = f"{self.ip}:7600"

    # ------------------------------------------------------------ commands

    def nova_node(self, *words: str, given: str = "") -> str:
        """What `nova-node` printed; it must succeed."""
        return _succeeded(self.run(NODE, *words, given=given))

    def nova(self, *words: str, given: str = "") -> str:
        """What `nova` printed; it must succeed."""
        return _succeeded(self.run(NOVA, *words, given=given))

    def run(
        self, *command: str, given: str = "", timeout_s: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._prefix, *command],
            input=given,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=timeout_s,
            check=False,
        )

    # ------------------------------------------------------------ its node

    def start(self, *options: str) -> None:
        """`nova-node start`; returns when it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, NODE, "start", "--name", self.name, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self.address = str(wait_for(self._told, f"{self.name} to serve")["address"])

    def end(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    def _told(self) -> dict[str, Any] | None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}")
        for file in (self.home / "run" / "nodes").glob("*.json"):
            with suppress(OSError, ValueError):
                note: dict[str, Any] = json.loads(file.read_text())
                if note["pid"] == self.process.pid:
                    return note
        return None

    @property
    def identity(self) -> Credentials:
        """Of its node, as it is now."""
        return folder.load(self.home / "data" / "identity")

    @property
    def node(self) -> str:
        """The node's id."""
        return self.identity.name.id

    def person(self, mesh: str) -> Credentials:
        return folder.load(self.home / "identity" / mesh)

    def client(self, identity: Credentials) -> Client:
        """Of the node here, from the test's own process."""
        return Client(self.address, identity=identity)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Machines:
    """`extra` are variables for all of them."""

    def __init__(self, network: Network, home: Path, **extra: str) -> None:
        self.all = [Machine(network, host, home / f"m{host}", extra) for host in network.hosts]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.all:
            machine.end()
        for machine in self.all:
            shown = machine.said()[-LOG_SHOWN_CHARS:]
            sys.stdout.write(f"--- log of {machine.name}\n{shown}\n")

    def __getitem__(self, host: int) -> Machine:
        return self.all[host]


def _succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{' '.join(map(str, done.args))}: {done.stderr}"
    return done.stdout
