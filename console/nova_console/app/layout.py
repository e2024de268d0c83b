"""Where nodes stand, in a unit square. Pure: the same nodes in the same order stand the same way.

A node keeps its place while it is there, whoever comes or goes; a new one is put where there is most
room among a few places that its own id draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

Place = tuple[float, float]

CANDIDATES = 32
ASPECT = 0.6
"""Labels lie flat: neighbours side by side need more room than one above the other."""


def settle(before: Mapping[str, Place], nodes: Iterable[str]) -> dict[str, Place]:
    """Places of all `nodes`."""
    wanted = list(nodes)
    places = {node: before[node] for node in wanted if node in before}
    for node in sorted(wanted):
        if node not in places:
            places[node] = _roomiest(node, places)
    return places


def _roomiest(node: str, taken: Mapping[str, Place]) -> Place:
    draw = Random(node)
    tries = [(draw.random(), draw.random()) for _ in range(CANDIDATES)]
    if not taken:
        return min(tries, key=lambda place: _distance(place, (0.5, 0.5)))
    return max(tries, key=lambda place: min(_distance(place, at) for at in taken.values()))


def _distance(a: Place, b: Place) -> float:
    return ((a[0] - b[0]) * ASPECT) ** 2 + (a[1] - b[1]) ** 2
