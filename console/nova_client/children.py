"""What grew from a task, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nova_proto.v1 import tasks_pb2

from nova_client import decode
from nova_client.model import TaskView

PAGE = 1_000


async def children(ask: Callable[[str, str, Any], Awaitable[Any]], id: str) -> tuple[TaskView, ...]:
    """`ask` sends a request to a service's method. One that goes on growing is read to its end."""
    found: list[TaskView] = []
    while True:
        request = tasks_pb2.ListRequest(parent=id, limit=PAGE, skip=len(found))
        reply: tasks_pb2.ListReply = await ask("tasks", "List", request)
        found += [decode.task_view(message) for message in reply.tasks]
        if not reply.tasks or len(found) >= reply.total:
            return tuple(found)
