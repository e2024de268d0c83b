"""How a node and a mesh did over a while. Nodes give sums, so that those of a mesh are exact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nova_node.metrics.tables import micros

SQL = """
WITH ended AS (
  SELECT * FROM tasks WHERE parent_no = 0
    AND ended_at >= make_timestamp(CAST(? AS BIGINT)) AND ended_at < make_timestamp(CAST(? AS BIGINT))
), ran AS (
  SELECT count(*) AS attempts, count(*) FILTER (away) AS away FROM tasks WHERE worker <> ''
    AND ended_at >= make_timestamp(CAST(? AS BIGINT)) AND ended_at < make_timestamp(CAST(? AS BIGINT))
), seconds AS (
  SELECT coalesce(sum(slots), 0) AS slot_s, coalesce(sum(slots - slots_free), 0) AS busy_s
  FROM samples
  WHERE time >= make_timestamp(CAST(? AS BIGINT)) AND time < make_timestamp(CAST(? AS BIGINT))
), counted AS (
  SELECT count(*) AS tasks,
    count(*) FILTER (status = 'done') AS done,
    count(*) FILTER (status = 'failed') AS failed,
    count(*) FILTER (status = 'cancelled') AS cancelled,
    count(*) FILTER (status = 'done' AND failed_at IS NOT NULL) AS recovered,
    coalesce(sum(greatest(0, epoch_us(ended_at) - epoch_us(failed_at)))
      FILTER (status = 'done' AND failed_at IS NOT NULL), 0) / 1000000 AS recovered_s
  FROM ended
)
SELECT tasks, done, failed, cancelled, recovered, recovered_s, attempts, away, slot_s, busy_s
FROM counted, ran, seconds
"""


class Sums(NamedTuple):
    """Of one node. `tasks` to `recovered_s` are of tasks that a person asked for; `attempts` and
    `away` count the last attempts of all tasks, parts included."""

    tasks: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    #: tasks that ended well after an attempt without a result
    recovered: int = 0
    #: from the end of the first such attempt to the end of the task, of all of them
    recovered_s: float = 0.0
    attempts: int = 0
    #: those that ran on another node than the owner
    away: int = 0
    #: slots times seconds, and how many of those were in use
    slot_s: float = 0.0
    busy_s: float = 0.0


class Stats(NamedTuple):
    """None where there is nothing to divide by."""

    tasks_an_hour: float
    error_rate: float | None
    recovery_s: float | None
    utilisation: float | None
    collaboration: float | None


def sql_values(begin: float, end: float) -> list[int]:
    return [micros(begin), micros(end)] * 3


def add(each: Iterable[Sums]) -> Sums:
    rows = list(each)
    return Sums(*[sum(column) for column in zip(*rows, strict=True)]) if rows else Sums()


def stats(sums: Sums, span_s: float) -> Stats:
    return Stats(
        sums.tasks / (span_s / 3600) if span_s > 0 else 0.0,
        sums.failed / sums.tasks if sums.tasks else None,
        sums.recovered_s / sums.recovered if sums.recovered else None,
        min(1.0, sums.busy_s / sums.slot_s) if sums.slot_s else None,
        sums.away / sums.attempts if sums.attempts else None,
    )
