"""What a node with an identity does by itself: renews its certificate, learns and tells what the mesh
trusts, and keeps away from whoever was revoked.

The node that holds the authority also looks whether a command changed something there. Rule: a root is
dropped when no certificate that still counts was issued under it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import grpc.aio
from nova_proto.identity import certificates, enrol
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.v1 import identity_pb2

from nova_node.adapters.peers_grpc import PeersGrpc
from nova_node.core.errors import NovaError
from nova_node.core.model import Member
from nova_node.identity.authority import Authority
from nova_node.identity.live import Identity

log = logging.getLogger("nova.identity")

RENEW_AT = 2 / 3
"""Of a certificate's life, give or take JITTER of it."""
JITTER = 0.05
RETRY_S = (1.0, 60.0)
"""After the first failed renewal, doubled up to the second, and never more than a tenth of what is
left of the certificate."""
NEWER_ROOT_S = 65.0
"""A new root signs nobody for a minute (`signers`); whoever asks later gets a certificate below it."""
KEYS_S = 2.0
PULL_S = 15.0
PUSH_TIMEOUT_S = 3.0
LOOK_S = 1.0
OLD_ROOTS_S = 30.0
LONELY_PULLS = 2
READMIT_PAUSE_S = 600.0

Spawn = Callable[[Any], None]


