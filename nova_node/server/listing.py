"""Lists of tasks: this node's own, and with them those of the nodes that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nova_proto.v1 import tasks_pb2 as pb

from nova_node.adapters.peers_grpc import Stubs
from nova_node.core.tasks import Task
from nova_node.runtime import Runtime
from nova_node.server.views import task_view

LIST_MAX = 1_000
LIST_DEFAULT = 100
LIST_TIMEOUT_S = 5.0


async def list_tasks(
    runtime: Runtime, stubs: Callable[[str], Stubs], request: pb.ListRequest
) -> pb.ListReply:
    limit = min(request.limit or LIST_DEFAULT, LIST_MAX)
    reply = _list_here(runtime, request, limit)
    if not request.local_only:
        await _list_elsewhere(runtime, stubs, request, reply, limit)
    return reply


def list_children(runtime: Runtime, parent: Task, request: pb.ListRequest) -> pb.ListReply:
    """A page of what grew from a task of this node, in the order of their numbers."""
    limit = min(request.limit or LIST_DEFAULT, LIST_MAX)
    children, statuses = parent.children or (), frozenset(request.statuses)
    chosen = [child for child in children if not statuses or child.status in statuses]
    page = chosen[request.skip : request.skip + limit]
    views = [task_view(runtime.engine.me, child, full=False) for child in page]
    return pb.ListReply(tasks=views, total=len(chosen))


def _list_here(runtime: Runtime, request: pb.ListRequest, limit: int) -> pb.ListReply:
    me, statuses = runtime.engine.me, frozenset(request.statuses)
    reply = pb.ListReply()
    for task in reversed(runtime.engine.tasks.by_no.values()):
        if (
            (request.children or task.parent is None)
            and (not statuses or task.status in statuses)
            and request.capability in ("", task.demand.capability)
        ):
            reply.total += 1
            if len(reply.tasks) < limit:
                reply.tasks.append(task_view(me, task, full=False))
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
