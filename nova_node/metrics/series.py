"""What can be drawn: each series as SQL that gives one value for each step of time."""

from __future__ import annotations

from typing import NamedTuple

from nova_node.core.errors import Invalid
from nova_node.metrics.tables import micros

POINTS_MAX = 2_000


class Series(NamedTuple):
    table: str
    #: over the rows of one step; {step_s} is its length
    sql: str
    unit: str
    #: of one capability, or of all
    by_capability: bool = False


SERIES: dict[str, Series] = {
    "cpu": Series("samples", "avg(cpu)", "share"),
    "cpu_node": Series("samples", "avg(cpu_node)", "processors"),
    "memory": Series("samples", "avg(memory_bytes)", "bytes"),
    "load": Series("samples", "avg(load)", "processes"),
    "queued": Series("samples", "avg(queued)", "attempts"),
    "unended": Series("samples", "avg(unended)", "tasks"),
    "busy": Series("samples", "avg(slots - slots_free)", "slots"),
    "lag": Series("samples", "max(lag_ms)", "ms"),
    "peers": Series("samples", "min(peers)", "nodes"),
    "rate": Series("rates", "sum(done + failed) / {step_s}", "tasks/s", True),
    "errors": Series("rates", "sum(failed) / {step_s}", "tasks/s", True),
    "latency": Series("rates", "sum(elapsed_s * (done + failed)) / sum(done + failed)", "s", True),
    "latency_max": Series("rates", "max(elapsed_max_s)", "s", True),
}


def series_sql(
    name: str, capability: str, begin: float, end: float, step_s: float
) -> tuple[str, list[int | str]]:
    """A query for (step's beginning in unix seconds, value), and its values. Raises Invalid."""
    known = SERIES.get(name)
    if known is None:
        raise Invalid(f"no series {name[:80]!a}", f"there are {', '.join(SERIES)}")
    if capability and not known.by_capability:
        raise Invalid(f"series {name} is not by capability", "leave the capability out")
    if not 1 <= step_s <= 86_400 or not 0 < (end - begin) <= POINTS_MAX * step_s:
        raise Invalid(
            f"{POINTS_MAX} steps at most, of 1 to 86,400 s, from a beginning to a later end",
            "take longer steps or a shorter time",
        )
    step_us = micros(step_s)
    values: list[int | str] = [micros(begin), micros(end)]
    where = ""
    if capability:
        where = " AND capability = CAST(? AS VARCHAR)"
        values.append(capability)
    sql = (
        f"SELECT (epoch_us(time) // {step_us}) * {step_us} / 1000000 AS step,"
        f" {known.sql.format(step_s=step_us / 1e6)} AS value FROM {known.table}"
        f" WHERE time >= make_timestamp(CAST(? AS BIGINT))"
        f" AND time < make_timestamp(CAST(? AS BIGINT)){where} GROUP BY 1 ORDER BY 1"
    )
    return sql, values


def filled(points: list[tuple[float, float]], end: float, step_s: float) -> list[float]:
    """One value for each step from the first point to `end`, 0 where nothing was: what a forecast
    of a rate goes on from."""
    if not points:
        return []
    known = {round(at / step_s): value for at, value in points}
    return [known.get(n, 0.0) for n in range(min(known), round(end // step_s))]
