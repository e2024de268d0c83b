"""How the console ends when no key says so: its terminal is gone, or it is told to end.

Rule: nothing that is stuck holds it up. A terminal that nobody reads any more stops the event loop at
its next frame, so what ends the console does not need the loop.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Sequence

END_S = 2.0


def begin() -> None:
    """Before anything is written. From the main thread."""
    # there is nothing to restore, and writing might block
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    terminals = [stream for stream in (0, 1, 2) if os.isatty(stream)]
    if terminals:
        threading.Thread(target=_end_with, args=(terminals,), name="hangup", daemon=True).start()


def bound(*_: object) -> None:
    """A handler of signals: whoever is told to end has END_S for it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, END_S)


def _end_with(terminals: Sequence[int]) -> None:
    """A terminal may go without a signal, to whom it is not the one that controls them."""
    waiting = select.poll()
    for stream in terminals:
        waiting.register(stream, 0)  # wakes for its end alone
    waiting.poll()
    os._exit(128 + signal.SIGHUP)
