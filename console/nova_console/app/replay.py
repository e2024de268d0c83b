"""A walk through a tape: where it stands, how fast it plays. Pure."""

from __future__ import annotations

from nova_console.app.canvas import Line
from nova_console.app.history import Tape

SPEEDS = (1, 2, 5, 10, 20, 50, 100)


class Replay:
    def __init__(self, tape: Tape, now: float) -> None:
        self.tape = tape
        self.at = max(tape.begin, min(now, tape.end))
        self.playing = False
        self._speed = 0

    @property
    def speed(self) -> int:
        return SPEEDS[self._speed]

    def faster(self, by: int) -> None:
        """By so many steps of SPEEDS; below zero is slower."""
        self._speed = max(0, min(len(SPEEDS) - 1, self._speed + by))

    def seek(self, at: float) -> None:
        self.at = max(self.tape.begin, min(at, self.tape.end))

    def step(self, share: float) -> None:
        """By a share of the whole tape, back when below zero."""
        self.seek(self.at + share * (self.tape.end - self.tape.begin))

    def play(self, seconds: float) -> None:
        """So many seconds pass outside; it stops at the end of the tape."""
        if self.playing:
            self.seek(self.at + seconds * self.speed)
            self.playing = self.at < self.tape.end

    def slider(self, width: int) -> Line:
        """All of the tape in `width` cells."""
        long = max(0.001, self.tape.end - self.tape.begin)
        room = max(1, width - 1)
        at = round((self.at - self.tape.begin) / long * room)
        return [("━" * at, "active"), ("◆", "pulse"), ("─" * (room - at), "dim")]
