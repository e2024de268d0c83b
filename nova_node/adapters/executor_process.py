"""The Executor of installed capabilities: warm worker processes, one a slot.

Rule: this process never imports a capability. What a worker does is known from its frames, what it
was doing when it died from memory shared with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import psutil

from nova_node.adapters.worker_cards import NOTHING, Catalogue, describe
from nova_node.adapters.worker_frames import (
    Head,
    Owed,
    blob_ids,
    decode_results,
    encode_attempts,
    ended,
)
from nova_node.adapters.worker_main import IDLE
from nova_node.adapters.worker_output import Output
from nova_node.adapters.worker_process import NO_SETTINGS, Setup, WorkerProcess, death
from nova_node.adapters.worker_results import Keep, Results
from nova_node.core.errors import NovaError
from nova_node.core.model import (
    Attempt,
    Capability,
    Failure,
    Limits,
    Model,
)
from nova_node.core.signals import (
    Ran,
    RanItem,
    SlotDied,
    SlotReady,
    Spoke,
)
from nova_node.metrics.pools import Pools
from nova_node.ports import NO_SECRETS, Post
from nova_node.secrets.redact import Redactor, Revealed

DEFAULT_LIMITS = Limits(output_bytes=1 << 20)
WATCH_S = 0.2
GUARDED_MAX = 1024
BACKOFF_S = (0.1, 10.0)

Locate = Callable[[str], str]
TakeBack = Callable[[Attempt], None]


class ProcessExecutor:
    """`spool` and `keep` are those of Results. `locate` gives the local file of a blob. `modules` hold
    capabilities beside those of the installed entry points. `limits` are the defaults, `settings` those
    of the node that capabilities may ask for. `take_back` is told when an attempt with blobs reads
    them no more."""

    def __init__(
        self,
        spool: str,
        locate: Locate,
        keep: Keep,
        modules: Sequence[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        take_back: TakeBack = lambda attempt: None,
        settings: Mapping[str, object] = NO_SETTINGS,
    ) -> None:
        self.locate = locate
        self.setup = Setup(spool, tuple(modules), settings)
        self.results = Results(spool, keep)
        self.catalogue = Catalogue(limits)
        self.pools = Pools()
        self._take_back = take_back
        self._slots: list[_Slot] = []
        self._described = NOTHING

    async def start(self, slots: int, post: Post) -> None:
        self.results.open()
        self.post = post
        self._slots = [_Slot(self, number) for number in range(slots)]
        for slot in self._slots:
            slot.start()

    @property
    def withheld(self) -> bool:
        """Whether `describe` may find more later. It asks only for that then."""
        return bool(self._described.withheld)

    @property
    def models(self) -> list[Model]:
        """That `describe` found, the first of each name."""
        found = [model for each in self._described.models.values() for model in each]
        return list({model.name: model for model in reversed(found)}.values())[::-1]

    async def describe(
        self, changed: Collection[str] = (), settings: Mapping[str, object] = NO_SETTINGS
    ) -> tuple[list[Capability], list[str]]:
        """`changed` are modules to ask again, `settings` what is known by now."""
        self.results.make_folder()
        self.setup = self.setup._replace(settings={**self.setup.settings, **settings})
        self._described = described = await describe(self.setup, self._described, changed)
        self.catalogue.fill(described.found)
        cards = [card for _, card in described.found]
        self.pools.know(label for card in cards for label, _ in card.labels)
        return cards, described.warnings

    def run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        secrets: Mapping[int, Revealed] = NO_SECRETS,
    ) -> None:
        self._slots[slot].run(keys, attempts, secrets)

    def kill(self, slot: int, failure: Failure) -> None:
        self._slots[slot].kill(failure)

    async def stop(self) -> None:
        await asyncio.gather(*(slot.stop() for slot in self._slots))
        await self.results.settled()

    # ---- for the slots

    def take_back(self, attempts: Iterable[Attempt]) -> None:
        loop = asyncio.get_running_loop()
        for attempt in attempts:
            if (attempt.call.inputs or attempt.parts) and blob_ids(attempt):
                loop.run_in_executor(None, self._take_back, attempt)


class _Slot:
    """Keeps one worker process alive."""

    def __init__(self, executor: ProcessExecutor, number: int) -> None:
        self._executor, self._number = executor, number
        self._process: WorkerProcess | None = None
        self._owed: Owed = deque()
        #: by key, those under way that may read blobs
        self._reading: dict[int, Attempt] = {}
        self._ready = False
        #: name, version and module of what the process before this one was killed in
        self._after: Sequence[str] = ()
        self._doom: Failure | None = None
        self._output = Output(self._said)
        #: name and value of secrets
        self._guarded: tuple[tuple[str, str], ...] = ()
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        if self._watch:
            self._watch.cancel()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def run(
        self, keys: Sequence[int], attempts: Sequence[Attempt], secrets: Mapping[int, Revealed]
    ) -> None:
        executor = self._executor
        process = self._process
        if process is None or not self._ready:
            executor.take_back(attempts)
            return
        row = executor.catalogue.job_row
        try:
            pieces = encode_attempts(keys, attempts, row, executor.locate, secrets)
        except (NovaError, OSError):
            keys, attempts = self._without_lost_blobs(keys, attempts)
            pieces = encode_attempts(keys, attempts, row, executor.locate, secrets)
        if secrets:
            self._guard(secrets)
        self._owed.extend(zip(keys, attempts, strict=True))
        for key, attempt in zip(keys, attempts, strict=True):
            if attempt.call.inputs or attempt.parts:
                self._reading[key] = attempt
        process.send(*pieces)
        if self._watch is None:
            self._watch_soon()

    def _guard(self, secrets: Mapping[int, Revealed]) -> None:
        """Threads and programs that an attempt leaves behind may speak later, so what the process
        was given is kept out of its output until it ends; the latest of it, should it be much."""
        known = dict.fromkeys(self._guarded)
        known |= dict.fromkeys(pair for each in secrets.values() for pair in each.items())
        if len(known) > len(self._guarded):
            self._guarded = tuple(known)[-GUARDED_MAX:]
            self._output.redactor = Redactor(self._guarded)

    def kill(self, failure: Failure) -> None:
        if self._process:
            self._doom = self._doom or failure
            self._process.kill()

    async def _tend(self) -> None:
        delay_s = 0.0
        while True:
            process = WorkerProcess(self._frames, self._raw)
            try:
                await process.start(self._executor.setup, self._after)
                self._process = process
                code = await asyncio.shield(process.ended)
                delay_s = 0.0 if self._ready else min(BACKOFF_S[1], max(BACKOFF_S[0], delay_s * 2))
                self._died(process, code)
            except OSError:
                delay_s = min(BACKOFF_S[1], max(BACKOFF_S[0], delay_s * 2))
            finally:
                if process.pid and not process.ended.done():
                    if not self._owed:
                        await process.retire()
                    process.kill()
                    await process.ended
            if delay_s:
                await asyncio.sleep(delay_s)

    def _died(self, process: WorkerProcess, code: int) -> None:
        key, _ = process.current()
        was_ready, failure = self._ready, self._doom or _failure(code)
        ran = self._find(key)
        self._after = self._executor.catalogue.job_row(ran.demand)[:3] if ran else ()
        self._output.end()
        self._guarded = ()
        self._owed.clear()
        self._executor.take_back(self._reading.values())
        self._reading.clear()
        self._process, self._ready, self._doom = None, False, None
        self._executor.results.clear(f"{process.pid}-")
        self._executor.pools.gone(self._number)
        if was_ready:
            self._executor.post(SlotDied(self._number, key if ran else None, failure))

    def _frames(self, frames: list[tuple[Head, bytes]]) -> None:
        ran: list[RanItem] = []
        for head, body in frames:
            if "sizes" in head:
                self._output.flush()
                done, spooled = decode_results(head, body, self._owed)
                if self._guarded and not self._find(self._output.key):
                    self._output.finish()
                if self._reading:
                    read = [self._reading.pop(each.key, None) for each in (*done, *spooled)]
                    self._executor.take_back([attempt for attempt in read if attempt])
                ran += done
                for each in spooled:
                    self._executor.results.store(each, self._stored)
            elif "say" in head:
                self._hear(head["say"], head["fd"], body)
            elif "pools" in head:
                self._executor.pools.hear(self._number, head["pools"])
            elif "ready" in head:
                self._ready = True
                self._executor.post(SlotReady(self._number))
        self._output.flush()
        if ran:
            self._executor.post(Ran(self._number, tuple(ran)))

    def _stored(self, item: RanItem) -> None:
        self._executor.post(Ran(self._number, (item,)))

    def _raw(self, key: int, fd: int, data: bytes) -> bool:
        room = self._hear(key, fd, data)
        self._output.flush()
        return room

    def _hear(self, key: int, fd: int, data: bytes) -> bool:
        if key == IDLE:
            return True
        if self._output.key != key:
            attempt = self._find(key)
            if attempt is None:
                return True
            self._output.begin(key, self._executor.catalogue.limits_of(attempt.demand).output_bytes)
        return self._output.hear(fd, data)

    def _said(self, key: int, stderr: bool, text: str) -> None:
        self._executor.post(Spoke(self._number, key, stderr, text))

    def _find(self, key: int) -> Attempt | None:
        return next((attempt for each, attempt in self._owed if each == key), None)

    def _watch_soon(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(WATCH_S, self._look)

    def _look(self) -> None:
        """While attempts run: is the one under way within its memory?"""
        self._watch = None
        if not self._owed or not self._process:
            return
        attempt = self._find(self._process.current()[0])
        limit = self._executor.catalogue.limits_of(attempt.demand).memory_bytes if attempt else 0
        if limit:
            with contextlib.suppress(psutil.NoSuchProcess):
                used = psutil.Process(self._process.pid).memory_info().rss
                if used > limit:
                    self.kill(_over_memory(used, limit))
        self._watch_soon()

    def _without_lost_blobs(
        self, keys: Sequence[int], attempts: Sequence[Attempt]
    ) -> tuple[list[int], list[Attempt]]:
        """Those whose blobs are here; the others fail at once."""
        here: list[tuple[int, Attempt]] = []
        for key, attempt in zip(keys, attempts, strict=True):
            try:
                for blob_id in blob_ids(attempt):
                    self._executor.locate(blob_id)
                here.append((key, attempt))
            except (NovaError, OSError) as error:
                failure = Failure("unavailable", str(error), "submit its files again", True)
                self._executor.post(Ran(self._number, (ended(key, attempt, 0, failure),)))
                self._executor.take_back((attempt,))
        return [key for key, _ in here], [attempt for _, attempt in here]


def _failure(code: int) -> Failure:
    if code == -signal.SIGXCPU:
        fix = "raise limits.cpu_s, or split the work"
        return Failure("cpu_limit", "it used more processor time than its limit", fix)
    fix = "look at what it wrote; a SIGKILL nobody sent means that the machine ran out of memory"
    return Failure("worker_died", f"the worker process {death(code)}", fix, retryable=True)


def _over_memory(used: int, limit: int) -> Failure:
    message = f"it used {used >> 20} MiB of memory, its limit is {limit >> 20} MiB"
    return Failure("memory_limit", message, "raise limits.memory_bytes, or split the work")
