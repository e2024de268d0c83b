"""What models cost, from the recorded history of all nodes: by person, capability, model or day.

A task that asked for others tells their money as its own: a person's sums are over what people asked
for, those of models over the calls of models themselves. An unknown price is counted, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nova_client.metrics import Metrics, Missing, Table

By = Literal["person", "capability", "model", "day"]

ROWS_MAX = 100_000

_KEYS: dict[By, str] = {
    "person": "submitter",
    "capability": "capability",
    "model": "model",
    "day": "strftime(time, '%Y-%m-%d')",
}
_PEOPLE, _MODELS = "NOT asked", "capability LIKE 'llm.%'"


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums of attempts; money in millionths of a US dollar."""

    key: str
    attempts: int
    input_tokens: int
    output_tokens: int
    spent_uusd: int
    #: attempts of which nobody knows the price; they are not in `spent_uusd`
    unpriced: int
    #: attempts that were answered without a model
    cached: int


@dataclass(frozen=True, slots=True)
class Costs:
    """The dearest first."""

    begin: float
    end: float
    rows: tuple[Cost, ...]
    all: Cost
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """What the cache was good for. `saved_uusd` is what as many calls of the same models cost on
    average; None where none of those had a price."""

    calls: int
    cached: int
    saved_uusd: int | None

    @property
    def hit_rate(self) -> float:
        return self.cached / self.calls if self.calls else 0.0


async def costs(metrics: Metrics, by: By, begin: float, end: float) -> Costs:
    """From `begin` to `end`, both unix seconds. Raises as Metrics.sql."""
    where = _MODELS if by == "model" else _PEOPLE
    table = await metrics.sql(_sql(_KEYS[by], where, begin, end), rows_max=ROWS_MAX)
    rows = _summed(table)
    rows.sort(key=lambda row: (-row.spent_uusd, -row.unpriced, row.key))
    if by == "day":
        rows.sort(key=lambda row: row.key)
    return Costs(begin, end, tuple(rows), _sum("", rows), table.missing)


async def saving(metrics: Metrics, begin: float, end: float) -> Saving:
    """Of the calls of models between two unix seconds. Raises as Metrics.sql."""
    where = f"{_MODELS} AND status = 'done'"
    key = "model || ' ' || CAST(cache <> '' AS VARCHAR)"
    rows = _summed(await metrics.sql(_sql(key, where, begin, end), rows_max=ROWS_MAX))
    paid: dict[str, float] = {}
    for row in rows:
        priced = row.attempts - row.unpriced
        if not row.cached and priced:
            paid[row.key.rpartition(" ")[0]] = row.spent_uusd / priced
    hits = [(row.key.rpartition(" ")[0], row.cached) for row in rows if row.cached]
    known = [paid[model] * count for model, count in hits if model in paid]
    return Saving(
        sum(row.attempts for row in rows),
        sum(count for _, count in hits),
        round(sum(known)) if known else None,
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one model: how many there were, and how long they were on average."""

    count: int
    output_tokens: float


async def answers(
    metrics: Metrics, begin: float, end: float
) -> tuple[Mapping[str, Answers], tuple[Missing, ...]]:
    """Those that models gave to prompts between two unix seconds, by model, and the nodes that did not
    tell theirs. Raises as Metrics.sql."""
    where = "capability = 'llm.chat' AND status = 'done' AND cache = '' AND output_tokens > 0"
    table = await metrics.sql(_sql("model", where, begin, end), rows_max=ROWS_MAX)
    found = {
        row.key: Answers(row.attempts, row.output_tokens / row.attempts)
        for row in _summed(table)
        if row.key
    }
    return found, table.missing


def _sql(key: str, where: str, begin: float, end: float) -> str:
    return (
        f"SELECT {key} AS key, count(*), sum(input_tokens), sum(output_tokens),"
        " coalesce(sum(spent_uusd), 0), count(*) FILTER (spent_uusd IS NULL),"
        f" count(*) FILTER (cache <> '') FROM spending WHERE {where}"
        f" AND time >= make_timestamp({int(begin * 1e6)})"
        f" AND time < make_timestamp({int(end * 1e6)}) GROUP BY ALL"
    )


def _summed(table: Table) -> list[Cost]:
    """Rows of all nodes, one for each key."""
    by_key: dict[str, list[Cost]] = {}
    for _, key, *sums in table.rows:
        by_key.setdefault(str(key), []).append(Cost(str(key), *map(_whole, sums)))
    return [_sum(key, parts) for key, parts in by_key.items()]


def _sum(key: str, rows: Iterable[Cost]) -> Cost:
    parts = tuple(rows)
    return Cost(
        key,
        sum(part.attempts for part in parts),
        sum(part.input_tokens for part in parts),
        sum(part.output_tokens for part in parts),
        sum(part.spent_uusd for part in parts),
        sum(part.unpriced for part in parts),
        sum(part.cached for part in parts),
    )


def _whole(value: Any) -> int:
    """Sums of DuckDB are HUGEINT, which travels as a float or text."""
    return int(float(value or 0))
