"""Events become lines of the tables: the projection, and that it is the same from the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from support.lone import BROKEN, CUT, ME, PEER, PLAIN, RUN, Lone, done, failed

from nova_node.core.effects import Assign
from nova_node.core.events import Event, Finished, Output, PeerChanged, Retried
from nova_node.core.model import Attempt, Cut, Demand, Durability, Said, Status, Usage
from nova_node.core.signals import Resulted, Tick
from nova_node.metrics.history import Projection
from nova_node.metrics.tables import TABLES, row_count

USED = Usage("m", 3, 2, 40)


def assigned(lone: Lone, effects: Sequence[Any]) -> list[Attempt]:
    return [a for e in effects if isinstance(e, Assign) and e.node == PEER for a in e.attempts]


def rows(projection: Projection, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, line in projection.lines():
        if name == table:
            found += unfolded(line)
    return found


def unfolded(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    count = row_count(line)
    columns: dict[str, list[Any]] = {
        name: cast("list[Any]", value) if isinstance(value, list) else [value]
        for name, value in line.items()
    }
    columns = {n: each if len(each) > 1 else each * count for n, each in columns.items()}
    assert {len(column) for column in columns.values()} == {count}
    return [{name: column[at] for name, column in columns.items()} for at in range(count)]


def project(lone: Lone, events: Sequence[Event] | None = None) -> Projection:
    projection = Projection(lone.engine.tasks.by_no)
    projection.add(lone.events if events is None else events)
    return projection


def test_every_line_has_exactly_the_columns_of_its_table() -> None:
    lone = Lone()
    lone.peer()
    attempts = assigned(lone, lone.submit(3))
    lone.report(*[done(each) for each in attempts])
    projection = project(lone, spent(lone, USED))
    projection.note_anomaly(1.0, {"series": "rate"})
    seen = set[str]()
    for name, line in projection.lines():
        seen.add(name)
        columns = TABLES[name].columns
        assert set(line) == {column.name for column in columns}
        for column in columns:
            assert isinstance(line[column.name], list) is not column.shared, column.name
    assert seen == {"tasks", "spending", "events", "members"}


def test_a_task_that_ended_is_one_row() -> None:
    lone = Lone()
    lone.peer()
    (attempt,) = assigned(lone, lone.submit())
    lone.now += 2.0
    lone.report(done(attempt, elapsed_us=1_500_000))
    (row,) = rows(project(lone), "tasks")
    assert row["no"] == 1
    assert row["capability"] == "a.run"
    assert row["status"] == "done"
    assert row["worker"] == PEER
    assert row["attempts"] == 1
    assert row["elapsed_us"] == 1_500_000
    assert row["ended_at"] - row["accepted_at"] == 2_000_000
    assert row["durability"] == "journaled"
    assert row["code"] == ""
    assert row["failed_at"] is None
    assert row["parent_no"] == 0


def spent(lone: Lone, *used: Usage) -> list[Event]:
    """The events, each attempt's end with what it used."""
    left, events = list(used), list[Event]()
    for event in lone.events:
        fact = event.fact
        if isinstance(fact, Retried):
            fact = fact._replace(outcome=fact.outcome._replace(usage=left.pop(0)))
        elif isinstance(fact, Finished):
            fact = Finished(tuple(o._replace(usage=left[0]) for o in fact.outcomes))
        events.append(event._replace(fact=fact))
    return events


def test_what_attempts_spent_is_kept_failed_ones_too() -> None:
    lone = Lone()
    lone.peer()
    (first,) = assigned(lone, lone.submit())
    lone.report(failed(first))
    (second,) = assigned(lone, lone.tell(Tick(), after_s=60.0))
    lone.report(done(second))
    projection = project(lone, spent(lone, USED, Usage("m", 0, 0, None, "exact")))
    one, other = rows(projection, "spending")
    assert (one["attempt"], one["spent_uusd"], one["cache"]) == (1, 40, "")
    assert (one["input_tokens"], one["output_tokens"]) == (3, 2)
    assert (other["status"], other["spent_uusd"], other["cache"]) == ("done", None, "exact")
    assert {row["capability"] for row in (one, other)} == {"a.run"}
    assert not one["asked"]


def test_what_a_task_asked_for_is_told_apart() -> None:
    lone = Lone()
    lone.peer()
    (attempt,) = assigned(lone, lone.submit())
    lone.engine.tasks.by_no[attempt.no].depth = 1
    lone.report(done(attempt))
    (row,) = rows(project(lone, spent(lone, USED)), "spending")
    assert row["asked"]


