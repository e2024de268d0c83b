"""`nova-node` on a machine whose clock jumps: an hour ahead at each SIGUSR1, an hour back at each SIGUSR2.

python -m support.jumping_node nova-node start ...
"""

from __future__ import annotations

import signal
import sys
import time

from nova_node.cli import main

JUMP_S = 3600.0

_real = time.time
_ahead_s = 0.0


def _time() -> float:
    return _real() + _ahead_s


def _time_ns() -> int:
    return int(_time() * 1e9)


def _jump(number: int, _: object) -> None:
    global _ahead_s
    _ahead_s += JUMP_S if number == signal.SIGUSR1 else -JUMP_S


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _jump)
    signal.signal(signal.SIGUSR2, _jump)
    time.time, time.time_ns = _time, _time_ns
    sys.argv = sys.argv[1:]
    main()
