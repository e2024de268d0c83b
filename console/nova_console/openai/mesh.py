"""What the endpoint needs of a mesh. nova_client's Client is one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Protocol, Unpack

from nova_client import NovaError
from nova_client.model import InputSource, NodeList, Outcome, Status, SubmitOptions
from nova_client.models import Choice, Needs, Offer, choose, offers
from nova_client.task import Hear

FRESH_S = 2.0
STALE_S = 15.0


class Running(Protocol):
    """A task that was submitted."""

    @property
    def id(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def outcome(self) -> Outcome | None: ...
    async def result(self, timeout_s: float | None = None) -> Any: ...
    async def cancel(self) -> Status: ...


class Mesh(Protocol):
    async def nodes(self) -> NodeList: ...
    async def submit(
        self,
        capability: str,
        args: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, InputSource] | None = None,
        hear: Hear | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Running: ...


class Offers:
    """What models there are, asked at most every 2 s, and in the background while it is not old."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._found: tuple[Offer, ...] = ()
        self._at = -STALE_S
        self._asking: asyncio.Task[None] | None = None

    async def all(self) -> tuple[Offer, ...]:
        """Raises NovaError when the node does not answer."""
        age_s = time.monotonic() - self._at
        if age_s > FRESH_S:
            asking = self._ask()
            if age_s > STALE_S:
                await asyncio.shield(asking)
        return self._found

    async def choose(self, want: str, needs: Needs) -> Choice:
        """Raises NotFound, once it is sure that this is not old news."""
        found = await self.all()
        with contextlib.suppress(NovaError):
            return choose(found, want, needs)
        await asyncio.shield(self._ask())
        return choose(self._found, want, needs)

    def _ask(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._read())
            self._asking.add_done_callback(_seen)
        return self._asking

    async def _read(self) -> None:
        self._found = offers((await self._mesh.nodes()).nodes)
        self._at = time.monotonic()


def _seen(asking: asyncio.Task[None]) -> None:
    """Whoever waits is told; where nobody does, it is asked again."""
    if not asking.cancelled():
        asking.exception()
