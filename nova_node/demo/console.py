"""After the story, the console on the same nodes, until its reader leaves it.

Rule: whatever ends the demo ends the console first, which then gives the terminal back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

STOP_S = 3.0

_COMMAND = (sys.executable, "-c", "from nova_console.cli import main; main()")


def wanted() -> bool:
    """There is a person at a terminal, so far as one can tell."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return not os.environ.get("CI") and all(stream.isatty() for stream in streams)


def look(address: str, begin: str) -> None:
    """The console of the node at `address`, which begins with a command as after `:`; returns when it
    is left."""
    environment = {**os.environ, "NOVA_CONSOLE_BEGIN": begin}
    command = [*_COMMAND, "--node", address, "console"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            process.wait()
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
            raise
