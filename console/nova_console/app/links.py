"""Which links between nodes are shown, and what both ends say of each. Pure.

Every node talks to every other, which nobody could read: beyond ALL_MAX nodes a ring with a few chords
stands for it, and whatever carries work or is in doubt is always shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from nova_console.app.model import World

ALL_MAX = 6
ACTIVE_S = 3.0
FRESH_S = 6.0
"""Silence is declared a death no sooner than this, so a view that is younger and a verdict of death
cannot both come from a node that has only just gone."""

State = Literal["ok", "one_way", "lost"]


@dataclass(frozen=True, slots=True)
class Link:
    """`a` < `b`. Of a one-way link `blind` is the end that does not see the other. `rtt_ms` is 0
    when nobody measured it."""

    a: str
    b: str
    state: State
    rtt_ms: float
    active: bool
    blind: str = ""


def links(world: World, now: float) -> list[Link]:
    active = {
        _pair(move.source, move.target) for move in world.moves if 0 <= now - move.at < ACTIVE_S
    }
    pairs = _backbone(sorted(world.nodes)) | active | _disputed(world)
    known = world.nodes.keys()
    return [
        _link(world, a, b, (a, b) in active)
        for a, b in sorted(pairs)
        if a in known and b in known and a != b
    ]


def _disputed(world: World) -> set[tuple[str, str]]:
    """Whoever doubts a node that somebody else sees; when all agree, the node itself shows it."""
    eyes = {viewer: eye for viewer, eye in world.eyes.items() if not eye.why}
    seen = {node for eye in eyes.values() for node, s in eye.states.items() if s == "alive"}
    return {
        _pair(viewer, node)
        for viewer, eye in eyes.items()
        for node, state in eye.states.items()
        if state in ("suspect", "dead") and node in seen
    }


def sides(world: World, now: float) -> list[frozenset[str]]:
    """The nodes, in groups that see each other; more than one is a partition, as far as the nodes
    that can be asked say. Largest first."""
    fresh = {
        node: eye.states
        for node, eye in world.eyes.items()
        if not eye.why and now - eye.at < FRESH_S and node in world.nodes
    }
    left, groups = set(fresh), list[frozenset[str]]()
    while left:
        group, edge = set[str](), {min(left)}
        while edge:
            node = edge.pop()
            group.add(node)
            near = {other for other in left - group if _sees(fresh, node, other)}
            edge |= near
        left -= group
        groups.append(frozenset(group))
    return sorted(groups, key=lambda group: (-len(group), min(group)))


def suspected_by(world: World, node: str) -> list[str]:
    """Ids of those that doubt it."""
    return sorted(
        viewer
        for viewer, eye in world.eyes.items()
        if eye.states.get(node) in ("suspect", "dead") and not eye.why
    )


def _sees(states: dict[str, dict[str, str]], a: str, b: str) -> bool:
    return "dead" not in (states[a].get(b, "dead"), states[b].get(a, "dead"))


def _backbone(nodes: list[str]) -> set[tuple[str, str]]:
    if len(nodes) <= ALL_MAX:
        return set(combinations(nodes, 2))
    count = len(nodes)
    ring = {_pair(node, nodes[(i + 1) % count]) for i, node in enumerate(nodes)}
    chords = {_pair(nodes[i], nodes[(i + count // 3) % count]) for i in range(0, count, 3)}
    return ring | chords


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _link(world: World, a: str, b: str, active: bool) -> Link:
    doubts = [one for one, other in ((a, b), (b, a)) if _doubts(world, one, other)]
    gone = [node for node in (a, b) if world.nodes[node].state in ("dead", "left")]
    rtt_ms = _rtt_ms(world, a, b) or _rtt_ms(world, b, a)
    if len(doubts) == 2 or (doubts and gone):
        return Link(a, b, "lost", 0.0, active)
    if doubts:
        return Link(a, b, "one_way", rtt_ms, active, doubts[0])
    return Link(a, b, "lost" if gone else "ok", rtt_ms, active)


def _doubts(world: World, viewer: str, node: str) -> bool:
    eye = world.eyes.get(viewer)
    return eye is not None and not eye.why and eye.states.get(node) in ("suspect", "dead")


def _rtt_ms(world: World, viewer: str, node: str) -> float:
    eye = world.eyes.get(viewer)
    return eye.rtts_ms.get(node, 0.0) if eye else 0.0
