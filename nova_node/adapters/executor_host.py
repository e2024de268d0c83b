"""The places of a node: attempts that wait, all of them in one process, the host.

Rule: what one attempt does short of blocking or ending the host harms no other; what ends the host
costs every attempt in it one try.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.adapters.host_frames import About, answer_frame, asked_of, run_frame, usage_of
from nova_node.adapters.host_process import HostConfig, HostProcess, Reveal
from nova_node.adapters.worker_frames import Head, blob_ids, decode_results, ended, frame
from nova_node.adapters.worker_output import Output
from nova_node.core.errors import NovaError
from nova_node.core.model import Attempt, Failure, Usage, task_id
from nova_node.core.signals import (
    Ran,
    RanItem,
    SlotDied,
    SlotReady,
    Spoke,
)
from nova_node.models.measured import Row
from nova_node.ports import NO_SECRETS, AskEnd, Asker, Asking, Post
from nova_node.secrets.redact import Revealed

BACKOFF_S = (0.1, 10.0)

_HUNG = Failure(
    "worker_died",
    "the host was killed, since another attempt in it did not end when it was cancelled",
    "a capability that waits must not block, nor hold back a CancelledError",
    retryable=True,
)


class HostExecutor:
    """Beside a ProcessExecutor, with which it shares what that knows of capabilities, blobs and results.
    `node` is this node's id. `asker` has to be set before an attempt can ask for anything."""

    def __init__(
        self, processes: ProcessExecutor, node: str, config: HostConfig | None = None
    ) -> None:
        config = config or HostConfig()
        self.asker: Asker | None = None
        #: told of how fast models were
        self.measured: Callable[[Sequence[Row]], None] = lambda rows: None
        self.node = node
        self.processes = processes
        self.grace_s = config.grace_s
        self.process = HostProcess(processes.setup, config, self._hear, self._died)
        #: what runs, by its key
        self.running: dict[int, Place] = {}
        self._places: list[Place] = []
        self._delay_s = 0.0

    def reveal(self, reveal: Reveal) -> None:
        """Values that the host is to have from the next start on, asked for in a thread."""
        self.process.reveal = reveal

    async def start(self, slots: int, post: Post, first: int = 0) -> None:
        """Its places are numbered from `first` on. They are ready without the host."""
        self.post = post
        self._places = [Place(self, first + n) for n in range(slots)]
        for place in self._places:
            post(SlotReady(place.number))

    def run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        secrets: Mapping[int, Revealed] = NO_SECRETS,
    ) -> None:
        place = self._places[slot - self._places[0].number]
        for key, attempt in zip(keys, attempts, strict=True):
            place.take(key, attempt, secrets.get(key))

    def kill(self, slot: int, failure: Failure) -> None:
        self._places[slot - self._places[0].number].kill(failure)

    async def stop(self) -> None:
        for place in self._places:
            place.stop()
        self.running.clear()
        await self.process.stop()

    # ------------------------------------------------------------ from the host

    def _hear(self, head: Head, body: bytes) -> None:
        if "measured" in head:
            self.measured(head["measured"])
            return
        place = self.running.get(head["key"])
        if place is None:
            return
        if "say" in head:
            place.said(head["say"], body)
        elif "ended" in head:
            self._delay_s = 0.0
            place.ended(head, body)
        elif "ask" in head:
            place.ask(head, body)
        else:
            place.asking.withdraw(head["unask"])

    def _died(self, pid: int, failure: Failure, was_ready: bool) -> None:
        """The places are ready again at once, unless hosts die before they could do anything."""
        self.processes.results.clear(f"{pid}-")
        if not was_ready:
            self._delay_s = min(BACKOFF_S[1], max(BACKOFF_S[0], self._delay_s * 2))
        for place in list(self.running.values()):
            place.died(failure, 0.0 if was_ready else self._delay_s)


