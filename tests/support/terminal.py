"""A real terminal that tests type at and read: tmux, which must be there."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from support.mesh import PATIENCE_S, wait_for


class Terminal:
    """A tmux server of its own, with one shell in it."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], width: int, height: int
    ) -> None:
        folder = folder / "tmux"
        folder.mkdir()
        self._tmux = ["tmux", "-S", str(folder / "socket"), "-f", "/dev/null"]
        size = ["-x", str(width), "-y", str(height)]
        environment = {**environment, "TERM": "xterm-256color", "PS1": "", "ENV": ""}
        environment["NOVA_CONSOLE_CONFIG"] = str(folder / "none.toml")
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, "env", "PS1=$ ", "sh", "-i"],
            env=environment,
            check=True,
        )

    def type(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def screen(self) -> str:
        command = [*self._tmux, "capture-pane", "-p"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def shows(self, *wanted: str, timeout_s: float = PATIENCE_S) -> str:
        """The screen as soon as it shows all of it."""

        def look() -> str | None:
            found = self.screen()
            return found if all(part in found for part in wanted) else None

        try:
            return wait_for(look, f"{wanted} on the screen", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def console(self) -> psutil.Process:
        """The process that draws."""

        def find() -> psutil.Process | None:
            command = [*self._tmux, "display-message", "-p", "#{pane_pid}"]
            shell = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            below = psutil.Process(int(shell)).children(recursive=True)
            for process in below:
                with suppress(psutil.Error):  # one that has just ended
                    if "console" in process.cmdline():
                        return process
            return None

        return wait_for(find, "the console's process")

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
