"""Time that never jumps, in unix seconds."""

from __future__ import annotations

import time


class SystemClock:
    """The wall clock when the process began, plus monotonic time since."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()
