"""The composition root: builds a node's parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import random
import resource
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import psutil

from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.clock import SystemClock
from nova_node.adapters.data_dir import DataDir
from nova_node.adapters.endpoint_process import keep_endpoint
from nova_node.adapters.executor_both import BothExecutor
from nova_node.adapters.executor_host import HostExecutor
from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.adapters.local_nodes import LocalNode, announce, nodes_dir, withdraw
from nova_node.asks import Asks
from nova_node.audit.log import AuditLog
from nova_node.config import NodeConfig
from nova_node.core.engine import Engine, EngineConfig
from nova_node.core.errors import NovaError
from nova_node.core.members import LAN, Moved
from nova_node.core.membership import Membership
from nova_node.core.model import Card, Member
from nova_node.core.owner import OwnerConfig
from nova_node.core.retention import RetentionConfig
from nova_node.core.signals import CardFetched, DrainAsked, Signal
from nova_node.core.worker import WorkerConfig
from nova_node.describing import Describing
from nova_node.duties import Duties
from nova_node.inputs import Inputs, keep_result, take_back
from nova_node.models.key_ring import KeyRing
from nova_node.ports import Post
from nova_node.recorder import Recorder, record, recorder_of
from nova_node.runtime import Runtime
from nova_node.secrets.references import Resolver
from nova_node.secrets.sources import Sources
from nova_node.secrets.store import Store
from nova_node.version import VERSION
from nova_node.watch import Watch
from nova_node.whereabouts import Place, Whereabouts

if TYPE_CHECKING:
    from nova_node.belonging import Belonging

log = logging.getLogger("nova.node")

OFFLINE = "no network: only this machine can reach this node (see `advertise`)"

DRAIN_S = 60.0
FAREWELL_S = 0.05

HELD_BYTES_MAX = 3 << 30
"""Of arguments and results that this node owns; and at most a quarter of the machine's memory."""


def run(config: NodeConfig, adopt: bool = False) -> int:
    """Run a node until it is told to stop; the process's exit code. `adopt` takes over a data
    directory that was moved or restored. Raises NovaError."""
    # hundreds of thousands of live tasks make frequent collections dear, and tasks form no cycles
    gc.set_threshold(50_000, 20, 100)
    # a core dump would hold the secrets of tasks
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return asyncio.run(Node(config, adopt).run())


