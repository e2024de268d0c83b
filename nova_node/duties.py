"""What a node does by itself while it runs: finds peers, watches its own lag, keeps its folder tidy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from nova_node.adapters.data_dir import DataDir
from nova_node.address import JOIN_PORT_DEFAULT, Address, parse_address
from nova_node.config import DiscoveryConfig
from nova_node.core.errors import Invalid
from nova_node.core.members import Introduced, LagMeasured
from nova_node.core.model import Member
from nova_node.ports import Blobs, Discovery, Found
from nova_node.runtime import Runtime

log = logging.getLogger("nova.node")

LAG_EVERY_S = 0.5
LAG_STEP_S = 0.01
"""Whatever is less is the noise of a node at rest, which is not worth a word to others."""

REMEMBER_EVERY_S = 5.0
COLLECT_EVERY_S = 600.0
BLOB_GRACE_S = 3600.0
DOORS_MAX = 16


class Duties:
    def __init__(self, runtime: Runtime, data: DataDir, blobs: Blobs, card_version: int) -> None:
        self.lag_s = 0.0
        self._runtime = runtime
        self._data = data
        self._blobs = blobs
        self.card_version = card_version
        self._discovery: Discovery | None = None
        self._address = ""
        self._moved = asyncio.Event()
        #: the likeliest last
        self._doors: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, me: Member, config: DiscoveryConfig, listen: Address, join_port: int = 0
    ) -> None:
        """`join_port` is where this node lets others into its mesh; 0: it does not."""
        self._tell_digest()
        post = self._runtime.post_member
        for peer in config.peers:
            post(Introduced(str(peer), pinned=True))
            self._add_door(str(peer._replace(port=JOIN_PORT_DEFAULT)))
        for known in self._data.load_peers():
            if known != me.address:
                post(Introduced(known))
                self._add_door(str(parse_address(known)._replace(port=JOIN_PORT_DEFAULT)))
        self.spawn(self._measure_lag())
        self.spawn(self._remember_peers())
        self.spawn(self._collect_blobs())
        self._address = me.address
        if config.mdns:
            told = Found(me.node, me.address, me.mesh, me.version, join=join_port)
            self.spawn(self._discover(told, config.interfaces, listen))

    def discover_at(self, address: str) -> None:
        """Others find this node at another address from now on, and it looks for them again."""
        self._address = address
        self._moved.set()

    def doors(self) -> list[str]:
        """Addresses where the mesh may let nodes join, the likeliest first."""
        return self._doors[::-1]

    def _add_door(self, address: str) -> None:
        if address in self._doors:
            self._doors.remove(address)
        self._doors.append(address)
        del self._doors[:-DOORS_MAX]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._discovery is not None:
            await self._discovery.stop()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the node, until it ends or the node stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended: %r", task.get_coro(), error)

    # ------------------------------------------------------------ one coroutine each

    async def _discover(self, told: Found, interfaces: Sequence[str], listen: Address) -> None:
        from nova_node.adapters.discovery_mdns import MdnsDiscovery

        def seen(found: Found) -> None:
            self._runtime.post_member(Introduced(found.address, mesh=found.mesh))
            if found.join:
                self._add_door(str(parse_address(found.address)._replace(port=found.join)))

        while True:
            self._moved.clear()
            self._discovery = MdnsDiscovery(interfaces, listen=listen)
            try:
                await self._discovery.start(told._replace(address=self._address), seen)
            except Invalid as error:  # an interface that was named is not there
                log.warning("no mDNS: %s", error)
            await self._moved.wait()
            await self._discovery.stop()

    async def _measure_lag(self) -> None:
        """How late the loop runs feeds membership's trust in itself, and the digest."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.lag_s = max(0.0, loop.time() - due)
            if self.lag_s >= LAG_STEP_S:
                self._runtime.post_member(LagMeasured(self.lag_s))
            self._tell_digest()

    def _tell_digest(self) -> None:
        lag_ms = int(self.lag_s / LAG_STEP_S) * int(LAG_STEP_S * 1000)
        digest = self._runtime.engine.digest(self.card_version, lag_ms)
        if digest != self._runtime.membership.me.digest:
            self._runtime.tell_digest(digest)

    async def _remember_peers(self) -> None:
        known: list[str] = []
        while True:
            await asyncio.sleep(REMEMBER_EVERY_S)
            alive = sorted(m.address for m in self._runtime.membership.alive())
            if alive and alive != known:
                known = alive
                await asyncio.to_thread(self._data.save_peers, known)

    async def _collect_blobs(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            named = self._runtime.engine.tasks.blob_ids()
            freed = await asyncio.to_thread(self._blobs.collect, named, BLOB_GRACE_S)
            log.debug("%d bytes of unused blobs were deleted", freed)
