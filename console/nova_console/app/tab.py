"""One mesh as the console holds it: the live picture, what was recorded, and what is shown of it now.

Live goes on whatever is shown: a pause keeps a copy, a replay plays a tape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from nova_console.app.history import History
from nova_console.app.inputs import Input, OfPast
from nova_console.app.layout import Place, settle
from nova_console.app.model import World
from nova_console.app.replay import Replay
from nova_console.app.topology import TRAVEL_S

Mode = Literal["LIVE", "PAUSED", "REPLAY", "OFFLINE"]


class Scene(NamedTuple):
    """What panes show: a picture, its moment in unix seconds, how the two came about, and where
    the nodes stand."""

    world: World
    now: float
    mode: Mode
    places: Mapping[str, Place]


class Tab:
    def __init__(self, address: str) -> None:
        self.address = address
        self.live = World()
        self.history = History()
        self.places: dict[str, Place] = {}
        self.replay: Replay | None = None
        self._paused: tuple[World, float] | None = None
        self._replayed: tuple[float, World] | None = None

    @property
    def title(self) -> str:
        return self.live.mesh or self.address or "this machine"

    def put(self, given: Input) -> None:
        self.live.take(given)
        if not isinstance(given, OfPast):
            self.history.add(given)

    def scene(self, now: float) -> Scene:
        if self.replay is not None:
            world, now, mode = self._then(self.replay), self.replay.at, "REPLAY"
        elif self._paused is not None:
            world, now, mode = *self._paused, "PAUSED"
        else:
            world, mode = self.live, "OFFLINE" if self.live.lost else "LIVE"
        self.places = settle(self.places, world.nodes)
        return Scene(world, now, mode, self.places)

    def moving(self, scene: Scene) -> bool:
        """Whether the picture changes by itself."""
        if scene.mode == "REPLAY":
            return self.replay is not None and self.replay.playing
        if scene.mode == "PAUSED":
            return False
        return any(0 <= scene.now - move.at < TRAVEL_S for move in scene.world.moves)

    def pause(self, now: float) -> None:
        """Or go on; in a replay, stop or play it."""
        if self.replay is not None:
            self.replay.playing = not self.replay.playing
        elif self._paused is not None:
            self._paused = None
        else:
            self._paused = (self.live.copy(), now)

    def rewind(self, now: float) -> None:
        """Begin a replay where live stands, or end it."""
        self._paused = None
        self._replayed = None
        self.replay = Replay(self.history.tape(), now) if self.replay is None else None

    @property
    def paused(self) -> bool:
        return self._paused is not None

    def _then(self, replay: Replay) -> World:
        if self._replayed is None or self._replayed[0] != replay.at:
            self._replayed = (replay.at, replay.tape.at(replay.at))
        return self._replayed[1]
