"""What a node's card says, kept true while it runs: what it can do, and how fast its models were."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import random
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import psutil

from nova_node.adapters.executor_both import BothExecutor
from nova_node.adapters.worker_process import NO_SETTINGS
from nova_node.config import WorkConfig
from nova_node.core.model import Capability, Card, Model
from nova_node.models.measured import Row
from nova_node.models.nearby import MODULES, Nearby

log = logging.getLogger("nova.node")

ASK_AGAIN_S = (5.0, 60.0)
MEASURED_EVERY_S = 60.0
LOOK_SPREAD, LOOK_MIN_S = (0.8, 1.2), 0.1

Publish = Callable[[Card], None]


class Describing:
    def __init__(self, node: str, work: WorkConfig, executor: BothExecutor) -> None:
        self._node, self._work, self._executor = node, work, executor
        self._found: list[Capability] = []
        self._warnings: list[str] = []
        #: by model, ttft_ms and tokens_per_s
        self._measured: dict[str, tuple[float, float]] = {}
        self._news = asyncio.Event()
        self._asking = asyncio.Lock()
        told = work.told
        self._nearby = Nearby(told["models.use"], told["models.discover"])

    async def describe(
        self, changed: Collection[str] = (), settings: Mapping[str, object] = NO_SETTINGS
    ) -> Card:
        """Asks a worker process anew. What was not warned of before is logged."""
        async with self._asking:
            found, warnings = await self._executor.describe(changed, settings)
        for warning in warnings:
            if warning not in self._warnings:
                log.warning("%s", warning)
        self._found, self._warnings = found, warnings
        return self._card()

    def hear(self, rows: Sequence[Row]) -> None:
        """What the host measured."""
        self._measured |= {name: (ttft_ms, rate) for name, ttft_ms, rate in rows}
        self._news.set()

    async def ask_again(self, publish: Publish) -> None:
        """What this node lacks, such as a container engine, may come while it runs."""
        pause_s = ASK_AGAIN_S[0]
        while self._executor.withheld:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, ASK_AGAIN_S[1])
            publish(await self.describe())

    async def follow_servers(self, publish: Publish) -> None:
        """Model servers on this machine come and go, and get other models."""
        nearby, every_s = self._nearby, self._work.told["models.look_s"]
        if not every_s or not self._work.places or nearby.is_idle:
            return
        # it was described by what the worker process saw
        known = not any(model.local for model in self._executor.models)
        while True:
            await asyncio.sleep(max(every_s, LOOK_MIN_S) * random.uniform(*LOOK_SPREAD))
            changed = await nearby.look()
            if known and not changed:
                continue
            known = False
            try:
                publish(await self.describe(MODULES, nearby.told))
            except OSError as error:
                log.warning("models of this machine cannot be told for now: %s", error)
                continue
            known = True
            local = [model.name for model in self._executor.models if model.local]
            log.info("models on this machine: %s", ", ".join(local) or "none")

    async def follow_models(self, publish: Publish) -> None:
        """New figures at once, and then for a while no more."""
        while True:
            await self._news.wait()
            self._news.clear()
            publish(self._card())
            await asyncio.sleep(MEASURED_EVERY_S)

    def _card(self) -> Card:
        """The card; its version is a hash of what it says."""
        labels = dict(pair for each in self._found for pair in each.labels)
        labels |= dict(self._work.labels)
        card = Card(
            self._node,
            0,
            tuple(self._found),
            tuple(sorted(labels.items())),
            self._work.slots,
            os.cpu_count() or 1,
            psutil.virtual_memory().total,
            platform.platform(terse=True),
            platform.python_version(),
            tuple(self._warnings),
            tuple(self._with_figures(self._executor.models)),
        )
        return replace(card, card_version=zlib.crc32(repr(card).encode()) & 0x7FFFFFFF)

    def _with_figures(self, models: Iterable[Model]) -> Iterable[Model]:
        for model in models:
            ttft_ms, rate = self._measured.get(model.name, (0.0, 0.0))
            yield model._replace(ttft_ms=ttft_ms, tokens_per_s=rate)
