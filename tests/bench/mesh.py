"""Real nodes for a measurement: processes of this machine, with data in a folder of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

START_S = 30.0


class Mesh:
    """Starts nodes, knows their processes, ends them all. `name` keeps meshes apart on mDNS."""

    def __init__(self, folder: Path, name: str = "bench") -> None:
        self.folder = folder
        self.name = name
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        # where the clients of this process find the local key, too
        os.environ["NOVA_RUNTIME_DIR"] = str(folder / "run")
        self._environment = {**os.environ, "NOVA_CONFIG": os.devnull}

    def spawn(self, name: str, *options: str) -> None:
        command = [
            str(Path(sys.executable).with_name("nova-node")),
            *("start", "--name", name, "--mesh", self.name, "--listen", "127.0.0.1:0"),
            *("--data-dir", str(self.folder / name), "--capability", "bench.capabilities"),
            *options,
        ]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.nodes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def address(self, name: str) -> str:
        """Waits until the node has told where it is."""
        process, end = self.nodes[name], time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            for file in (self.folder / "run/nodes").glob("*.json"):
                with suppress(OSError, ValueError):
                    told: dict[str, Any] = json.loads(file.read_text())
                    if told["pid"] == process.pid:
                        return told["address"]
            time.sleep(0.005)
        log = (self.folder / f"{name}.log").read_text(errors="replace")
        raise RuntimeError(f"node {name} did not start:\n{log[-2_000:]}")

    def node_of(self, worker_pid: int) -> str:
        """The node whose worker process this is."""
        for name, process in self.nodes.items():
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(process.pid).children(recursive=True)
                if any(child.pid == worker_pid for child in children):
                    return name
        raise LookupError(f"process {worker_pid} is of no node")

    def pids(self, name: str) -> list[int]:
        """The node's process first, then those below it."""
        node = psutil.Process(self.nodes[name].pid)
        return [node.pid, *(child.pid for child in node.children(recursive=True))]

    def stop(self) -> None:
        for process in self.nodes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.nodes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
