"""A line on stderr for what takes more than a second; none when stderr is not a terminal."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from nova_client.model import Progress

from nova_console.cli.output import span

QUIET_S = 1.0
PERIOD_S = 0.1
_WIDTH = 30


def render(progress: Progress, elapsed_s: float) -> str:
    if not progress.total:
        return f"running, {span(elapsed_s)}"
    share = min(1.0, progress.done / progress.total)
    filled = int(share * _WIDTH)
    bar = "#" * filled + "-" * (_WIDTH - filled)
    return f"[{bar}] {progress.done:,} of {progress.total:,} parts, {span(elapsed_s)}"


class Bar:
    """Redraws itself until cancelled; `clear` it before writing anything else to stderr."""

    def __init__(self, read: Callable[[], Progress]) -> None:
        self._read = read
        self._drawn = False

    async def run(self) -> None:
        if not sys.stderr.isatty():
            return
        begun_at = time.monotonic()
        await asyncio.sleep(QUIET_S)
        try:
            while True:
                text = render(self._read(), time.monotonic() - begun_at)
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
                self._drawn = True
                await asyncio.sleep(PERIOD_S)
        finally:
            self.clear()

    def clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False
