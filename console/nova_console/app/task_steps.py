"""A task and what grew from it, as a plan of steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from nova_client import Status
from nova_client.model import TaskView

from nova_console.app import task_row
from nova_console.app.model import World, number
from nova_console.app.steps import Plan, State, Step
from nova_console.app.task_row import Growth, TaskRow

_STATES: dict[Status, State] = {
    Status.RUNNING: "running",
    Status.DONE: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


def plan_of(world: World, row: TaskRow) -> Plan:
    """Shards need the split, a merge the parts it joins; a task that never split is one step."""
    steps: list[Step] = []
    split: tuple[str, ...] = ()
    shards = 0
    for child, growth in world.children(row):
        label, needs = growth.phase, ()
        match growth.phase:
            case "split":
                split = (*split, child.id)
            case "run":
                label, needs, shards = f"shard {shards}", split, shards + 1
            case _:
                needs = growth.parts
        steps.append(_step(child, label, growth.phase, needs))
    return Plan(steps or [_step(row, row.capability, row.capability, ())])


def plan_of_views(view: TaskView, children: Iterable[TaskView]) -> Plan:
    """The same, of what a node tells of the task and of all that grew from it."""
    world = World()
    growths: list[Growth] = []
    for child in children:
        world.tasks[child.id] = task_row.listed(None, child)
        growths.append(Growth(number(child.id), 1, child.phase, child.parts))
    row = replace(task_row.listed(None, view), grown=tuple(growths))
    return plan_of(world, row)


def split_tasks(world: World) -> list[TaskRow]:
    """Those that became many, newest first."""
    return _split(world, world.tasks_turn)


@lru_cache(maxsize=2)
def _split(world: World, turn: int) -> list[TaskRow]:
    """Kept while no task changes: a mesh at rest costs nothing."""
    return [row for row in reversed(world.tasks.values()) if row.grown]


def _step(row: TaskRow, label: str, kind: str, needs: tuple[str, ...]) -> Step:
    state = _STATES.get(row.status, "waiting")
    return Step(
        id=row.id,
        label=label,
        kind=kind,
        needs=needs,
        state=state,
        place=row.node if state != "waiting" else "",
        started_at=row.started_at if state != "waiting" else 0.0,
        ended_at=row.ended_at,
        tries=row.attempt,
        note=row.why,
    )