class Place:
    """Runs one attempt at a time."""

    def __init__(self, executor: HostExecutor, number: int) -> None:
        self.number = number
        self._executor = executor
        self._queue: deque[tuple[int, Attempt, Revealed | None]] = deque()
        self._running: tuple[int, Attempt] | None = None
        self._ready = True
        self._asking: Asking | None = None
        self._doom: Failure | None = None
        self._output = Output(self._spoke)
        self._timer: asyncio.TimerHandle | None = None

    def take(self, key: int, attempt: Attempt, secrets: Revealed | None) -> None:
        self._queue.append((key, attempt, secrets))
        if self._ready:
            self._next()
        else:
            self._forget_queue()

    def kill(self, failure: Failure) -> None:
        """What runs is cancelled; what does not end soon takes the host along."""
        if not self._ready or self._doom:
            return
        self._forget_queue()
        if self._running is None:
            self._ready = False
            self._again(None, failure, None, 0.0)
            return
        self._doom = failure
        key, _ = self._running
        self._executor.process.send(frame({"cancel": key}))
        self._grace()

    def stop(self) -> None:
        self._ready = False
        self._forget_queue()
        self._close_asking()
        if self._timer:
            self._timer.cancel()

    @property
    def asking(self) -> Asking:
        if self._asking is None:
            assert self._running is not None
            assert self._executor.asker is not None, "nobody set the asker"
            self._asking = self._executor.asker.of(self._running[1])
        return self._asking

    # ------------------------------------------------------------ to the host

    def _next(self) -> None:
        executor = self._executor
        while self._queue and self._running is None:
            key, attempt, secrets = self._queue.popleft()
            catalogue = executor.processes.catalogue
            try:
                paths = {each: executor.processes.locate(each) for each in blob_ids(attempt)}
            except (NovaError, OSError) as error:
                failure = Failure("unavailable", str(error), "submit its files again", True)
                item = _with_usage(ended(key, attempt, 0, failure), Usage())
                executor.post(Ran(self.number, (item,)))
                executor.processes.take_back((attempt,))
                continue
            self._running = key, attempt
            if not executor.running:
                executor.process.work()
            executor.running[key] = self
            self._output.begin(key, catalogue.limits_of(attempt.demand).output_bytes)
            about = _about(attempt, executor.node)
            job = catalogue.job_row(attempt.demand)
            executor.process.send(run_frame(key, attempt, about, job, paths, secrets))

    def _grace(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._executor.grace_s, self._overdue)

    def _overdue(self) -> None:
        if self._executor.process.is_ready:
            self._executor.process.kill(_HUNG)
        else:
            self._grace()  # it has not begun yet

    # ------------------------------------------------------------ from the host

    def said(self, fd: int, data: bytes) -> None:
        self._output.hear(fd, data)
        self._output.flush()

    def _spoke(self, key: int, stderr: bool, text: str) -> None:
        self._executor.post(Spoke(self.number, key, stderr, text))

    def ask(self, head: Head, body: bytes) -> None:
        key, number, process = head["key"], head["ask"], self._executor.process

        def hear(text: str) -> None:
            process.send(frame({"heard": number, "key": key}, (text.encode(errors="replace"),)))

        def end(end: AskEnd) -> None:
            process.send(answer_frame(key, number, end))

        self.asking.ask(number, asked_of(head, body), hear if head["hears"] else None, end)

    def ended(self, head: Head, body: bytes) -> None:
        key, attempt = self._leave()
        note = head["note"]
        results = {
            "sizes": [len(body)],
            "us": [head["ended"]],
            "notes": [(0, note)] if note else [],
        }
        usage = usage_of(head["usage"])
        ran, spooled = decode_results(results, body, deque([(key, attempt)]))
        for item in ran:
            if self._doom is None:
                self._executor.post(Ran(self.number, (_with_usage(item, usage),)))
        for each in spooled:
            self._executor.processes.results.store(each, lambda item: self._stored(item, usage))
        if self._doom is not None:
            self._again(key, self._doom, usage, 0.0)
        self._next()

    def _stored(self, item: RanItem, usage: Usage | None) -> None:
        """What was kept of an attempt that was killed at its end is dropped by whoever hears of it."""
        self._executor.post(Ran(self.number, (_with_usage(item, usage),)))

    def died(self, failure: Failure, delay_s: float) -> None:
        key, _ = self._leave()
        self._forget_queue()
        self._output.end()
        self._again(key, self._doom or failure, None, delay_s)

    def _leave(self) -> tuple[int, Attempt]:
        """What ran has ended."""
        assert self._running is not None
        (key, attempt), self._running = self._running, None
        executor = self._executor
        del executor.running[key]
        if not executor.running:
            executor.process.rest()
        executor.processes.take_back((attempt,))
        self._close_asking()
        self._output.finish()
        self._output.flush()
        if self._timer:
            self._timer.cancel()
        return key, attempt

    # ------------------------------------------------------------ the place

    def _again(self, key: int | None, why: Failure, usage: Usage | None, delay_s: float) -> None:
        """What was here is gone, and the place is free, after a while if need be."""
        self._doom, self._ready = None, False
        self._executor.post(SlotDied(self.number, key, why, usage))
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._free)
        else:
            self._free()

    def _free(self) -> None:
        self._ready = True
        self._executor.post(SlotReady(self.number))

    def _forget_queue(self) -> None:
        self._executor.processes.take_back([attempt for _, attempt, _ in self._queue])
        self._queue.clear()

    def _close_asking(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.close()


def _about(attempt: Attempt, node: str) -> About:
    submitter = attempt.mandate.submitter if attempt.mandate else ""
    owner = attempt.owner or node
    demand = attempt.demand
    return About(task_id(owner, attempt.no), submitter, demand.allowance_uusd, demand.sensitive)


def _with_usage(item: RanItem, usage: Usage | None) -> RanItem:
    return item._replace(outcome=item.outcome._replace(usage=usage))
