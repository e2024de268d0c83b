"""What a client does with tasks that failed for good: try them again, as they are or edited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nova_proto.v1 import tasks_pb2

from nova_client import decode
from nova_client.errors import Invalid, NovaError
from nova_client.model import Failure, Requeued, Status, TaskView
from nova_client.task import Task

if TYPE_CHECKING:
    from nova_client.wires import Wires

AT_ONCE = 1_000


async def requeue(
    wires: Wires, home: str, ids: Sequence[str], timeout_s: float
) -> tuple[Requeued, ...]:
    """In the order of the ids. Each owner is asked for its own; one that does not answer fails its
    tasks only."""
    by_owner: dict[str, list[str]] = {}
    for id in dict.fromkeys(ids):
        by_owner.setdefault(id.rpartition("-")[0], []).append(id)
    found: dict[str, Requeued] = {}
    for mine in by_owner.values():
        for begin in range(0, len(mine), AT_ONCE):
            some = mine[begin : begin + AT_ONCE]
            found |= {asked.id: asked for asked in await _ask(wires, home, some, timeout_s)}
    return tuple(found[id] for id in ids)


async def _ask(wires: Wires, home: str, ids: list[str], timeout_s: float) -> list[Requeued]:
    request = tasks_pb2.RequeueRequest(ids=ids)
    try:
        async with wires.to_owner(ids[0], home) as wire:
            reply = await wire.call(wire.tasks.Requeue, request, timeout_s)
    except NovaError as error:
        failure = Failure(error.code, error.message, error.fix)
        return [Requeued(id, Status.UNKNOWN, failure) for id in ids]
    return [
        Requeued(said.id, decode.status(said.status), decode.failure(said.error))
        for said in reply.tasks
    ]


async def submit_again(
    submit: Callable[..., Awaitable[Task]], old: TaskView, args: Mapping[str, Any] | None
) -> Task:
    """`submit` is that of the client."""
    if old.inputs:
        raise Invalid(
            f"task {old.id} had inputs ({', '.join(old.inputs)}), which no node gives out again",
            f"name them anew: nova run {old.capability} --input NAME=PATH",
        )
    if old.parent:
        raise Invalid(f"task {old.id} is a part of {old.parent}", f"run {old.parent} again")
    options: dict[str, Any] = {name: getattr(old.options, name) for name in asdict(old.options)}
    options["again_of"] = old.id
    return await submit(old.capability, old.args if args is None else args, **options)