def test_many_events_of_one_batch_become_one_line() -> None:
    lone = Lone()
    lone.peer()
    for attempt in assigned(lone, lone.submit(20)):
        lone.report(done(attempt))
    lines = [line for name, line in project(lone).lines() if name == "tasks"]
    assert [row_count(line) for line in lines] == [20]


def test_what_failed_first_is_remembered() -> None:
    lone = Lone()
    lone.peer()
    (first,) = assigned(lone, lone.submit())
    lone.report(failed(first)._replace(started_at=lone.now, elapsed_us=250_000))
    (second,) = assigned(lone, lone.tell(Tick(), after_s=60.0))
    lone.report(done(second))
    projection = project(lone)
    (row,) = rows(projection, "tasks")
    assert row["attempts"] == 2
    assert row["failed_at"] is not None
    assert row["failed_at"] < row["started_at"]
    assert projection.retried == 1
    (retried,) = [e for e in rows(projection, "events") if e["kind"] == "retried"]
    assert json.loads(retried["detail"])["code"] == BROKEN.code


def test_dead_letters_keep_their_code_and_no_text() -> None:
    lone = Lone()
    lone.peer()
    demand = Demand("a.run", max_attempts=1)
    (attempt,) = assigned(lone, lone.submit(demand=demand))
    lone.report(failed(attempt))
    projection = project(lone)
    (row,) = rows(projection, "tasks")
    assert (row["status"], row["code"]) == ("failed", BROKEN.code)
    assert projection.ended[Status.FAILED] == 1
    assert BROKEN.message not in json.dumps([line for _, line in projection.lines()])


def test_parts_name_their_parent() -> None:
    lone = Lone(capabilities=())
    lone.peer(capabilities=(RUN, CUT))
    (split,) = assigned(lone, lone.submit(demand=Demand("a.cut")))
    shards = tuple(split.call for _ in range(2))
    effects = lone.tell(Resulted(PEER, (), (), (Cut(split.no, split.attempt, shards),)))
    lone.report(*[done(each) for each in assigned(lone, effects)])
    found = rows(project(lone), "tasks")
    parts = [row for row in found if row["parent_no"]]
    assert {row["parent_no"] for row in parts} == {1}
    assert any(row["phase"] == "run" for row in parts)


def test_volatile_tasks_say_so() -> None:
    lone = Lone()
    lone.peer()
    demand = Demand("a.run", durability=Durability.VOLATILE)
    (attempt,) = assigned(lone, lone.submit(demand=demand))
    lone.report(done(attempt))
    assert rows(project(lone), "tasks")[0]["durability"] == "volatile"


def test_the_journal_gives_the_same_tasks_as_they_came() -> None:
    lone = Lone()
    lone.peer()
    for demand in (PLAIN, Demand("a.run", priority=9)):
        for attempt in assigned(lone, lone.submit(4, demand, f"r{demand.priority}")):
            lone.report(done(attempt))
    live = rows(project(lone), "tasks")
    again = rows(project(lone, [e for e in lone.events if e.journaled]), "tasks")
    assert live == again
    assert len(live) == 8


def test_tasks_that_are_forgotten_are_left_out() -> None:
    lone = Lone()
    lone.peer()
    (attempt,) = assigned(lone, lone.submit())
    lone.report(done(attempt))
    projection = Projection({})
    projection.add(lone.events)
    assert not rows(projection, "tasks")
    assert [e["kind"] for e in rows(projection, "events")].count("finished") == 1


def test_changes_of_members_and_no_output() -> None:
    events = [
        Event(1, 0, 5.0, PeerChanged(PEER, "bb", "dead", "silent"), False),
        Event(2, 0, 6.0, Output(Said(1, 1, False, "a secret"))),
    ]
    projection = Projection({})
    projection.add(events)
    (member,) = rows(projection, "members")
    assert member == {
        "time": 5_000_000,
        "peer": PEER,
        "name": "bb",
        "state": "dead",
        "why": "silent",
    }
    assert [e["kind"] for e in rows(projection, "events")] == ["peer_changed"]
    assert ME not in json.dumps(projection.lines())


def test_tallies_are_by_capability() -> None:
    lone = Lone()
    lone.peer()
    attempts = assigned(lone, lone.submit(3))
    lone.report(
        done(attempts[0], elapsed_us=1000), done(attempts[1], elapsed_us=3000), failed(attempts[2])
    )
    tally = project(lone).tallies()["a.run"]
    assert (tally.count, tally.done) == (2, 2)
    assert (tally.elapsed_us, tally.elapsed_max_us) == (4000, 3000)
