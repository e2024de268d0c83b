"""What the demo counts the words of, and the plain count that the mesh's is checked against."""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nova_client.files import walk

SHARD_BYTES = 512 << 10
SHARDS_MIN, SHARDS_MAX = 60, 2_000
SMALL_BYTES, SHARDS_SMALL = 8 << 20, 400


def choose(path: str | None) -> tuple[Path, dict[str, Path]]:
    """The folder, and its files by name: every file below `path`, or Python's own library sources.

    Raises Invalid (of the SDK) when there is nothing to read."""
    if path is not None:
        return Path(path), dict(walk([path]))
    library = Path(sysconfig.get_path("stdlib"))
    sources = (file.relative_to(library) for file in sorted(library.rglob("*.py")))
    own = [s for s in sources if not {"site-packages", "dist-packages"} & set(s.parts)]
    return library, {str(source): library / source for source in own}


def shards_for(size_bytes: int) -> int:
    """So many that the job lasts long enough for a node to be killed in the middle of it; what a
    small one lasts is the cost of its shards."""
    least = SHARDS_SMALL if size_bytes < SMALL_BYTES else SHARDS_MIN
    return min(max(least, size_bytes // SHARD_BYTES), SHARDS_MAX)


def count(files: Iterable[Path]) -> Counter[str]:
    """In this process, one file after the other."""
    words: Counter[str] = Counter()
    for file in files:
        words.update(file.read_bytes().decode(errors="replace").split())
    return words
