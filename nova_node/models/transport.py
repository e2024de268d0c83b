"""The way to a server that speaks the OpenAI protocol: no redirect is followed, no line is endless.

Loaded by the gateway, when it is needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

LINE_MAX_BYTES = 8 << 20
CONNECT_TIMEOUT_S = 10.0


class LineTooLong(Exception):
    """A server sends a line longer than any answer."""


class _Lines(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held = 0
        async for chunk in self._stream:
            end = chunk.rfind(b"\n")
            held = held + len(chunk) if end < 0 else len(chunk) - end
            if held > LINE_MAX_BYTES:
                raise LineTooLong
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class Transport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Lines(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(inner: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Transport(inner), follow_redirects=False)
