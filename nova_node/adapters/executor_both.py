"""The Executor of a node: slots are worker processes, and the places numbered after them are the host's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from nova_node.adapters.executor_host import HostExecutor
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.worker_process import NO_SETTINGS
from nova_node.core.model import Attempt, Capability, Failure, Model
from nova_node.metrics.pools import Pools
from nova_node.ports import NO_SECRETS, Post
from nova_node.secrets.redact import Revealed


class BothExecutor:
    def __init__(self, processes: ProcessExecutor, host: HostExecutor, places: int) -> None:
        self._processes, self._host = processes, host
        self._places = places
        self._slots = 0

    @property
    def pools(self) -> Pools:
        return self._processes.pools

    @property
    def withheld(self) -> bool:
        """Whether `describe` may find more later."""
        return self._processes.withheld

    @property
    def models(self) -> list[Model]:
        """That `describe` found, where there is a place to ask them."""
        return self._processes.models if self._places else []

    async def start(self, slots: int, post: Post) -> None:
        self._slots = slots
        await self._processes.start(slots, post)
        await self._host.start(self._places, post, slots)

    async def describe(
        self, changed: Collection[str] = (), settings: Mapping[str, object] = NO_SETTINGS
    ) -> tuple[list[Capability], list[str]]:
        """As ProcessExecutor's, without what waits where its owner wants no places."""
        found, warnings = await self._processes.describe(changed, settings)
        return [card for card in found if self._places or not card.waits], warnings

    def run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        secrets: Mapping[int, Revealed] = NO_SECRETS,
    ) -> None:
        self._of(slot).run(slot, keys, attempts, secrets)

    def kill(self, slot: int, failure: Failure) -> None:
        self._of(slot).kill(slot, failure)

    async def stop(self) -> None:
        await asyncio.gather(self._processes.stop(), self._host.stop())

    def _of(self, slot: int) -> ProcessExecutor | HostExecutor:
        return self._processes if slot < self._slots else self._host
