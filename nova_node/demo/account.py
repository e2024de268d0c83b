"""What the demo tells its reader. Names and numbers of a Record, as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise

from nova_node.demo.record import Killed, Record

TOP_WORDS = 8
WORD_CHARS = 24


def line(what: str, text: str) -> str:
    return f"{what:<9}{text}"


def at(seconds: float) -> str:
    return f"{seconds:6.2f} s  "


def meeting(record: Record) -> Iterator[str]:
    for what, found in zip(_once("found"), sorted(record.found), strict=False):
        yield line(what, f"{at(found.at_s)}{found.who} found {found.whom}")


def work(record: Record) -> Iterator[str]:
    """What became of the killed node, and who did which shards."""
    if record.killed is not None:
        yield from _death(record, record.killed)
    else:
        yield line("killed", "nobody: the job was over too soon; try it on a larger folder")
    yield from _by_node("shards", record, record.done)


def _death(record: Record, killed: Killed) -> Iterator[str]:
    yield line(
        "killed",
        f"{at(killed.at_s)}{killed.name}, with SIGKILL, when {killed.done} of"
        f" {len(record.shards)} shards were done",
    )
    if record.noticed_at_s is not None:
        late_ms = max(0.0, record.noticed_at_s - killed.at_s) * 1000
        yield line("noticed", f"{at(record.noticed_at_s)}by the owner, {late_ms:.0f} ms later")
    yield line("cut off", f"{_shards(record.cut_off)} given to {killed.name}, not done yet")
    if record.lost:
        yield line("lost", f"{_shards(record.lost)} done by {killed.name}, with the results")
    yield from _by_node("again", record, record.cut_off | record.lost)


def _by_node(heading: str, record: Record, shards: Collection[int]) -> Iterator[str]:
    by: dict[str, list[int]] = {}
    for shard in shards:
        by.setdefault(record.done.get(shard, "nobody"), []).append(shard)
    for what, name in zip(_once(heading), sorted(by), strict=False):
        yield line(what, f"{name:<6} {len(by[name]):>4}: {numbers(by[name])}")


def words(counts: Counter[str]) -> str:
    top = (f"{printable(word)} {count:,}" for word, count in counts.most_common(TOP_WORDS))
    return ", ".join(top) or "none"


def _shards(shards: Collection[int]) -> str:
    if not shards:
        return "no shard"
    return f"shard{'s' if len(shards) > 1 else ''} {numbers(shards)}"


def numbers(shards: Iterable[int]) -> str:
    """E.g. "1-4 7 9-10"."""
    runs: list[list[int]] = []
    ordered = sorted(shards)
    for before, shard in pairwise([ordered[0] - 2, *ordered] if ordered else []):
        if shard == before + 1:
            runs[-1][1] = shard
        else:
            runs.append([shard, shard])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def printable(word: str) -> str:
    """Words come from files: none of their signs is to steer the terminal."""
    shown = word if len(word) <= WORD_CHARS else word[:WORD_CHARS] + "..."
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in shown)


def _once(what: str) -> Iterator[str]:
    """A heading for the first line of a block, nothing for the others."""
    yield what
    while True:
        yield ""
