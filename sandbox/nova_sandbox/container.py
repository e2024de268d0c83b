"""Boxes that are containers: made, looked at, removed; and those found that nobody holds."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Container
from dataclasses import dataclass, field

from nova_sandbox import lease, profile
from nova_sandbox.box import AUTOPSY_TIMEOUT_S, Autopsy, Box
from nova_sandbox.engine import Engine
from nova_sandbox.errors import Insecure, SandboxError
from nova_sandbox.frames import MuxReader
from nova_sandbox.limits import Limits, Tier

LEFTOVER_TIMEOUT_S = 3.0
NAME_PREFIX = "nova-sandbox-"


@dataclass(frozen=True, slots=True)
class ContainerHandle:
    name: str
    engine: Engine
    held: set[str]

    async def destroy(self, timeout_s: float | None = None) -> None:
        try:
            if timeout_s is None:
                await self.engine.remove(self.name, tidy=True)
            else:
                await self.engine.remove(self.name, timeout_s)
        finally:
            self.held.discard(self.name)

    async def autopsy(self) -> Autopsy:
        state = await self.engine.ended(self.name, AUTOPSY_TIMEOUT_S)
        return Autopsy(bool(state["OOMKilled"]), state["ExitCode"])


@dataclass(slots=True)
class ContainerMaker:
    """Makes containers of one image, tier and set of limits."""

    engine: Engine
    image_id: str
    tier: Tier
    runtime: str
    limits: Limits
    owner: lease.Owner
    node: str
    lease_s: float
    """How long a container may live at most."""
    held: set[str] = field(default_factory=set[str])
    """Names of those that are starting, warm or busy. Any other of this owner is an orphan."""

    async def make(self) -> Box:
        """A warm box. Raises SandboxError; then nothing is left, or the reaper gets it."""
        name = NAME_PREFIX + secrets.token_hex(8)
        labels = lease.labels(self.owner, self.node, time.time() + self.lease_s)
        config = profile.container_config(self.image_id, self.limits, self.runtime, labels)
        handle = ContainerHandle(name, self.engine, self.held)
        self.held.add(name)
        try:
            stream = await self.engine.launch(name, config)
        except BaseException:
            with contextlib.suppress(SandboxError):
                await handle.destroy(LEFTOVER_TIMEOUT_S)
            raise
        reader, writer = await asyncio.open_unix_connection(sock=stream)
        box = Box(reader, writer, handle, MuxReader())
        try:
            seen = await box.ready()
            if faults := profile.faults(seen, self.limits, self.tier):
                raise Insecure(
                    "a container here lacks its profile: " + "; ".join(faults),
                    "the engine or kernel does not enforce it: see nova-sandbox doctor",
                )
        except BaseException:
            await box.close()
            raise
        return box


async def reap(engine: Engine, me: lease.Owner, held: Container[str] = ()) -> list[str]:
    """Removes the containers that nobody holds; gives their names."""
    reaped: list[str] = []
    for found in await engine.containers(lease.LABEL):
        mine = lease.read_owner(found.labels.get(lease.OWNER, "")) == me
        if found.name not in held if mine else lease.is_orphan(found.labels, me):
            await engine.remove(found.id)
            reaped.append(found.name)
    return reaped