class Upkeep:
    """`members` are the peers that are alive, `doors` the addresses where the mesh may let nodes
    join, which a node asks that was away for too long. `now` is unix seconds."""

    def __init__(
        self,
        identity: Identity,
        authority: Authority | None,
        peers: PeersGrpc,
        members: Callable[[], Sequence[Member]],
        doors: Callable[[], Sequence[str]],
        spawn: Spawn,
        rng: random.Random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._authority = authority
        self._peers = peers
        self._members = members
        self._doors = doors
        self._spawn = spawn
        self._rng = rng
        self._now = now
        self._shown = identity.credentials
        self._roots = list(identity.trust.roots)
        self._woken = asyncio.Event()
        self._readmitted_at = 0.0

    def start(self) -> None:
        self._identity.on_change(self._changed)
        self._spawn(self._keep_renewed())
        self._spawn(self._keep_learning())
        if self._authority is not None:
            self._spawn(self._watch(self._authority))

    # ------------------------------------------------------------ what follows from a change

    def _changed(self) -> None:
        before, after = self._shown, self._identity.credentials
        self._shown = after
        self._woken.set()
        if before.chain != after.chain:
            log.info("the certificate of this node lasts until %s", self._until())
        if before.trust != after.trust:
            log.info("version %d of what the mesh trusts", self._identity.trust.version)
        if before.chain != after.chain or self._roots != list(self._identity.trust.roots):
            self._roots = list(self._identity.trust.roots)
            self._peers.renew()
        for member in self._members():
            if self._identity.is_revoked(member.node):
                self._peers.cut(member.node)
            elif before.trust != after.trust:
                self._spawn(self._push(member))

    def _until(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._identity.facts.not_after))

    async def _push(self, member: Member) -> None:
        try:
            stubs = self._peers.stubs(member.address, member.node)
            await stubs.identity.PutTrust(self._identity.signed_trust, timeout=PUSH_TIMEOUT_S)
        except (grpc.aio.AioRpcError, NovaError) as error:
            log.debug("%s was not told what to trust: %s", member.node, error)

    # ------------------------------------------------------------ learning

    async def _keep_learning(self) -> None:
        """What a push did not bring: from a random peer now and then."""
        lonely = 0
        while True:
            await asyncio.sleep(PULL_S * self._rng.uniform(0.75, 1.25))
            members = list(self._members())
            if members:
                lonely = 0
                await self._pull(self._rng.choice(members))
            else:
                lonely += 1
                if lonely >= LONELY_PULLS and self._authority is None:
                    await self._return()

    async def _pull(self, member: Member) -> None:
        identity = self._identity
        try:
            stubs = self._peers.stubs(member.address, member.node)
            request = identity_pb2.GetTrustRequest()
            signed = await stubs.identity.GetTrust(request, timeout=PUSH_TIMEOUT_S)
            theirs = identity_pb2.Trust.FromString(signed.trust).version
            if theirs < identity.trust.version:
                await self._push(member)
            else:
                identity.take_trust(signed)
        except (grpc.aio.AioRpcError, NovaError, IdentityError) as error:
            log.debug("%s did not tell what to trust: %s", member.node, error)

    async def _return(self) -> None:
        """Nobody is there: perhaps the mesh changed its root while this node was away."""
        if self._now() < self._readmitted_at + READMIT_PAUSE_S:
            return
        try:
            self._identity.enrolled(await self._readmit())
            self._readmitted_at = self._now()
        except (IdentityError, NovaError) as error:
            log.debug("not let in again: %s", error)

    # ------------------------------------------------------------ renewing

    async def _keep_renewed(self) -> None:
        failures, due = 0, self._due()
        while True:
            await self._sleep_until(due)
            if self._now() < due:
                due = min(due, self._due())
                continue
            try:
                self._identity.enrolled(await self._renewed())
                failures, due = 0, self._due()
            except (IdentityError, NovaError) as error:
                failures += 1
                due = self._now() + self._pause_s(failures)
                log.warning(
                    "the certificate was not renewed, it lasts until %s: %s", self._until(), error
                )

    async def _sleep_until(self, due: float) -> None:
        """Or until something changed."""
        self._woken.clear()
        try:
            async with asyncio.timeout(max(0.0, due - self._now())):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _due(self) -> float:
        identity, rng = self._identity, self._rng
        share = RENEW_AT + rng.uniform(-JITTER, JITTER)
        due = identity.facts.issued_at + share * identity.life_s
        if not identity.under_newest_root:
            due = min(due, self._now() + NEWER_ROOT_S * rng.uniform(1.0, 1.5))
        if identity.trust.data_key > identity.data_keys.current:
            due = min(due, self._now() + KEYS_S * rng.uniform(0.5, 1.5))
        return due

    def _pause_s(self, failures: int) -> float:
        first, last = RETRY_S
        left_s = self._identity.facts.not_after - self._now()
        pause_s = min(last, first * 2.0 ** min(failures - 1, 10))
        if left_s > 0:
            pause_s = min(pause_s, max(first, left_s / 10))
        return pause_s * self._rng.uniform(0.5, 1.0)

    async def _renewed(self) -> enrol.Enrolled:
        """Raises IdentityError or NovaError."""
        identity = self._identity
        if self._authority is not None:
            return await asyncio.to_thread(renew_here, identity.credentials, self._authority)
        if identity.expired:
            return await self._readmit()
        holder = identity.trust.authority
        address = next((m.address for m in self._members() if m.node == holder), None)
        if address is None:
            raise IdentityError("unavailable", f"node {holder}, which renews it, is not here")
        return await asyncio.to_thread(enrol.renew, address, holder, identity.credentials)

    async def _readmit(self) -> enrol.Enrolled:
        """Raises IdentityError."""
        error = IdentityError("unavailable", "no address is known where nodes may join")
        for door in self._doors():
            try:
                return await asyncio.to_thread(enrol.readmit, door, self._identity.credentials)
            except IdentityError as refused:
                error = refused
        raise error

    # ------------------------------------------------------------ beside the authority

    async def _watch(self, authority: Authority) -> None:
        seen: tuple[int, int, int] | None = None
        looked_at = 0.0
        while True:
            try:
                stamp = authority.stamp()
                if stamp != seen:
                    self._identity.add_data_keys(await asyncio.to_thread(authority.data_keys))
                    self._identity.take_trust(await asyncio.to_thread(authority.signed_trust))
                    seen = stamp
                if len(self._identity.trust.roots) > 1 and self._now() > looked_at + OLD_ROOTS_S:
                    looked_at = self._now()
                    await asyncio.to_thread(authority.drop_old_roots)
            except (IdentityError, NovaError) as error:
                log.warning("the authority cannot be read: %s", error)
            await asyncio.sleep(LOOK_S)


def renew_here(credentials: Credentials, authority: Authority) -> enrol.Enrolled:
    """Of the node that holds the authority itself. Blocks. Raises IdentityError or NovaError."""
    request = certificates.request(certificates.key_from_pem(credentials.key_pem))
    chain = authority.renew(request, credentials.name)
    trust = authority.signed_trust().SerializeToString()
    return replace(credentials, chain=chain, trust=trust), authority.data_keys()
