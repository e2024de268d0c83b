"""The way to a server that speaks the OpenAI protocol: no redirect is followed, no line is endless.

Loaded by the gateway, when it is needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

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


class Chunks:
    """A stream of openai's, begun once. litellm begins what it is given anew for each chunk, and each
    beginning that is left behind wakes the event loop by a system call."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.__anext__()

    async def close(self) -> None:
        await self._stream.close()


def client(inner: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Transport(inner), follow_redirects=False)
