"""Records what happens on this node: its events, and once a second how it is.

Rule: the loop pays an append for each announcement; the rest is done a little later and off the hot
path, and what there is no room for is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import psutil

from nova_node.adapters.metrics_process import History
from nova_node.adapters.metrics_spool import Spool
from nova_node.address import Address
from nova_node.config import StorageConfig
from nova_node.core.errors import NovaError
from nova_node.core.events import Event, Finished, Retried
from nova_node.core.model import Anomaly, MemberState
from nova_node.core.signals import Noticed
from nova_node.core.tasks import Task
from nova_node.metrics.history import Projection
from nova_node.metrics.keeping import DAY_S, Rules
from nova_node.metrics.pools import Pools
from nova_node.metrics.samples import Gauges, Recent, anomaly_detail, sample_of
from nova_node.metrics.tables import EVENTS, MEMBERS, SPENDING, TASKS
from nova_node.ports import Clock, Journal
from nova_node.runtime import Runtime

PROJECT_EVERY_S = 0.25
SAMPLE_EVERY_S = 1.0
PENDING_MAX_EVENTS = 50_000
AT_ONCE_EVENTS = 256
TAKE_IN_BYTES = 16 << 20
PAUSE_S = 0.02
REBUILD_WAIT_S = 10.0

log = logging.getLogger("nova.metrics")


def recorder_of(
    storage: StorageConfig,
    runtime: Runtime,
    journal: Journal,
    clock: Clock,
    incarnation: int,
    lag_ms: Callable[[], float],
    pools: Pools,
) -> Recorder:
    rules = Rules(
        kept_days=math.ceil(storage.metrics_retention_s / DAY_S),
        cap_bytes=storage.metrics_cap_bytes,
    )
    folder = (storage.data_dir / "metrics").resolve()
    return Recorder(folder, runtime, journal, clock, incarnation, lag_ms, rules, pools)


async def record(
    stack: AsyncExitStack, recorder: Recorder, page: Address | None, name: str
) -> None:
    """Begin, until the stack ends. `page` is where Prometheus may read, `name` the node's. Raises
    InUse."""
    recorder.start()
    stack.push_async_callback(recorder.stop)
    if page is None:
        return
    from nova_node.adapters.metrics_page import Page
    from nova_node.metrics import prometheus

    def text() -> str:
        return prometheus.render(recorder.node, name, recorder.recent, recorder.dropped)

    shown = Page(page, prometheus.CONTENT_TYPE, text)
    address = await shown.start()
    stack.push_async_callback(shown.stop)
    log.info("Prometheus may read http://%s/metrics", address)


class Recorder:
    """On the event loop's thread, but for the reading of the journal."""

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        journal: Journal,
        clock: Clock,
        incarnation: int,
        lag_ms: Callable[[], float],
        rules: Rules,
        pools: Pools,
    ) -> None:
        """To be made before anything is announced."""
        self.recent = Recent()
        self.node = runtime.engine.me
        #: events that there was no room for
        self.dropped_events = 0
        self._runtime = runtime
        self._journal = journal
        self._clock = clock
        self._lag_ms = lag_ms
        self._pools = pools
        self._spool = Spool(folder, incarnation)
        self.history = History(folder, runtime.engine.me, rules, self._spool)
        self.history.on_lost = self._project_again
        self._pending: list[Sequence[Event]] = []
        self._offered = asyncio.Event()
        #: tasks that pending events tell of, which the owner may let go of meanwhile
        self._told_of: dict[int, Task] = {}
        self._seen: list[Projection] = []
        #: the last event that was projected as it came
        self._seq = runtime.watch.seq
        self._number = runtime.watch.subscribe(self._offer)
        self._tasks: set[asyncio.Task[None]] = set()
        self._rebuild: asyncio.Task[None] | None = None
        self._stopped = threading.Event()
        self._process = psutil.Process()
        self._sampled_at = clock.now()
        self._cpu_s = time.process_time()

    @property
    def dropped(self) -> int:
        """Rows, and events that never became any, since the start."""
        return self._spool.dropped + self.dropped_events

    def start(self) -> None:
        try:
            recorded = self._spool.open()
        except OSError as error:
            log.warning("metrics cannot be recorded: %s", error)
            self._runtime.watch.unsubscribe(self._number)
            self._pending.clear()
            self._told_of.clear()
            return
        if recorded < self._seq:
            self._begin_rebuild(recorded + 1)
        self._spawn(self._keep_projecting())
        self._spawn(self._keep_sampling())

    async def stop(self) -> None:
        self._stopped.set()
        self._runtime.watch.unsubscribe(self._number)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._project()
        await self.history.stop()
        await asyncio.to_thread(self._spool.close)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------ events

    def _offer(self, events: Sequence[Event]) -> None:
        if len(self._pending) >= PENDING_MAX_EVENTS:
            self.dropped_events += len(events)
            return
        self._pending.append(events)
        self._offered.set()
        by_no, told_of = self._runtime.engine.tasks.by_no, self._told_of
        for event in events:
            match event.fact:
                case Finished(outcomes):
                    told_of.update([(o.no, by_no[o.no]) for o in outcomes if o.no in by_no])
                case Retried(outcome) if outcome.no in by_no:
                    told_of[outcome.no] = by_no[outcome.no]
                case _:
                    pass

    async def _keep_projecting(self) -> None:
        while True:
            await self._offered.wait()
            await asyncio.sleep(PROJECT_EVERY_S)
            self._offered.clear()
            await self._project()

    async def _project(self) -> None:
        """In pieces, so that the loop is not held up."""
        pending, self._pending = self._pending, []
        told_of, self._told_of = self._told_of, {}
        events = chain.from_iterable(pending)
        while some := list(islice(events, AT_ONCE_EVENTS)):
            projection = Projection(told_of)
            projection.add(some)
            self._seen.append(projection)
            self._seq = some[-1].seq
            # until what came before is recorded too, the number of this one tells nothing
            caught_up = self._rebuild is None or self._rebuild.done()
            self._spool.put(projection.lines(), self._seq if caught_up else 0)
            await asyncio.sleep(0)

    # ------------------------------------------------------------ the journal, when events are missing

    async def _project_again(self, last_seq: int) -> None:
        """What the database held after this event is lost. Waits a while for most of it."""
        self._spool.forget([TASKS.name, SPENDING.name, EVENTS.name, MEMBERS.name])
        rebuild = self._begin_rebuild(last_seq + 1)
        await asyncio.wait({rebuild}, timeout=REBUILD_WAIT_S)

    def _begin_rebuild(self, from_seq: int) -> asyncio.Task[None]:
        before, to_seq = self._rebuild, self._seq

        async def rebuild() -> None:
            if before is not None:
                await asyncio.wait({before})
            try:
                count = await asyncio.to_thread(self._read_journal, from_seq, to_seq)
            except NovaError as error:
                log.warning("history cannot be read from the journal: %s", error)
                return
            if count:
                log.info("%d events were recorded from the journal", count)
            self._spool.put((), self._seq)

        self._rebuild = self._spawn(rebuild())
        return self._rebuild

    def _read_journal(self, from_seq: int, to_seq: int) -> int:
        """In a thread of its own. Raises NovaError."""
        events = self._journal.read(from_seq)
        count = 0
        while some := [e for e in islice(events, AT_ONCE_EVENTS) if e.seq <= to_seq]:
            projection = Projection(self._runtime.engine.tasks.by_no)
            projection.add(some)
            self._spool.put(projection.lines())
            count += len(some)
            # the node's own work comes first
            while not self._stopped.wait(PAUSE_S / 10) and self._spool.is_busy:
                self._stopped.wait(PAUSE_S)
            if self._stopped.is_set():
                break
        return count

    # ------------------------------------------------------------ samples

    async def _keep_sampling(self) -> None:
        self._gauges()  # some count from the call before
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            self.sample()
            if self._spool.waiting_bytes > TAKE_IN_BYTES and len(self._tasks) < 8:
                self._spawn(self._take_in())

    def sample(self) -> None:
        now = self._clock.now()
        seen, self._seen = self._seen, []
        sample = sample_of(now, now - self._sampled_at, self._gauges(), seen, self._pools.take())
        self._sampled_at = now
        lines = sample.lines()
        changes = self.recent.add(sample)
        if changes:
            notes = Projection({})
            for change in changes:
                detail = anomaly_detail(change)
                notes.note_anomaly(now, detail)
                told = Anomaly(change.series, change.value, change.median, change.z, change.ended)
                self._runtime.post(Noticed(told))
                log.info("anomaly: %s", detail)
            lines += notes.lines()
        self._spool.put(lines)

    async def _take_in(self) -> None:
        with suppress(NovaError):
            await self.history.take_in()

    def _gauges(self) -> Gauges:
        runtime = self._runtime
        engine, me = runtime.engine, runtime.engine.me
        cpu_s, before_s = time.process_time(), self._cpu_s
        self._cpu_s = cpu_s
        interval_s = max(0.001, self._clock.now() - self._sampled_at)
        members = runtime.membership.members.values()
        alive = [m for m in members if m.member.state is MemberState.ALIVE and m.member.node != me]
        return Gauges(
            cpu=psutil.cpu_percent(None) / 100,
            cpu_node=(cpu_s - before_s) / interval_s,
            memory_bytes=self._process.memory_info().rss,
            memory_free_bytes=psutil.virtual_memory().available,
            load=os.getloadavg()[0],
            queued=len(engine.worker.slots.queue),
            unended=engine.tasks.unended,
            slots=len(engine.worker.slots.all),
            slots_free=engine.worker.slots_free,
            lag_ms=self._lag_ms(),
            peers=len(alive),
        )
