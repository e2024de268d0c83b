"""Tasks that attempts ask for while they run: volatile tasks of this node, under the attempt's mandate.

Rule: an attempt may ask for what `uses` lists, so deep, so many at once, within its allowance; when it
ends, so does all that it asked for.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from nova_proto.v1 import tasks_pb2

from nova_node.adapters.wire import groups_from_pb, groups_to_pb
from nova_node.answer import Usage as Used
from nova_node.core.errors import Invalid, NovaError, Overloaded
from nova_node.core.events import (
    Event,
    Finished,
    Output,
)
from nova_node.core.model import (
    NULL,
    Attempt,
    Call,
    Demand,
    Durability,
    Extent,
    Failure,
    Group,
    Outcome,
    Status,
    Usage,
    Value,
    task_id,
)
from nova_node.core.owner import SubmitAnswer
from nova_node.core.policy import USES, Uses
from nova_node.core.signals import (
    Cancel,
    Submit,
)
from nova_node.core.tasks import Task
from nova_node.ports import Asked, AskEnd, Blobs
from nova_node.runtime import Runtime

log = logging.getLogger("nova.asks")

OPEN_MAX = 64
"""Of one attempt."""
DEPTH_MAX = 6
ANSWER_BYTES_MAX = 16 << 20
READS_MAX = 4
NEXT_TO_NOTHING_UUSD = 1

Hear = Callable[[str], None]
End = Callable[[AskEnd], None]


class Asks:
    """Called on the event loop's thread only."""

    def __init__(self, runtime: Runtime, blobs: Blobs, uses: Uses = USES) -> None:
        self.runtime, self.uses = runtime, uses
        self._blobs = blobs
        self._by_batch: dict[int, _Open] = {}
        self._watching: int | None = None
        self._reads = asyncio.Semaphore(READS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    def of(self, attempt: Attempt) -> Family:
        return Family(self, attempt)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ for the families

    def submit(self, parent: Attempt, group: Group, ask: _Open) -> None:
        self._count += 1
        owner = parent.owner or self.runtime.engine.me
        request_id = f"ask:{task_id(owner, parent.no)}:{self._count}"
        self.runtime.submit(
            Submit(
                functools.partial(self._answered, ask),
                request_id,
                (group,),
                parent.mandate,
                ask.allowance_uusd,
                parent.depth + 1,
            )
        )

    def cancel(self, ask: _Open) -> None:
        if ask.batch:
            self.runtime.post(Cancel(_ignore, ask.batch))

    def _answered(self, ask: _Open, answer: Any) -> None:
        if not isinstance(answer, SubmitAnswer):
            assert isinstance(answer, NovaError)
            ask.fail_soon(answer.failure())
            return
        ask.batch = answer.first
        self._by_batch[answer.first] = ask
        if self._watching is None:
            self._watching = self.runtime.watch.subscribe(self._offer)
        if ask.withdrawn:
            self.cancel(ask)

    # ------------------------------------------------------------ what becomes of them

    def _offer(self, events: Sequence[Event]) -> None:
        for event in events:
            ask = self._by_batch.get(event.batch)
            if ask is None:
                continue
            match event.fact:
                case Output(said):
                    ask.heard(said.text)
                case Finished(outcomes):
                    for outcome in outcomes:
                        if outcome.no == ask.batch:
                            self._ended(ask, outcome)
                case _:
                    pass

    def _ended(self, ask: _Open, outcome: Outcome) -> None:
        del self._by_batch[ask.batch]
        if not self._by_batch and self._watching is not None:
            self.runtime.watch.unsubscribe(self._watching)
            self._watching = None
        task = self.runtime.engine.tasks.by_no.get(outcome.no)
        usage = _used(task, outcome, ask.allowance_uusd)
        if outcome.status is not Status.DONE:
            ask.end(AskEnd(outcome.failure or _CANCELLED, node=outcome.node, usage=usage))
            return
        value = outcome.value or NULL
        if not value.blobs:
            ask.end(AskEnd(None, value.encoding, value.data, (), outcome.node, usage))
            return
        reading = asyncio.create_task(self._read(ask, outcome, value, usage))
        self._tasks.add(reading)
        reading.add_done_callback(self._tasks.discard)

    async def _read(self, ask: _Open, outcome: Outcome, value: Value, usage: Usage | None) -> None:
        try:
            async with self._reads:
                data, files = await asyncio.to_thread(self._whole, value)
            end = AskEnd(None, value.encoding, data, files, outcome.node, usage)
        except NovaError as error:
            end = AskEnd(error.failure(), node=outcome.node, usage=usage)
        ask.end(end)

    def _whole(self, value: Value) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
        size = value.size_bytes + sum(extent.size_bytes for extent in value.files)
        if size > ANSWER_BYTES_MAX:
            raise Invalid(
                f"the answer has {size:,} bytes, more than {ANSWER_BYTES_MAX:,}",
                "ask for less at a time",
            )
        data = self._blobs.read(value.blob.id) if value.blob else value.data
        return data, tuple((extent.name, self._file(extent)) for extent in value.files)

    def _file(self, extent: Extent) -> bytes:
        return self._blobs.read(extent.blob_id, extent.offset, extent.size_bytes)


class _Open:
    """A task that was asked for and has not ended."""

    def __init__(self, family: Family, number: int, allowance_uusd: int, hear: Hear | None) -> None:
        self._family, self._number, self._hear = family, number, hear
        self.allowance_uusd = allowance_uusd
        #: 0: not accepted yet
        self.batch = 0
        self.withdrawn = False

    def heard(self, text: str) -> None:
        if self._hear is not None and not self.withdrawn:
            self._hear(text)

    def fail_soon(self, failure: Failure) -> None:
        unused = Usage()
        asyncio.get_running_loop().call_soon(self.end, AskEnd(failure, usage=unused))

    def end(self, end: AskEnd) -> None:
        self._family.ended(self._number, end)


class Family:
    """What one attempt asks for."""

    def __init__(self, asks: Asks, parent: Attempt) -> None:
        self._asks, self._parent = asks, parent
        self._open: dict[int, tuple[_Open, End]] = {}
        self._spent_uusd = 0
        self._closed = False

    def ask(self, number: int, asked: Asked, hear: Hear | None, end: End) -> None:
        ask = _Open(self, number, asked.allowance_uusd, hear)
        refusal = self._refusal(asked)
        self._open[number] = ask, end
        if refusal is not None:
            ask.fail_soon(refusal)
            return
        try:
            group = _group(self._parent.demand, asked)
        except NovaError as error:
            ask.fail_soon(error.failure())
        except (TypeError, ValueError) as error:
            ask.fail_soon(Invalid(f"no task can be asked for so: {error}", "see `ask`").failure())
        else:
            self._asks.submit(self._parent, group, ask)

    def withdraw(self, number: int) -> None:
        if number in self._open:
            ask, _ = self._open[number]
            ask.withdrawn = True
            self._asks.cancel(ask)

    def close(self) -> None:
        self._closed = True
        for number in list(self._open):
            self.withdraw(number)

    def ended(self, number: int, end: AskEnd) -> None:
        ask, tell = self._open.pop(number)
        if ask.allowance_uusd:
            spent = end.usage.spent_uusd if end.usage else None
            self._spent_uusd += ask.allowance_uusd if spent is None else spent
        if not self._closed:
            tell(end)

    def _refusal(self, asked: Asked) -> Failure | None:
        name = self._parent.demand.capability
        if asked.capability not in self._asks.uses.get(name, ()):
            return Failure(
                "not_permitted",
                f"{name} may not ask for {asked.capability}",
                f'list it on this node and on those that run it: uses = ["{name} {asked.capability}"]',
            )
        if self._parent.depth >= DEPTH_MAX:
            fix = "ask from fewer levels"
            return Failure("ask_too_deep", f"tasks asked for tasks {DEPTH_MAX} times over", fix)
        if len(self._open) >= OPEN_MAX:
            message = f"an attempt may ask for {OPEN_MAX} tasks at a time"
            return Overloaded(message, "await some before asking for more").failure()
        return self._over_allowance(asked.allowance_uusd)

    def _over_allowance(self, wanted_uusd: int) -> Failure | None:
        allowance = self._parent.demand.allowance_uusd
        if not allowance or not wanted_uusd:
            return None
        reserved = sum(ask.allowance_uusd for ask, _ in self._open.values())
        left = allowance - self._spent_uusd - reserved
        if wanted_uusd <= left:
            return None
        return Failure(
            "over_allowance",
            f"an allowance of {wanted_uusd} uusd was asked for where {max(0, left)} are left",
            "ask with an allowance that fits, or raise that of the task",
        )


def _group(parent: Demand, asked: Asked) -> Group:
    """Checked as if it had come over the wire. Raises Invalid.

    Where the asker has an allowance, what asks for none may spend next to nothing."""
    demand = Demand(
        asked.capability,
        labels=tuple(sorted(asked.labels)),
        durability=Durability.VOLATILE,
        priority=parent.priority,
        deadline_s=asked.timeout_s,
        sensitive=parent.sensitive,
        prefers=asked.prefers,
        allowance_uusd=asked.allowance_uusd
        or (NEXT_TO_NOTHING_UUSD if parent.allowance_uusd else 0),
    )
    request = tasks_pb2.SubmitRequest()
    groups_to_pb((Group(demand, (Call(asked.args, asked.inputs),)),), request.groups)
    return groups_from_pb(request.groups)[0]


def _used(task: Task | None, outcome: Outcome, allowance_uusd: int) -> Usage | None:
    """Of all attempts. What an attempt with an allowance does not tell counts as all of it."""
    before = (task.history if task else None) or []
    last = max((each.attempt for each in before), default=0)
    used: Usage | None = None
    for each in (*before, outcome) if outcome.attempt > last else before:
        usage = each.usage
        if usage is None and allowance_uusd:
            usage = Usage(spent_uusd=allowance_uusd)
        if usage is not None:
            used = usage if used is None else Usage(*Used(*used).plus(Used(*usage)))
    return used


def _ignore(answer: object) -> None:
    pass


_CANCELLED = Failure("cancelled", "it was cancelled")
