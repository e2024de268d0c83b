"""The chunks of a stream, as litellm asks for them: one at a time, each as if from a new start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from nova_node.models.transport import Chunks


class Stream:
    """As openai's: every `async for` over it makes a generator of its own."""

    def __init__(self, count: int) -> None:
        self.begun, self.closed, self._left = 0, False, iter(range(count))

    async def __anext__(self) -> int:
        for number in self._left:
            return number
        raise StopAsyncIteration

    async def __aiter__(self) -> AsyncIterator[int]:
        self.begun += 1
        for number in self._left:
            yield number

    async def close(self) -> None:
        self.closed = True


async def one_by_one(chunks: AsyncIterator[int]) -> list[int]:
    heard: list[int] = []
    while True:
        async for number in chunks:
            heard.append(number)
            break
        else:
            return heard


def test_a_stream_is_begun_once_however_often_it_is_asked() -> None:
    stream = Stream(50)
    assert asyncio.run(one_by_one(Chunks(stream))) == list(range(50))
    assert stream.begun == 0


def test_closing_it_closes_the_stream() -> None:
    stream = Stream(1)
    asyncio.run(Chunks(stream).close())
    assert stream.closed
