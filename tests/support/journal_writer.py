"""A process that appends to a journal until it is killed, and says which events are durable.

python -m support.journal_writer FOLDER: one line for each acknowledged event. Some appends hold one
event and some many, several wait at a time, and old batches are forgotten meanwhile.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from threading import Semaphore

from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.core.events import Accepted, Event
from nova_node.core.model import Call, Demand, Group

AHEAD_MAX = 8


def event(seq: int) -> Event:
    group = Group(Demand("text.count"), (Call(b"x" * (seq * 37 % 3000)),))
    return Event(seq, seq, 1.0, Accepted(f"r{seq}", (group,)))


def write_until_killed(folder: Path) -> None:
    journal = SqliteJournal(folder)
    journal.open()
    room = Semaphore(AHEAD_MAX)
    seq = journal.used()[0]
    while True:
        first = seq + 1
        seq = first + first % 5
        room.acquire()
        journal.append([event(n) for n in range(first, seq + 1)], partial(tell, room, first, seq))
        if first % 50 < 5:
            journal.forget([n for n in range(1, first) if n % 10 == 0])


def tell(room: Semaphore, first: int, last: int, error: Exception | None) -> None:
    if error is None:
        os.write(1, b"".join(b"%d\n" % seq for seq in range(first, last + 1)))
    room.release()


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]))
