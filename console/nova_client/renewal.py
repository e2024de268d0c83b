"""Keeps a person's certificate and what it trusts fresh while a client is open.

Rule: it never fails and hardly anybody waits for it; what could not be done now is tried again later,
and a certificate that is late says so when it is used.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from nova_proto.v1 import identity_pb2, nodes_pb2

from nova_client import errors, identity
from nova_client.find import Access
from nova_client.wires import Wires

LOOK_EVERY_S = 30.0
"""Sooner than a new root signs for the first node (60 s)."""
CALL_TIMEOUT_S = 10.0
FIRST_LOOK_S = 3.0
RENEW_EVERY_S = 600.0
"""However often it seems to be due: each time costs a channel."""


class Renewal:
    def __init__(self, way: Access, wires: Wires) -> None:
        self._way = way
        self._wires = wires
        self._not_before = 0.0
        self._looked = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """After the first look: a command is over soon, and may be all that somebody ever runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_S):
                await self._looked.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except errors.NovaError:
                pass
            finally:
                self._looked.set()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        home = self._wires.home
        request = identity_pb2.GetTrustRequest()
        signed = await home.call(home.identity.GetTrust, request, CALL_TIMEOUT_S)
        news = await asyncio.to_thread(identity.take_trust, self._way, signed)
        if news is None:
            return
        self._way = self._way._replace(identity=news.identity)
        if news.has_other_roots:
            await self._wires.renew(self._way)
        if news.is_due and time.monotonic() >= self._not_before:
            await self._renew(news.authority)

    async def _renew(self, authority: str) -> None:
        address = await self._address_of(authority)
        if address:
            fresh = await asyncio.to_thread(identity.renew, self._way, address, authority)
            self._not_before = time.monotonic() + RENEW_EVERY_S
            self._way = self._way._replace(identity=fresh)
            await self._wires.renew(self._way)

    async def _address_of(self, node: str) -> str:
        """ "" when home does not know it."""
        home = self._wires.home
        reply = await home.call(home.nodes.List, nodes_pb2.ListNodesRequest(), CALL_TIMEOUT_S)
        found = [view.member.address for view in reply.nodes if view.member.node == node]
        return found[0] if found else ""
