"""The demo's nodes: processes of this machine in a mesh, folders and ports of their own.

Rule: when the `with` block ends, for whatever reason, no process and no file is left.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from nova_node.adapters.local_nodes import LocalNode, nodes_dir, running
from nova_node.core.errors import Unavailable

START_S = 15.0
STOP_S = 3.0
PAUSE_S = 0.01
LOG_SHOWN_CHARS = 1_000

_COMMAND = (sys.executable, "-c", "from nova_node.cli import main; main()", "start")


class Nodes:
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="nova-demo-"))
        # where the clients of this process find the local key
        os.environ["NOVA_RUNTIME_DIR"] = str(self._folder / "run")
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        kept = {name: v for name, v in os.environ.items() if not name.startswith("NOVA_")}
        self._environment = {
            **kept,
            "NOVA_RUNTIME_DIR": str(self._folder / "run"),
            "NOVA_CONFIG": os.devnull,
        }
        mesh = f"demo-{secrets.token_hex(6)}"
        self.began = time.time()
        for name in self.names:
            options = ["--name", name, "--mesh", mesh, "--listen", "127.0.0.1:0", "--slots", "1"]
            options += ["--data-dir", str(self._folder / name)]
            with (self._folder / f"{name}.log").open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    [*_COMMAND, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is the demo's to answer
                )

    async def serving(self) -> dict[str, LocalNode]:
        """All of them by name, once they serve. Raises Unavailable."""
        end = time.monotonic() + START_S
        while True:
            found = {node.name: node for node in running(nodes_dir(self._environment))}
            if len(found) == len(self.names):
                return found
            ended = [name for name, p in self._processes.items() if p.poll() is not None]
            if ended or time.monotonic() > end:
                raise self._silent(ended or [name for name in self.names if name not in found])
            await asyncio.sleep(PAUSE_S)

    def _silent(self, names: Sequence[str]) -> Unavailable:
        log = (self._folder / f"{names[0]}.log").read_text(errors="replace")
        return Unavailable(
            f"node {names[0]} did not start; its last words:\n{log[-LOG_SHOWN_CHARS:]}",
            "see what is wrong with `nova-node doctor`",
        )

    def kill(self, name: str) -> None:
        """SIGKILL: no goodbye, nothing written."""
        self._processes[name].kill()

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def _end(self) -> None:
        try:
            self._stop_gently()
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _stop_gently(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + STOP_S
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
