"""The endpoint for clients of OpenAI's protocol: a client of this node, in a process of its own.

Rule: it lives no longer than the node. It holds the end of a pipe, and leaves when the other end is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from nova_node.address import Address
from nova_node.config import SECRET_VARIABLES

FIRST_PAUSE_S, PAUSE_MAX_S = 0.5, 60.0
STEADY_S = 30.0
STOP_S = 4.0

log = logging.getLogger("nova.openai")


def endpoint_command(listen: Address, node: str) -> tuple[str, ...]:
    """The node never loads the console: it only knows how it is called."""
    program = (sys.executable, "-m", "nova_console.cli", "openai")
    return (*program, "--listen", str(listen), "--node", node, "--until-eof")


async def keep_endpoint(listen: Address, node: str) -> None:
    """Until cancelled; `node` is the address of this one."""
    await keep(endpoint_command(listen, node))


async def keep(command: Sequence[str], first_pause_s: float = FIRST_PAUSE_S) -> None:
    """Have the process run, again and again with growing pauses when it ends soon."""
    loop, pause_s = asyncio.get_running_loop(), first_pause_s
    while True:
        begun_at = loop.time()
        code = await _run(command)
        if loop.time() - begun_at > STEADY_S:
            pause_s = first_pause_s
        log.warning("the openai endpoint ended (exit code %d), again in %g s", code, pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


async def _run(command: Sequence[str]) -> int:
    """Its exit code. What it prints is logged."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if not k.startswith(SECRET_VARIABLES)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while line := await process.stdout.readline():
            log.info("%s", line.decode(errors="replace").rstrip())
        return await process.wait()
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
        if process.returncode is None:
            process.kill()
            await process.wait()
