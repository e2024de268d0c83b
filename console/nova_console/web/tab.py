"""One tab of a browser: its process, and what goes between the two.

The packets are those of Textual's web driver (a letter, four bytes of length, the payload), the messages
to the browser those of textual-serve's page. Rule: whatever ends, the browser is told why in the code
the connection closes with, and the process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from aiohttp import WSMsgType, web
from nova_client import rights

COLUMNS_MAX, ROWS_MAX = 500, 300
TYPED_BYTES_MAX = 16 << 10
PACKET_BYTES_MAX = 8 << 20
MESSAGE_BYTES_MAX = 64 << 10
HEARTBEAT_S = 15.0
START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 3.0
COMPLAINT_BYTES_MAX = 4_096

LEFT, SIGN_IN, FULL, IDLE, ENDED, BROKE = 4000, 4401, 4429, 4408, 4410, 4500
"""What a connection closes with; the page has words for each."""
_READY = b"__GANGLION__\n"


class Look(NamedTuple):
    """What the browser shows it on."""

    columns: int
    rows: int
    is_light: bool


class Tab:
    """`held` are the rights that its process is given."""

    def __init__(self, socket: web.WebSocketResponse, held: frozenset[str], idle_s: float) -> None:
        self._socket = socket
        self._rights = held
        self._idle_s = idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline = -1
        self._close = (ENDED, "")
        self._typed = asyncio.Event()
        #: what its process said on stderr
        self.complaint = b""

    async def run(self, nodes: Sequence[str], look: Look) -> None:
        """Until either side ends."""
        try:
            await self._start(nodes, look)
            parts = [self._draw(), self._type(), self._complain(), self._idle()]
            tasks = [asyncio.create_task(part) for part in parts]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._stop()
            code, why = self._close
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self._socket.close(code=code, message=why.encode()[:120])

    def end(self, code: int, why: str = "") -> None:
        """From outside: at once."""
        self._close = (code, why)
        self._cut()

    # ------------------------------------------------------------ the process

    async def _start(self, nodes: Sequence[str], look: Look) -> None:
        theirs, self._lifeline = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nova_console.web.child", str(theirs), *nodes),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(look, self._rights),
                pass_fds=(theirs,),
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def _cut(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    async def _stop(self) -> None:
        self._cut()
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    # ------------------------------------------------------------ from it to the browser

    async def _draw(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        out = self._process.stdout
        self._close = (BROKE, "")
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while await out.readline() != _READY:
                    if out.at_eof():
                        return
            while True:
                kind = await out.readexactly(1)
                size_bytes = int.from_bytes(await out.readexactly(4), "big")
                if size_bytes > PACKET_BYTES_MAX:
                    return
                payload = await out.readexactly(size_bytes)
                if kind == b"D":
                    await self._socket.send_bytes(payload)
                elif kind == b"M" and _object(payload).get("type") == "exit":
                    self._close = (LEFT, "")
                    return
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValueError):
            return

    async def _complain(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while more := await self._process.stderr.read(COMPLAINT_BYTES_MAX):
            self.complaint = (self.complaint + more)[-COMPLAINT_BYTES_MAX:]
        await asyncio.Event().wait()  # that it says no more is no reason to end

    # ------------------------------------------------------------ from the browser to it

    async def _type(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                return
            given = _list(message.data)
            match given:
                case ["stdin", str(typed)] if len(typed) <= TYPED_BYTES_MAX:
                    self._typed.set()
                    await self._send(b"D", typed.encode("utf-8", "replace"))
                case ["resize", {"width": int(columns), "height": int(rows)}]:
                    await self._meta(
                        type="resize",
                        width=bounded(columns, COLUMNS_MAX),
                        height=bounded(rows, ROWS_MAX),
                    )
                case ["focus" | "blur" as what, *_]:
                    await self._meta(type=what)
                case ["ping", str(data)]:
                    await self._socket.send_str(json.dumps(["pong", data]))
                case _:
                    return

    async def _meta(self, **said: Any) -> None:
        await self._send(b"M", json.dumps(said).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._process.stdin.drain()

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(self._idle_s):
                    await self._typed.wait()
                self._typed.clear()
        self._close = (IDLE, "")


def bounded(cells: int, most: int) -> int:
    return max(1, min(cells, most))


def _list(text: str) -> list[Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return cast("list[Any]", found) if isinstance(found, list) else []


def _object(text: bytes) -> dict[str, Any]:
    found: Any = json.loads(text)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _environment(look: Look, held: frozenset[str]) -> dict[str, str]:
    """What suits a browser instead of the terminal that the server runs in."""
    environment = {
        **os.environ,
        "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM": "xterm-256color",
        "TERM_PROGRAM": "textual",
        "COLORFGBG": "0;15" if look.is_light else "15;0",
        "COLUMNS": str(look.columns),
        "ROWS": str(look.rows),
        "GRPC_VERBOSITY": "NONE",
    }
    if held != rights.ALL:
        environment[rights.VARIABLE] = " ".join(sorted(held & rights.held()))
    return environment
