"""`nova console --web` as a process, told where it is by what it prints."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil
from support.mesh import NOVA, PATIENCE_S, Mesh


class WebConsole:
    """`environment` is laid over the mesh's."""

    def __init__(
        self, mesh: Mesh, *options: str, environment: dict[str, str] | None = None
    ) -> None:
        self.environment = {
            **mesh.environment,
            "NOVA_CONSOLE_CONFIG": str(mesh.folder / "none.toml"),
            "XDG_CONFIG_HOME": str(mesh.folder / "config"),
            **(environment or {}),
        }
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        self._log = mesh.folder / "web.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [NOVA, "--json", "console", "--web", *listen, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        late = threading.Timer(PATIENCE_S, self.process.kill)
        late.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        late.cancel()
        assert line, self.said()
        self.told: dict[str, Any] = json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return str(self.told["url"])

    def tabs(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def nova(self, *words: str, typed: str = "", at: Path | None = None) -> Any:
        """Another command of the same person, or of whose identity is `at`."""
        theirs = {"NOVA_IDENTITY_DIR": str(at)} if at else {}
        return subprocess.run(
            [NOVA, *words],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            env={**self.environment, **theirs},
        )


def gone(processes: Sequence[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != "zombie" for each in processes)
