"""Fakes of the ports that keep bytes. Each passes the contract suite of the real one.

MemoryJournal forgets what was not synced, as a disk does, when a simulator tells it to crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from nova_node.core.errors import InUse, Invalid, Unavailable
from nova_node.core.events import Accepted, Event, Grown
