"""What this host remembers, made from its node's settings when first asked for: one for each process."""

from __future__ import annotations

import atexit
from pathlib import Path

from nova_node.capability import setting
from nova_node.models.cache_store import Answers
from nova_node.models.database import NAME, Database
from nova_node.models.library_store import Functions


class Memory:
    def __init__(self, path: Path, cap_bytes: int) -> None:
        self.database = Database(path, cap_bytes)
        self.answers, self.functions = Answers(self.database), Functions(self.database)

    def close(self) -> None:
        """What was put is written first."""
        self.answers.flush()
        self.database.close()


_memories: dict[tuple[Path, int], Memory] = {}


def memory() -> Memory | None:
    """None: whoever runs this process wants nothing kept."""
    try:
        path, cap_bytes = Path(setting("data_dir")) / NAME, int(setting("models.cache_cap_bytes"))
    except KeyError:
        return None
    if not cap_bytes:
        return None
    found = _memories.get((path, cap_bytes))
    if found is None:
        found = _memories[path, cap_bytes] = Memory(path, cap_bytes)
        atexit.register(found.close)
    return found


def forget_all() -> None:
    """Closes what is open; for tests that begin the same host again."""
    for each in _memories.values():
        atexit.unregister(each.close)
        each.close()
    _memories.clear()
