"""What was recorded, for going back in it: bounded, oldest forgotten first. Pure.

A tape is made once when a replay starts; it keeps a picture every so many inputs, so that showing any
moment folds a few hundred inputs and no more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from nova_client.model import NodeView

from nova_console.app.inputs import Input, Looked, Told
from nova_console.app.model import World

INPUTS_MAX = 20_000
LOOKS_MAX = 2_000
VIEWS_MAX = 150_000
"""Of single nodes, in all the looks together: some 300 bytes each."""

FRAME_EVERY = 1_000


_LASTING = (
    *("node", "name", "address", "version", "skew", "labels", "capabilities"),
    *("platform", "python", "warnings", "models"),
)


class Tape:
    """The inputs in the order of their times, with a picture every FRAME_EVERY of them."""

    def __init__(self, inputs: Sequence[Input], base: World) -> None:
        self._inputs = sorted(inputs, key=_order)
        self._times = [given.at for given in self._inputs]
        self._frames = [base.copy()]
        running = base.copy()
        for index, given in enumerate(self._inputs, 1):
            running.take(given)
            if index % FRAME_EVERY == 0:
                self._frames.append(running.copy())
        self.begin = self._times[0] if self._times else 0.0
        self.end = self._times[-1] if self._times else 0.0

    def at(self, time: float) -> World:
        """How things were then; the caller's to keep."""
        count = bisect_right(self._times, time)
        frame = count // FRAME_EVERY
        world = self._frames[frame].copy()
        for given in self._inputs[frame * FRAME_EVERY : count]:
            world.take(given)
        return world


def _order(given: Input) -> tuple[float, int]:
    """By time, and what an owner did at one moment as it numbered it."""
    return given.at, given.event.seq if isinstance(given, Told) else 0


class History:
    def __init__(self) -> None:
        self._inputs: deque[Input] = deque()
        self._looks: deque[Looked] = deque()
        self._views = 0
        self._latest: dict[str, NodeView] = {}
        self._base = World()

    def __len__(self) -> int:
        return len(self._inputs) + len(self._looks)

    def add(self, given: Input) -> None:
        """Looks at the mesh come every second, so they have a bound of their own."""
        if isinstance(given, Looked):
            self._look(given)
            return
        self._inputs.append(given)
        if len(self._inputs) > INPUTS_MAX:
            self._base.take(self._inputs.popleft())

    def _look(self, given: Looked) -> None:
        views = tuple([self._shared(view) for view in given.seen.nodes])
        self._latest = {view.node: view for view in views}
        self._looks.append(replace(given, seen=replace(given.seen, nodes=views)))
        self._views += len(views)
        while len(self._looks) > LOOKS_MAX or (self._views > VIEWS_MAX and len(self._looks) > 1):
            oldest = self._looks.popleft()
            self._views -= len(oldest.seen.nodes)
            self._base.take(oldest)

    def _shared(self, view: NodeView) -> NodeView:
        """What a card says hardly ever changes: it is kept once."""
        known = self._latest.get(view.node)
        if known is None or any(getattr(known, name) != getattr(view, name) for name in _LASTING):
            return view
        return replace(view, **{name: getattr(known, name) for name in _LASTING})

    def tape(self) -> Tape:
        """Of all that is recorded now. Before the first look at the mesh its nodes are known by
        name only, so they show as stale."""
        base = self._base.copy()
        if not base.nodes and self._looks:
            first = self._looks[0]
            base.home, base.mesh = first.viewer, first.seen.mesh
            base.nodes = {
                view.node: replace(view, slots_free=view.slots) for view in first.seen.nodes
            }
        return Tape([*self._inputs, *self._looks], base)
