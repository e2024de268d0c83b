"""How a state looks: a glyph and a style name, always together, so that neither colour nor shape is
needed alone. Pure."""

from __future__ import annotations

from typing import NamedTuple

from nova_client import Status
from nova_client.model import NodeView

from nova_console.app.model import STALE_S, World, load


class Look(NamedTuple):
    glyph: str
    style: str
    word: str


UP = Look("●", "up", "up")
BUSY = Look("◆", "busy", "busy")
SUSPECT = Look("▲", "suspect", "suspect")
DOWN = Look("✖", "down", "down")
STALE = Look("○", "stale", "stale")
DRAINING = Look("◇", "draining", "draining")
NODE_LOOKS = (UP, BUSY, SUSPECT, DOWN, STALE, DRAINING)

TASK_LOOKS: dict[Status, Look] = {
    Status.UNKNOWN: Look("?", "stale", "unknown"),
    Status.WAITING: Look("◌", "dim", "waiting"),
    Status.BACKOFF: Look("↻", "busy", "backoff"),
    Status.RUNNING: Look("▶", "running", "running"),
    Status.DONE: Look("✔", "up", "done"),
    Status.FAILED: Look("✖", "down", "failed"),
    Status.CANCELLED: Look("■", "stale", "cancelled"),
}

STEP_STYLES = {
    "waiting": "dim",
    "running": "running",
    "done": "up",
    "failed": "down",
    "cancelled": "stale",
}

ODD = "≉"
"""A series of a node is out of its ordinary range: beside the node, and before what tells of it."""

_BARS = " ▁▂▃▄▅▆▇█"


def of_node(world: World, view: NodeView, now: float) -> Look:
    """What the node is known to be; without fresh news of the mesh, stale."""
    if view.state in ("dead", "left"):
        return DOWN
    if view.state == "suspect":
        return SUSPECT
    if world.lost is not None or now - world.heard_at > STALE_S or view.age_s > 3 * STALE_S:
        return STALE
    if view.draining:
        return DRAINING
    return BUSY if view.slots and not view.slots_free else UP


def bar(share: float) -> str:
    """One cell for 0 to 1."""
    return _BARS[max(1, min(8, round(share * 8)))]


def sparkline(values: list[float], width: int) -> str:
    """The latest values, scaled to the largest."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    return "".join(bar(value / top) if top else _BARS[1] for value in shown)


def percent(view: NodeView) -> str:
    return f"{load(view) * 100:3.0f}%"
