"""Events as lines of a tail, and unfolded. Pure."""

from __future__ import annotations

import json
import time

from nova_client import Event

from nova_console.app.canvas import Line
from nova_console.app.model import World
from nova_console.cli.output import escape_line, to_json
from nova_console.cli.watch import describe

UNFOLDED_MAX = 200

_STYLES = {
    "accepted": "",
    "assigned": "running",
    "retried": "busy",
    "grown": "link",
    "finished": "up",
    "output": "dim",
    "peerchanged": "suspect",
    "requeued": "busy",
    "anomaly": "suspect",
}


def fields(world: World, happened: Event) -> dict[str, str]:
    """What a filter can ask of an event."""
    return {
        "kind": happened.kind,
        "owner": world.name(happened.owner),
        "seq": str(happened.seq),
        "what": describe(happened),
    }


def row_line(world: World, happened: Event) -> Line:
    clock = time.strftime("%H:%M:%S", time.localtime(happened.time))
    owner = escape_line(world.name(happened.owner))
    return [
        (f" {clock}.{int(happened.time % 1 * 1000):03d} ", "dim"),
        (f"{owner:<12.12} {happened.seq:>7} ", "dim"),
        (escape_line(describe(happened)), _STYLES.get(happened.kind, "")),
    ]


def unfolded(happened: Event) -> list[Line]:
    """All of it, as JSON."""
    fact = happened.fact
    said = {
        "seq": happened.seq,
        "time": happened.time,
        "owner": happened.owner,
        "kind": happened.kind,
        **{name: getattr(fact, name) for name in fact.__slots__},
    }
    text = json.dumps(json.loads(to_json(said)), indent=2, ensure_ascii=False)
    return [[(escape_line(part), "")] for part in text.splitlines()[:UNFOLDED_MAX]]
