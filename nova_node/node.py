"""The composition root: builds a node's parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import platform
import random
import signal
import time
import zlib
from collections.abc import Coroutine, Sequence
from typing import Any

import psutil

from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.clock import SystemClock
from nova_node.adapters.data_dir import DataDir
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.adapters.local_nodes import LocalNode, announce, nodes_dir, withdraw
from nova_node.config import NodeConfig
from nova_node.core.engine import Engine, EngineConfig
from nova_node.core.errors import NovaError
from nova_node.core.members import LAN, Introduced, LagMeasured
from nova_node.core.membership import Membership
from nova_node.core.model import Capability, Card, Member
from nova_node.core.owner import OwnerConfig
from nova_node.core.retention import RetentionConfig
from nova_node.core.signals import (
    DrainAsked,
)
from nova_node.core.worker import WorkerConfig
from nova_node.inputs import Inputs, keep_result
from nova_node.ports import Discovery, Found
from nova_node.runtime import Runtime
from nova_node.version import VERSION
from nova_node.watch import Watch

log = logging.getLogger("nova.node")

LAG_EVERY_S = 0.25
DRAIN_S = 60.0
COLLECT_EVERY_S = 600.0
BLOB_GRACE_S = 3600.0
REMEMBER_EVERY_S = 5.0


def run(config: NodeConfig, adopt: bool = False) -> int:
    """Run a node until it is told to stop; the process's exit code. `adopt` takes over a data
    directory that was moved or restored. Raises NovaError."""
    # hundreds of thousands of live tasks make frequent collections dear, and tasks form no cycles
    gc.set_threshold(50_000, 20, 100)
    return asyncio.run(Node(config, adopt).run())


class Node:
    def __init__(self, config: NodeConfig, adopt: bool) -> None:
        self._config = config
        self._adopt = adopt
        self._clock = SystemClock()
        self._rng = random.Random()
        self._stopping = asyncio.Event()
        self._interrupts = 0
        self._lag_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.data_dir = str(config.storage.data_dir.resolve())

    async def run(self) -> int:
        config = self._config
        self._data = DataDir(config.storage.data_dir, self._adopt)
        try:
            await self._start()
            self._on_signals()
            await self._until_stopped()
        finally:
            await self._stop()
            self._data.close()
        if not self._runtime.broken.done():
            return 0
        error = self._runtime.broken.result()
        if isinstance(error, NovaError):
            raise error
        return 1

    # ------------------------------------------------------------ start

    async def _start(self) -> None:
        config, me = self._config, self._data.node
        folder = config.storage.data_dir
        self._blobs = DiskBlobs(folder / "blobs", config.storage.blob_cap_bytes)
        self._executor = ProcessExecutor(
            str(folder / "spool"),
            self._blobs.path,
            functools.partial(keep_result, self._blobs),
            config.work.capabilities,
            config.work.limits,
        )
        self._journal = SqliteJournal(folder / "journal")
        incarnation = self._journal.open()
        self._engine = Engine(
            me,
            incarnation,
            EngineConfig(
                OwnerConfig(
                    unended_max=config.queues.tasks_max,
                    retention=RetentionConfig(forgotten_after_s=config.storage.journal_retention_s),
                ),
                WorkerConfig(slots=config.work.slots, wall_s=config.work.limits.wall_s),
            ),
            self._rng,
            self._journal.read(),
            self._clock.now(),
            self._journal.used()[1] + 1,
        )
        watch = Watch(self._engine.owner.seq, config.queues.watch_max)
        # worker processes start while grpc is still being imported
        early = _Early()
        await self._executor.start(config.work.slots, early.post)
        describing = asyncio.create_task(self._executor.describe())
        await asyncio.sleep(0)
        from nova_node.server.start import Server

        self._server = Server(config.listen, me, config.mesh, incarnation)
        address = await self._server.bind()
        now = self._clock.now()
        self._member = Member(
            me,
            config.name,
            address,
            incarnation,
            version=VERSION,
            mesh=config.mesh,
            # above all that a former life has told
            digest_seq=incarnation << 20,
        )
        membership = Membership(self._member, LAN, self._rng, now)
        inputs = Inputs(self._blobs, self._server.peers, self._executor)
        self._runtime = Runtime(
            self._engine,
            membership,
            self._journal,
            self._executor,
            inputs,
            watch,
            self._clock,
            config.queues.mailbox_max,
        )
        self._inputs = inputs
        inputs.post = self._runtime.post
        self._server.serve(self._runtime, self._journal, self._blobs, self._clock, self)
        self._describe(*await describing)
        await self._server.start()
        early.pass_on(self._runtime.post)
        self._local = LocalNode(
            me, config.name, address, config.mesh, str(folder.resolve()), os.getpid()
        )
        announce(self._local, nodes_dir())
        self._introduce(address, incarnation)
        log.info("node %s (%s) listens on %s", config.name, me, address)

    def _describe(self, capabilities: list[Capability], warnings: list[str]) -> None:
        for warning in warnings:
            log.warning("%s", warning)
        card = Card(
            self._data.node,
            0,
            tuple(capabilities),
            self._config.work.labels,
            self._config.work.slots,
            os.cpu_count() or 1,
            psutil.virtual_memory().total,
            platform.platform(terse=True),
            platform.python_version(),
            tuple(warnings),
        )
        version = zlib.crc32(repr(card).encode()) & 0x7FFFFFFF
        self.card = Card(
            card.node,
            version,
            card.capabilities,
            card.labels,
            card.slots,
            card.cpus,
            card.memory_bytes,
            card.platform,
            card.python,
            card.warnings,
        )
        self._engine.describe(self.card)
        self._tell_digest()

    def _introduce(self, address: str, incarnation: int) -> None:
        discovery = self._config.discovery
        post = self._runtime.post_member
        for peer in discovery.peers:
            post(Introduced(str(peer), pinned=True))
        for known in self._data.load_peers():
            if known != address:
                post(Introduced(known))
        self._spawn(self._measure_lag())
        self._spawn(self._keep_house())
        self._discovery: Discovery | None = None
        if discovery.mdns:
            self._spawn(self._discover(address))

    async def _discover(self, address: str) -> None:
        from nova_node.adapters.discovery_mdns import MdnsDiscovery

        self._discovery = MdnsDiscovery(self._config.discovery.interfaces)
        me = Found(self._data.node, address, self._config.mesh, VERSION)

        def seen(found: Found) -> None:
            self._runtime.post_member(Introduced(found.address, mesh=found.mesh))

        await self._discovery.start(me, seen)

    # ------------------------------------------------------------ while it runs

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended: %r", task.get_coro(), error)

    async def _measure_lag(self) -> None:
        """How late the loop runs feeds membership's trust in itself, and the digest."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lag_s = max(0.0, loop.time() - due)
            self._runtime.post_member(LagMeasured(self._lag_s))
            self._tell_digest()

    def _tell_digest(self) -> None:
        digest = self._engine.digest(self.card.card_version, int(self._lag_s * 1000))
        self._runtime.tell_digest(digest)

    async def _keep_house(self) -> None:
        known: list[str] = []
        collect_at = time.monotonic() + COLLECT_EVERY_S
        while True:
            await asyncio.sleep(REMEMBER_EVERY_S)
            alive = sorted(m.address for m in self._runtime.membership.alive())
            if alive and alive != known:
                known = alive
                await asyncio.to_thread(self._data.save_peers, known)
            if time.monotonic() >= collect_at:
                collect_at = time.monotonic() + COLLECT_EVERY_S
                named = self._engine.tasks.blob_ids()
                await asyncio.to_thread(self._blobs.collect, named, BLOB_GRACE_S)

    def lag_ms(self) -> float:
        return self._lag_s * 1000

    def release(self, blob_ids: Sequence[str]) -> None:
        self._inputs.release(blob_ids)

    # ------------------------------------------------------------ stop

    def stop(self) -> None:
        self._stopping.set()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain_and_stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            log.info("draining; interrupt again to stop now")
            self._drain_and_stop()
        else:
            self.stop()

    def _drain_and_stop(self) -> None:
        self._spawn(self._drain())

    async def _drain(self) -> None:
        await self._server.not_serving()
        self._runtime.post(DrainAsked())
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._runtime.drained.wait()
        except TimeoutError:
            log.warning("work still runs after %g s; stopping all the same", DRAIN_S)
        self.stop()

    async def _until_stopped(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, self._runtime.broken}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _stop(self) -> None:
        if hasattr(self, "_local"):
            withdraw(self._local, nodes_dir())
            self._runtime.leave()
            await asyncio.sleep(0.05)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if getattr(self, "_discovery", None) is not None:
            await self._discovery.stop()  # type: ignore[union-attr]
        if hasattr(self, "_runtime"):
            self._runtime.stop()
            await self._inputs.stop()
        if hasattr(self, "_server"):
            await self._server.stop()
        if hasattr(self, "_executor"):
            await self._executor.stop()
        if hasattr(self, "_journal"):
            await asyncio.to_thread(self._journal.close)


class _Early:
    """Keeps what worker processes say before there is a runtime."""

    def __init__(self) -> None:
        self._signals: list[Any] = []
        self._post: Any = None

    def post(self, signal: Any) -> None:
        if self._post is None:
            self._signals.append(signal)
        else:
            self._post(signal)

    def pass_on(self, post: Any) -> None:
        self._post = post
        for waiting in self._signals:
            post(waiting)
        self._signals.clear()
