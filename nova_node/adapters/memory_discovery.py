"""Discovery without a network: nodes on one segment of memory see each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nova_node.ports import Found

Seen = Callable[[Found], None]


class MemorySegment:
    """What a local network is to mDNS. Of one event loop."""

    def __init__(self) -> None:
        self.present: dict[str, tuple[Found, Seen]] = {}


class MemoryDiscovery:
    def __init__(self, segment: MemorySegment) -> None:
        self._segment = segment
        self._me: Found | None = None

    async def start(self, me: Found, seen: Seen) -> None:
        self._me = me
        self._segment.present[me.node] = (me, seen)
        for other, _ in list(self._segment.present.values()):
            self._introduce(me.node, other)
            self._introduce(other.node, me)

    async def stop(self) -> None:
        if self._me is not None:
            self._segment.present.pop(self._me.node, None)

    def _introduce(self, to: str, found: Found) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, to, found)

    def _deliver(self, to: str, found: Found) -> None:
        present = self._segment.present.get(to)
        if present is not None and to != found.node and present[0].mesh == found.mesh:
            present[1](found)
