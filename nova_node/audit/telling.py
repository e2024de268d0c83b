"""Once a minute: sign how far the log has come, keep that, and hand it to two peers."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from nova_node.audit.heads import Head, Heads, head_to_pb
from nova_node.audit.log import AuditLog
from nova_node.core.errors import NovaError, Refused
from nova_node.core.model import Member

if TYPE_CHECKING:
    from nova_proto.v1.identity_pb2 import AuditHead

EVERY_S = 60.0
FIRST_S = 5.0
"""After the start, when peers were found."""

PEERS = 2

log = logging.getLogger("nova.audit")


class Telling:
    """`sign` is `heads.sign` with the node's own key and chain, `members` gives those that are alive,
    `put` hands a head to one of them and raises NovaError."""

    def __init__(
        self,
        node: str,
        audit: AuditLog,
        heads: Heads,
        sign: Callable[[Head], Head],
        members: Callable[[], Sequence[Member]],
        put: Callable[[Member, AuditHead], Awaitable[None]],
        rng: random.Random,
    ) -> None:
        self._node = node
        self._audit = audit
        self._heads = heads
        self._sign = sign
        self._members = members
        self._put = put
        self._rng = rng

    async def run(self) -> None:
        """For ever."""
        await asyncio.sleep(FIRST_S)
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        """Once. What fails is logged."""
        try:
            head = await asyncio.to_thread(self._own_head)
        except (NovaError, OSError) as error:
            log.error("the head of the audit log was not kept: %s", error)
            return
        if head is None:
            return
        from nova_proto.v1.identity_pb2 import AuditHead

        pb = AuditHead()
        head_to_pb(head, pb)
        peers = [member for member in self._members() if member.node != self._node]
        for peer in self._rng.sample(peers, min(PEERS, len(peers))):
            try:
                await self._put(peer, pb)
            except NovaError as error:
                went_back = error.code == Refused.code
                told = log.error if went_back else log.debug
                told("%s did not take the head of the audit log: %s", peer.node, error)
                if went_back:
                    who = f"worker/{peer.node}"
                    self._audit.note(who, peer.address, "audit.head_refused", "", why=error.message)

    def _own_head(self) -> Head | None:
        """None when nothing was ever noted. Raises NovaError, OSError."""
        self._audit.flush()
        tip = self._audit.tip()
        if not tip.no:
            return None
        head = self._sign(Head(self._node, tip.no, tip.sha256, time.time()))
        self._heads.keep(head)
        return head
