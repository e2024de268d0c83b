"""When Python looks for cycles among its objects: not while somebody types.

With all that the console keeps, one look at everything stops it for a tenth of a second, and by itself
Python takes one every few seconds while events arrive. Here it happens when no key has come for a while,
or when there is no putting off any more. Young objects are looked at as ever.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS, YOUNG_LOOKS, NEVER = 5_000, 10, 1_000_000
QUIET_S = 3.0
EVERY_S = 60.0
LATEST_S = 600.0


def begin() -> None:
    """Before the first frame there is no rubbish worth the time."""
    gc.disable()


class Sweep:
    """Where `begin` was called; elsewhere it leaves Python alone. Times are seconds of one clock that
    does not jump."""

    def __init__(self, now: float) -> None:
        self._begun = not gc.isenabled()
        self._keyed_at = self._swept_at = now

    def settle(self) -> None:
        """The first frame is there: what exists now stays, and need not be looked at again."""
        if not self._begun:
            return
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, NEVER)
        gc.enable()

    def keyed(self, now: float) -> None:
        self._keyed_at = now

    def pause(self, now: float) -> bool:
        """A moment in which nothing is to be shown; whether it was used."""
        waited_s = now - self._swept_at
        quiet = now - self._keyed_at >= QUIET_S and waited_s >= EVERY_S
        if not self._begun or (not quiet and waited_s < LATEST_S):
            return False
        gc.collect()
        self._swept_at = now
        return True
