"""The page that Prometheus reads, over plain HTTP: GET /metrics and nothing else.

It tells whoever asks, so it listens where the config allows it to: on loopback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nova_node.address import Address
from nova_node.core.errors import InUse

READ_S = 5.0
REQUEST_MAX_BYTES = 8 << 10
AT_ONCE_MAX = 16


class Page:
    """`text` gives what is told now."""

    def __init__(self, listen: Address, content_type: str, text: Callable[[], str]) -> None:
        self._listen = listen
        self._content_type = content_type
        self._text = text
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> Address:
        """Where it listens then. Raises InUse."""
        host, port = self._listen.host, self._listen.port
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=REQUEST_MAX_BYTES
            )
        except OSError as error:
            raise InUse(
                f"cannot show metrics on {self._listen}: {error.strerror}",
                f"name another port: nova-node start --metrics {Address(host, 0)}",
            ) from None
        return Address(host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= AT_ONCE_MAX:
            writer.close()
            return
        self._open += 1
        try:
            with suppress(
                OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError
            ):
                async with asyncio.timeout(READ_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head.partition(b"\r\n")[0]))
                    await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b" ")
        if len(words) != 3 or words[0] != b"GET":
            return _response("405 Method Not Allowed", "text/plain", "GET only\n")
        if words[1].partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", "text/plain", "see /metrics\n")
        return _response("200 OK", self._content_type, self._text())


def _response(status: str, content_type: str, text: str) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
