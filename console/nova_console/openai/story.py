"""The text of a task as it comes, each part told once, though attempts may begin again.

A later attempt has to repeat what was told before it may go on; if it says something else, what the
reader has cannot be made right, and the story ends with an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from nova_client import NovaError
from nova_client.model import LogLine


class Diverged(NovaError):
    code = "unavailable"

    def __init__(self) -> None:
        super().__init__(
            "the model was lost within its answer, and another began a different one",
            "ask again",
        )


class Story:
    """On the event loop's thread only; one reader."""

    def __init__(self) -> None:
        self._told = ""
        self._fresh: list[str] = []
        self._attempt = 0
        #: what a later attempt has said, until it says more than was told
        self._again: str | None = None
        self._diverged = False
        self._closed = False
        self._wake = asyncio.Event()

    def hear(self, line: LogLine) -> None:
        if line.stderr or self._diverged or line.attempt < self._attempt:
            return
        if line.attempt > self._attempt:
            self._attempt = line.attempt
            self._again = "" if self._told else None
        if self._again is None:
            self._add(line.text)
        else:
            self._again += line.text
            self._catch_up(self._again)

    def finish(self, text: str) -> None:
        """The whole text, from the result: tells what was not heard of it."""
        if self._again is not None and not self._diverged:
            self._diverged = not text.startswith(self._told)
        if text.startswith(self._told):
            self._add(text[len(self._told) :])
        self.close()

    def close(self) -> None:
        """Nothing more will be heard."""
        self._closed = True
        self._wake.set()

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Until it is closed. Raises Diverged."""
        while True:
            text = "".join(self._fresh)
            self._fresh.clear()
            if text:
                yield text
            elif self._diverged:
                raise Diverged
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _add(self, text: str) -> None:
        if text:
            self._told += text
            self._fresh.append(text)
            self._wake.set()

    def _catch_up(self, again: str) -> None:
        if len(again) < len(self._told):
            self._diverged = not self._told.startswith(again)
        elif again.startswith(self._told):
            self._again = None
            self._add(again[len(self._told) :])
        else:
            self._diverged = True
        if self._diverged:
            self._wake.set()