class Node:
    def __init__(self, config: NodeConfig, adopt: bool) -> None:
        self._config = config
        self._adopt = adopt
        self._clock = SystemClock()
        self._rng = random.Random()
        self._stopping = asyncio.Event()
        self._interrupts = 0
        #: None: nothing is recorded
        self._recorder: Recorder | None = None
        self.is_leaving = False
        self.data_dir = str(config.storage.data_dir.resolve())

    async def run(self) -> int:
        async with AsyncExitStack() as stack:
            self._open(stack)
            # worker processes start while grpc is still being imported
            early = _Early()
            await self._executor.start(self._config.work.slots, early.post)
            stack.push_async_callback(self._executor.stop)
            describing = asyncio.create_task(self._describing.describe())
            await asyncio.sleep(0)
            await self._bind(stack)
            self._compose(stack)
            self.card = await describing
            self._engine.describe(self.card)
            await self._server.start()
            early.pass_on(self._runtime.post)
            await self._join(stack)
            await self._until_stopped()
        if not self._runtime.broken.done():
            return 0
        error = self._runtime.broken.result()
        if isinstance(error, NovaError):
            raise error
        return 1

    # ------------------------------------------------------------ start

    def _open(self, stack: AsyncExitStack) -> None:
        """What is on this machine: the folder, the journal, the blobs, the executor."""
        config = self._config
        folder = config.storage.data_dir
        self._data = DataDir(folder, self._adopt)
        stack.callback(self._data.close)
        self._audit = AuditLog(folder)
        stack.callback(self._audit.close)
        stack.callback(self._audit.note, "", "", "stop", self._data.node)
        self._audit.note("", "", "start", self._data.node, version=VERSION)
        self._belonging = self._belong()
        sealer = self._belonging.identity.data_keys if self._belonging else None
        self._journal = SqliteJournal(folder / "journal", sealer)
        self._incarnation = self._journal.open()
        stack.callback(self._journal.close)
        self._blobs = DiskBlobs(folder / "blobs", config.storage.blob_cap_bytes, sealer)
        store = Store(folder / "secrets")
        keys = KeyRing(config.models, store, os.environ)
        self._resolver = Resolver(store, Sources(config.work.secret_sources, os.environ))
        processes = ProcessExecutor(
            str(folder / "spool"),
            self._blobs.path,
            functools.partial(keep_result, self._blobs),
            config.work.capabilities,
            config.work.limits,
            functools.partial(take_back, self._blobs),
            config.work.told,
        )
        self._host = HostExecutor(processes, self._data.node)
        self._executor = BothExecutor(processes, self._host, config.work.places)
        self._describing = Describing(self._data.node, config.work, self._executor)
        self._host.measured = self._describing.hear
        self._host.reveal(keys.reveal)
        self._engine = Engine(
            self._data.node,
            self._incarnation,
            EngineConfig(
                _owner_config(config),
                WorkerConfig(
                    slots=config.work.slots,
                    places=config.work.places,
                    asking=frozenset(config.work.uses),
                    wall_s=config.work.limits.wall_s,
                ),
            ),
            self._rng,
            self._journal.read(),
            self._clock.now(),
            self._journal.used()[1] + 1,
        )

    def _belong(self) -> Belonging | None:
        """None in a mesh without identity, which loads nothing of it."""
        if self._config.identity is None:
            return None
        from nova_node.belonging import Belonging

        return Belonging(self._config.identity, self._data.node, self._data.path)

    async def _bind(self, stack: AsyncExitStack) -> None:
        """Take the port; only then is the node's address known."""
        from nova_node.server.audited import Audited
        from nova_node.server.entrance import entrance_without_identity
        from nova_node.server.start import Server

        config, me = self._config, self._data.node
        if self._belonging is None:
            entrance = entrance_without_identity(config.listen)
        else:
            entrance = self._belonging.entrance()
        self._audited = Audited(self._audit)
        self._server = Server(
            config.listen, me, config.mesh, self._incarnation, entrance, self._audited
        )
        stack.push_async_callback(self._server.stop)
        self._listen = await self._server.bind()
        self._whereabouts = Whereabouts(self._listen, config.advertise, config.discovery.interfaces)
        place = self._whereabouts.place
        if place.is_offline and not self._listen.is_loopback:
            log.warning(OFFLINE)
        self._member = Member(
            me,
            config.name,
            str(place.address),
            self._incarnation,
            version=VERSION,
            mesh=config.mesh,
            # above all that a former life has told
            digest_seq=self._incarnation << 20,
        )

    def _compose(self, stack: AsyncExitStack) -> None:
        queues, work, belonging = self._config.queues, self._config.work, self._belonging
        mandates = belonging.mandates(work.policy, work.labels, work.uses) if belonging else None
        self._inputs = Inputs(
            self._blobs,
            self._server.peers,
            self._executor,
            self._resolver,
            mandates.refusals if mandates else None,
        )
        self._runtime = Runtime(
            self._engine,
            Membership(self._member, LAN, self._rng, self._clock.now()),
            self._journal,
            self._executor,
            self._inputs,
            Watch(self._engine.owner.seq, queues.watch_max),
            self._clock,
            queues.mailbox_max,
        )
        stack.callback(self._runtime.stop)
        if self._config.storage.metrics_cap_bytes:
            self._recorder = recorder_of(
                self._config.storage,
                self._runtime,
                self._journal,
                self._clock,
                self._incarnation,
                self.lag_ms,
                self._executor.pools,
            )
        self._inputs.post = self._runtime.post
        asks = Asks(self._runtime, self._blobs, work.uses)
        stack.push_async_callback(asks.stop)
        self._host.asker = asks
        stack.push_async_callback(self._inputs.stop)
        self._server.serve(
            self._runtime,
            self._journal,
            self._blobs,
            self._clock,
            self,
            belonging.service(self._audited) if belonging else None,
            mandates,
            self._recorder,
        )

    async def _join(self, stack: AsyncExitStack) -> None:
        """Show the node to this machine's tools and to the mesh."""
        me, belonging = self._member, self._belonging
        self._duties = Duties(self._runtime, self._data, self._blobs, self.card.card_version)
        here = self._show_here(me.address)
        stack.callback(withdraw, here, nodes_dir())
        stack.push_async_callback(self._farewell)
        stack.push_async_callback(self._duties.stop)
        join_port = await belonging.let_others_join(stack, self._audited) if belonging else 0
        if self._recorder is not None:
            await record(stack, self._recorder, self._config.metrics, me.name)
        self._duties.start(me, self._config.discovery, self._listen, join_port)
        self._duties.spawn(self._describing.ask_again(self._publish))
        self._duties.spawn(self._describing.follow_servers(self._publish))
        self._duties.spawn(self._describing.follow_models(self._publish))
        if belonging is not None:
            alive = self._runtime.membership.alive
            belonging.keep_up(
                self._server, alive, self._duties.doors, self._duties.spawn, self._rng
            )
            belonging.tell_heads(self._server, self._audit, alive, self._duties.spawn, self._rng)
        if self._config.openai is not None:
            self._duties.spawn(keep_endpoint(self._config.openai, here.asked_at))
        self._duties.spawn(self._whereabouts.follow(self._moved))
        log.info("node %s (%s) listens on %s", me.name, me.node, me.address)

    def _show_here(self, address: str) -> LocalNode:
        """To this machine's tools, which find the node by its file."""
        me, secure = self._member, self._belonging is not None
        here = LocalNode(
            *(me.node, me.name, address, me.mesh, self.data_dir, os.getpid(), secure),
            local=str(self._whereabouts.local),
        )
        announce(here, nodes_dir())
        return here

    def _moved(self, place: Place) -> None:
        """The machine is in another network, or in none: then there is nobody to tell."""
        if place.is_offline:
            log.warning(OFFLINE)
            return
        address = str(place.address)
        if address != self._runtime.membership.me.address:
            log.info("others reach this node at %s now", address)
            self._show_here(address)
            self._runtime.post_member(Moved(address))
            self._server.peers.renew()
        self._duties.discover_at(address)

    def _publish(self, card: Card) -> None:
        if card != self.card:
            self.card = card
            self._duties.card_version = card.card_version
            self._engine.describe(card)
            self._runtime.post(CardFetched(card))

    # ------------------------------------------------------------ what the services ask

    def lag_ms(self) -> float:
        return self._duties.lag_s * 1000

    def release(self, blob_ids: Sequence[str]) -> None:
        self._inputs.release(blob_ids)

    def stop(self) -> None:
        self.is_leaving = True
        self._stopping.set()

    # ------------------------------------------------------------ stop

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain_and_stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, self._runtime.broken}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            log.info("draining; interrupt again to stop now")
            self._drain_and_stop()
        else:
            self.stop()

    def _drain_and_stop(self) -> None:
        self.is_leaving = True
        self._duties.spawn(self._drain())

    async def _drain(self) -> None:
        await self._server.not_serving()
        self._runtime.post(DrainAsked())
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._runtime.drained.wait()
        except TimeoutError:
            log.warning("work still runs after %g s; stopping all the same", DRAIN_S)
        self.stop()

    async def _farewell(self) -> None:
        self._runtime.leave()
        await asyncio.sleep(FAREWELL_S)


def _owner_config(config: NodeConfig) -> OwnerConfig:
    held_bytes_max = min(HELD_BYTES_MAX, psutil.virtual_memory().total // 4)
    retention = RetentionConfig(
        forgotten_after_s=config.storage.journal_retention_s, kept_bytes=held_bytes_max // 3
    )
    return OwnerConfig(config.queues.tasks_max, held_bytes_max, retention)


class _Early:
    """Keeps what worker processes say before there is a runtime."""

    def __init__(self) -> None:
        self._signals: list[Signal] = []
        self._post: Post = self._signals.append

    def post(self, signal: Signal) -> None:
        self._post(signal)

    def pass_on(self, post: Post) -> None:
        self._post = post
        for kept in self._signals:
            post(kept)
