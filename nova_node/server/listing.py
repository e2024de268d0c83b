"""Lists of tasks: this node's own, and with them those of the nodes that answer.

However many tasks there are, the event loop has its turn after each slice of them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter

from nova_proto.v1 import tasks_pb2 as pb

from nova_node.adapters.peers_grpc import Stubs
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Status
from nova_node.core.tasks import Batch, Task, Tasks
from nova_node.runtime import Runtime
from nova_node.server.views import task_view

LIST_MAX = 1_000
LIST_DEFAULT = 100
LIST_TIMEOUT_S = 5.0
SLICE = 4_000
VIEWS_SLICE = 50

OPEN = frozenset({Status.WAITING, Status.BACKOFF, Status.RUNNING})

_STATUSES = {int(status): status for status in Status}


async def list_tasks(
    runtime: Runtime, stubs: Callable[[str], Stubs], request: pb.ListRequest
) -> pb.ListReply:
    limit = min(request.limit or LIST_DEFAULT, LIST_MAX)
    reply = await _list_here(runtime, request, limit)
    if not request.local_only:
        await _list_elsewhere(runtime, stubs, request, reply, limit)
    return reply


async def list_children(runtime: Runtime, parent: Task, request: pb.ListRequest) -> pb.ListReply:
    """A page of what grew from a task of this node, in the order of their numbers."""
    limit = min(request.limit or LIST_DEFAULT, LIST_MAX)
    statuses, skip = _statuses(request), request.skip
    page, total = list[Task](), 0
    async for part in _slices(parent.children or ()):
        chosen = [child for child in part if not statuses or child.status in statuses]
        page += chosen[max(0, skip - total) : max(0, skip + limit - total)]
        total += len(chosen)
    return await _reply(runtime, page, total)


async def _list_here(runtime: Runtime, request: pb.ListRequest, limit: int) -> pb.ListReply:
    """Newest first."""
    children, capability, statuses = request.children, request.capability, _statuses(request)
    tasks = runtime.engine.tasks
    batches = [*reversed(tasks.batches.values())]
    if request.journaled:
        batches = [batch for batch in batches if batch.journaled]
    sure = [] if children or capability else [b for b in batches if _all_have(b, statuses)]
    total = sum(batch.count for batch in sure)
    page = list(islice(_found(tasks, map(_roots, sure)), limit))
    if not children:
        passed = {batch.first for batch in sure}
        batches = [b for b in batches if b.first not in passed and _some_have(b, statuses)]
    async for part in _slices(_found(tasks, map(_with_children if children else _roots, batches))):
        chosen = [
            task
            for task in part
            if (not statuses or task.status in statuses)
            and (not capability or task.demand.capability == capability)
        ]
        total += len(chosen)
        if len(page) == limit:
            last = page[-1].no
            chosen = [task for task in chosen if task.no > last]
        if chosen:
            page = heapq.nlargest(limit, [*page, *chosen], key=attrgetter("no"))
    return await _reply(runtime, page, total)


def _found(tasks: Tasks, numbers: Iterable[Iterable[int]]) -> Iterator[Task]:
    """Those of them that are not forgotten by then."""
    return filter(None, map(tasks.by_no.get, chain.from_iterable(numbers)))


def _statuses(request: pb.ListRequest) -> frozenset[Status]:
    """Those asked for; one that is not known here is UNKNOWN, which no task is."""
    return frozenset(_STATUSES.get(number, Status.UNKNOWN) for number in request.statuses)


def _all_have(batch: Batch, statuses: frozenset[Status]) -> bool:
    """Whether every task that a person asked for is sure to have one of these (or any: there are none)."""
    if batch.unended and batch.unended < batch.count:
        return not statuses
    return not statuses or statuses >= (OPEN if batch.unended else ENDED)


def _some_have(batch: Batch, statuses: frozenset[Status]) -> bool:
    """Whether one of them may."""
    if not statuses:
        return True
    has_open, has_ended = batch.unended > 0, batch.unended < batch.count
    return (has_open and not statuses <= ENDED) or (has_ended and not statuses <= OPEN)


def _roots(batch: Batch) -> Iterable[int]:
    return range(batch.first + batch.count - 1, batch.first - 1, -1)


def _with_children(batch: Batch) -> Iterable[int]:
    return chain(reversed(batch.children), _roots(batch))


async def _slices(tasks: Iterable[Task]) -> AsyncIterator[list[Task]]:
    left = iter(tasks)
    while part := list(islice(left, SLICE)):
        yield part
        await asyncio.sleep(0)


async def _reply(runtime: Runtime, page: list[Task], total: int) -> pb.ListReply:
    me, reply = runtime.engine.me, pb.ListReply(total=total)
    for begin in range(0, len(page), VIEWS_SLICE):
        part = page[begin : begin + VIEWS_SLICE]
        reply.tasks.extend([task_view(me, task, full=False) for task in part])
        await asyncio.sleep(0)
    return reply


async def _list_elsewhere(
    runtime: Runtime,
    stubs: Callable[[str], Stubs],
    request: pb.ListRequest,
    reply: pb.ListReply,
    limit: int,
) -> None:
    ask = pb.ListRequest()
    ask.CopyFrom(request)
    ask.local_only = True
    peers = [m for m in runtime.membership.alive() if m.node != runtime.engine.me]
    answers = await asyncio.gather(
        *(_list_at(stubs, peer.address, ask) for peer in peers), return_exceptions=True
    )
    tasks = list(reply.tasks)
    for member, answer in zip(peers, answers, strict=True):
        if isinstance(answer, BaseException):
            reply.missing.append(member.node)
        else:
            tasks.extend(answer.tasks)
            reply.total += answer.total
    tasks.sort(key=lambda t: t.accepted_at, reverse=True)
    del reply.tasks[:]
    reply.tasks.extend(tasks[:limit])


async def _list_at(
    stubs: Callable[[str], Stubs], address: str, ask: pb.ListRequest
) -> pb.ListReply:
    return await stubs(address).tasks.List(ask, timeout=LIST_TIMEOUT_S)
