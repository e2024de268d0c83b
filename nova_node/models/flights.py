"""Questions that are being asked right now, so that nobody asks the same at the same time.

Rule: whoever comes first asks, and the others wait. What came may be given to them, or it came to nothing
and the next of them asks. Of one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

WAITS_MAX = 3
"""Askers that come to nothing are not waited for one after the other without end."""


class Found(NamedTuple):
    """An answer that may be given again, and how it is told."""

    body: str
    how: str


Land = Callable[[Found], None]


class Flights:
    def __init__(self) -> None:
        self._open: dict[str, asyncio.Future[Found | None]] = {}

    async def wait(self, key: str) -> Found | None:
        """What came of it for those who ask it now. None: nobody does (any more), so ask at once."""
        for _ in range(WAITS_MAX):
            flight = self._open.get(key)
            if flight is None:
                return None
            # who waits may be cancelled, and takes neither the asker nor the others along
            if found := await asyncio.shield(flight):
                return found
        return None

    @contextmanager
    def asking(self, key: str) -> Generator[Land, None, None]:
        """Within it, those who ask the same wait. `Land` takes what they get; without, they get nothing."""
        flight: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._open.setdefault(key, flight)
        try:
            yield flight.set_result
        finally:
            if self._open.get(key) is flight:
                del self._open[key]
            if not flight.done():
                flight.set_result(None)
