"""The tables of a node's history: what each column means, and how lines of the spool become rows.

A line holds many rows by column: a list for each column, with one item when all are the same, or one
value that the column's rows always share in a line. Times travel as whole microseconds since 1970 and
are TIMESTAMP in UTC in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

Line = Mapping[str, Any]

TIME = "TIMESTAMP"


class Column(NamedTuple):
    name: str
    type: str
    doc: str
    #: all rows of a line have the same value
    shared: bool = False


class Table(NamedTuple):
    name: str
    doc: str
    #: the column that days are cut by
    at: str
    columns: tuple[Column, ...]
    #: SQL of columns that are not stored: name, type, expression, meaning
    derived: tuple[tuple[str, str, str, str], ...] = ()


def shared(name: str, type: str, doc: str) -> Column:
    return Column(name, type, doc, True)


SAMPLES = Table(
    "samples",
    "the node, once a second",
    "time",
    (
        Column("time", TIME, "when"),
        Column("cpu", "DOUBLE", "share of the host's processors in use, 0 to 1"),
        Column("cpu_node", "DOUBLE", "processors that the node's own process used"),
        Column("memory_bytes", "BIGINT", "resident memory of the node's own process"),
        Column("memory_free_bytes", "BIGINT", "memory of the host that can still be had"),
        Column("load", "DOUBLE", "the host's load average over one minute"),
        Column("queued", "INTEGER", "attempts that wait for a slot here"),
        Column("unended", "INTEGER", "tasks of this owner that have not ended"),
        Column("slots", "INTEGER", "attempts that can run at once"),
        Column("slots_free", "INTEGER", "of them idle"),
        Column("lag_ms", "DOUBLE", "how late the event loop ran"),
        Column("peers", "INTEGER", "other nodes that are alive"),
        Column("done", "INTEGER", "tasks of this owner that ended well since the sample before"),
        Column("failed", "INTEGER", "that became dead letters"),
        Column("retried", "INTEGER", "attempts that ended without a result"),
    ),
)

RATES = Table(
    "rates",
    "one row a second for each capability with tasks that ended",
    "time",
    (
        Column("time", TIME, "when"),
        Column("capability", "VARCHAR", "its name"),
        Column("done", "INTEGER", "tasks that ended well in this second"),
        Column("failed", "INTEGER", "that failed or were cancelled"),
        Column("elapsed_s", "DOUBLE", "mean of how long their last attempts ran"),
        Column("elapsed_max_s", "DOUBLE", "the longest of them"),
        Column("total_s", "DOUBLE", "mean from acceptance to the end"),
    ),
)

POOLS = Table(
    "pools",
    "one row a second for each image that foreign code runs in here; none without a sandbox",
    "time",
    (
        Column("time", TIME, "when"),
        Column("image", "VARCHAR", "its name"),
        Column("warm", "INTEGER", "containers that wait for a program"),
        Column("busy", "INTEGER", "that run one"),
        Column("refilling", "INTEGER", "that are being started"),
        Column("waiting", "INTEGER", "programs that wait for one: the pool is exhausted"),
        Column("claims", "INTEGER", "programs that asked for one since the row before"),
        Column("exhausted", "INTEGER", "of them those that found none warm"),
        Column("failed", "INTEGER", "containers that did not start"),
    ),
)

TASKS = Table(
    "tasks",
    "tasks of this owner that ended, parts of larger ones included",
    "ended_at",
    (
        Column("seq", "BIGINT", "number of the event that told its end"),
        shared("batch", "BIGINT", "number of the first task of its submit"),
        shared("capability", "VARCHAR", "what was run"),
        shared("phase", "VARCHAR", "run, split or merge"),
        shared("submitter", "VARCHAR", "who asked: role/id; empty without identity"),
        shared("priority", "INTEGER", "0 to 9"),
        shared("durability", "VARCHAR", "journaled or volatile"),
        shared("accepted_at", TIME, "when the submit was accepted"),
        Column("ended_at", TIME, "when the end was recorded"),
        Column("no", "BIGINT", "its number"),
        Column("parent_no", "BIGINT", "number of the task it is a part of; 0: none"),
        Column("status", "VARCHAR", "done, failed or cancelled"),
        Column("worker", "VARCHAR", "id of the node of the last attempt; empty: none began"),
        Column("attempts", "INTEGER", "how many were made"),
        Column("started_at", TIME, "when the last attempt was assigned"),
        Column("elapsed_us", "BIGINT", "how long the last attempt ran, in microseconds"),
        Column("code", "VARCHAR", "why it failed (docs/errors.md); empty: it did not"),
        Column("failed_at", TIME, "end of the first attempt without a result; NULL: none"),
    ),
    (
        ("id", "VARCHAR", "{tag} || '-' || no", "its id"),
        ("elapsed_s", "DOUBLE", "elapsed_us / 1e6", "the same in seconds"),
        ("away", "BOOLEAN", "worker <> '' AND worker <> {me}", "it ran on another node"),
    ),
)

SPENDING = Table(
    "spending",
    "attempts that used models, failed ones included",
    "time",
    (
        Column("time", TIME, "when their end was recorded"),
        Column("seq", "BIGINT", "number of the event that told it"),
        Column("no", "BIGINT", "number of the task"),
        Column("attempt", "INTEGER", "which of its attempts"),
        Column(
            "asked", "BOOLEAN", "another task asked for it, and tells the same money as its own"
        ),
        Column("capability", "VARCHAR", "what was run"),
        Column("submitter", "VARCHAR", "who asked: role/id; empty without identity"),
        Column("worker", "VARCHAR", "id of the node that ran it"),
        Column("status", "VARCHAR", "done, failed, cancelled, or waiting for the next attempt"),
        Column("model", "VARCHAR", "its name; empty when there were several"),
        Column("input_tokens", "BIGINT", "what the models were given"),
        Column("output_tokens", "BIGINT", "what they wrote"),
        Column("spent_uusd", "BIGINT", "millionths of a US dollar; NULL: the price is not known"),
        Column("cache", "VARCHAR", "how the answer was found without a model; empty: it was not"),
    ),
)

EVENTS = Table(
    "events",
    "what happened, without arguments, results and output",
    "time",
    (
        Column("time", TIME, "when"),
        Column("seq", "BIGINT", "its number among this owner's events; 0: it has none"),
        Column(
            "kind", "VARCHAR", "accepted, assigned, retried, grown, finished, peer_changed, anomaly"
        ),
        Column("batch", "BIGINT", "number of the first task of its submit; 0: none"),
        Column("no", "BIGINT", "number of the (first) task; 0: none"),
        Column("count", "INTEGER", "tasks it is about"),
        Column("worker", "VARCHAR", "id of the other node it is about; empty: none"),
        Column("detail", "VARCHAR", "the rest, as JSON"),
    ),
)

MEMBERS = Table(
    "members",
    "each change of another node as this one saw it",
    "time",
    (
        Column("time", TIME, "when"),
        Column("peer", "VARCHAR", "id of the other node"),
        Column("name", "VARCHAR", "what people call it"),
        Column("state", "VARCHAR", "alive, suspect, dead or left"),
        Column("why", "VARCHAR", "what is known of the reason"),
    ),
)

TABLES: dict[str, Table] = {
    t.name: t for t in (SAMPLES, RATES, POOLS, TASKS, SPENDING, EVENTS, MEMBERS)
}


def row_count(line: Line) -> int:
    lists = [cast("list[Any]", each) for each in line.values() if isinstance(each, list)]
    return max(map(len, lists), default=0)


def squeezed(values: list[Any]) -> list[Any]:
    """One item when all are the same."""
    return values[:1] if values.count(values[0]) == len(values) else values


def micros(time: float) -> int:
    return int(time * 1e6)
