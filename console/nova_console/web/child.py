"""The process of one tab: `python -m nova_console.web.child LIFELINE NODE...`, with Textual's web driver.

Rule: it lives no longer than its server. The server holds the other end of a pipe; when that closes,
however the server ended, this process ends at once, whatever it is doing.
"""

from __future__ import annotations

import os
import sys
import threading


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(0)


def main() -> None:
    lifeline, nodes = int(sys.argv[1]), tuple(sys.argv[2:])
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    from nova_console.cli.console import run_app

    sys.exit(run_app(nodes))


if __name__ == "__main__":
    main()
