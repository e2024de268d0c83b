"""The endpoint's process: kept alive by its node, and gone with it."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

from nova_node.adapters.endpoint_process import endpoint_command, keep
from nova_node.address import Address

WAITS = "import sys; print('ready', flush=True); sys.stdin.read(); print('left', flush=True)"
FAILS = "import sys; print('broken', flush=True); sys.exit(7)"


class Heard(logging.Handler):
    """Log lines, to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._more.set()

    async def until(self, text: str, times: int = 1) -> None:
        while sum(text in line for line in self.lines) < times:
            self._more.clear()
            await self._more.wait()


def play(program: str, awaited: str, times: int) -> list[str]:
    async def scene() -> list[str]:
        heard = Heard()
        log = logging.getLogger("nova.openai")
        log.addHandler(heard)
        log.setLevel(logging.INFO)
        keeping = asyncio.create_task(keep((sys.executable, "-c", program), 0.001))
        try:
            async with asyncio.timeout(30):
                await heard.until(awaited, times)
                keeping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await keeping
        finally:
            log.removeHandler(heard)
        return heard.lines

    return asyncio.run(scene())


def test_it_is_started_again_when_it_ends() -> None:
    lines = play(FAILS, "ended", 2)
    assert lines[:2] == ["broken", "the openai endpoint ended (exit code 7), again in 0.001 s"]
    assert lines[3] == "the openai endpoint ended (exit code 7), again in 0.002 s"


def test_it_leaves_when_the_node_stops() -> None:
    assert play(WAITS, "ready", 1) == ["ready"]


def test_how_it_is_called() -> None:
    command = endpoint_command(Address("127.0.0.1", 7640), "127.0.0.1:7600")
    assert command[1:4] == ("-m", "nova_console.cli", "openai")
    assert command[4:] == ("--listen", "127.0.0.1:7640", "--node", "127.0.0.1:7600", "--until-eof")
