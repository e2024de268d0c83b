"""What is kept for how long: which days go from the database into Parquet, and what is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Rules:
    #: days that stay in the database, today included
    live_days: int = 2
    #: days kept in all
    kept_days: int = 30
    #: of the whole folder
    cap_bytes: int = 1 << 30


class Archive(NamedTuple):
    """A Parquet file of one table and day (days since 1970, UTC)."""

    name: str
    table: str
    day: int
    size_bytes: int


class Plan(NamedTuple):
    #: the days before this one leave the database for Parquet
    archive_before: int
    #: even today's rows do, and the database, whose file never shrinks, is begun again
    start_again: bool


def day_of(time: float) -> int:
    return int(time // DAY_S)


def plan(now: float, database_bytes: int, rules: Rules) -> Plan:
    """What leaves the database, which may have half of what the folder may."""
    today = day_of(now)
    if database_bytes > rules.cap_bytes // 2:
        return Plan(today + 1, True)
    return Plan(today - rules.live_days + 1, False)


def surplus(
    now: float, database_bytes: int, archives: Iterable[Archive], rules: Rules
) -> list[str]:
    """Names of the archives that have to go: too old, or the oldest while there is too much."""
    oldest_first = sorted(archives, key=lambda archive: (archive.day, archive.name))
    used = database_bytes + sum(archive.size_bytes for archive in oldest_first)
    names: list[str] = []
    for archive in oldest_first:
        if archive.day <= day_of(now) - rules.kept_days or used > rules.cap_bytes:
            names.append(archive.name)
            used -= archive.size_bytes
    return names


def over(sizes_bytes: Sequence[int], cap_bytes: int) -> int:
    """How many of the first (oldest) of these must go for the rest to fit."""
    used, gone = sum(sizes_bytes), 0
    for size in sizes_bytes:
        if used <= cap_bytes:
            break
        used -= size
        gone += 1
    return gone
