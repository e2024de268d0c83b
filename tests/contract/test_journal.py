"""What every Journal promises: run against SQLite, plain and sealed, and against the fake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.data_keys import one_key

from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.adapters.memory import MemoryJournal
from nova_node.core.errors import InUse, Invalid, Unavailable
from nova_node.core.events import (
    Accepted,
    Event,
    Finished,
    Grown,
)
from nova_node.core.model import Call, Demand, Group, Outcome, Phase, Status

AnyJournal = SqliteJournal | MemoryJournal
DEMAND = Demand("text.count")


def accepted(seq: int, batch: int, calls: int = 1) -> Event:
    groups = (Group(DEMAND, tuple(Call(b'{"n":%d}' % n) for n in range(calls))),)
    return Event(seq, batch, 1.5 + seq, Accepted(f"r{batch}", groups))


def finished(seq: int, batch: int, *nos: int) -> Event:
    return Event(seq, batch, 2.0, Finished(tuple(Outcome(no, 1, Status.DONE) for no in nos)))


def store(journal: AnyJournal, *events: Event) -> Exception | None:
    """Appends and waits."""
    ended = threading.Event()
    answers: list[Exception | None] = []

    def done(error: Exception | None) -> None:
        answers.append(error)
        ended.set()

    journal.append(events, done)
    assert ended.wait(20)
    assert len(answers) == 1
    return answers[0]


@pytest.fixture(params=["sqlite", "sealed", "memory"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], AnyJournal]]:
    """Gives the journal of one owner, not open; each call is that of its next process."""
    memory = MemoryJournal()
    sealer = one_key(tmp_path) if request.param == "sealed" else None
    made: list[AnyJournal] = []

    def make() -> AnyJournal:
        sqlite = SqliteJournal(tmp_path / "journal", sealer)
        made.append(memory if request.param == "memory" else sqlite)
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def journal(reopen: Callable[[], AnyJournal]) -> AnyJournal:
    journal = reopen()
    journal.open()
    return journal


def test_reads_what_was_appended(journal: AnyJournal) -> None:
    events = [accepted(1, 1, 3), accepted(2, 4), finished(5, 1, 1, 2), finished(9, 4, 4)]
    assert store(journal, *events[:2]) is None
    assert store(journal, *events[2:]) is None
    assert list(journal.read()) == events
    assert list(journal.read(5)) == events[2:]
    assert list(journal.read(batch=4)) == [events[1], events[3]]
    assert list(journal.read(3, batch=4)) == [events[3]]
    assert list(journal.read(10)) == []
    assert journal.size_bytes() > 0


def test_keeps_it_over_a_restart_with_a_higher_incarnation(
    reopen: Callable[[], AnyJournal],
) -> None:
    seen: list[int] = []
    for seq in (1, 2, 3):
        journal = reopen()
        seen.append(journal.open())
        assert store(journal, accepted(seq, seq)) is None
        journal.close()
    journal = reopen()
    seen.append(journal.open())
    assert seen == sorted(set(seen))
    assert list(journal.read()) == [accepted(seq, seq) for seq in (1, 2, 3)]


def test_close_commits_what_is_queued(reopen: Callable[[], AnyJournal]) -> None:
    journal = reopen()
    journal.open()
    answers: list[Exception | None] = []
    for seq in range(1, 201):
        journal.append([accepted(seq, seq)], answers.append)
    journal.close()
    journal.close()
    assert answers == [None] * 200
    journal = reopen()
    journal.open()
    assert [event.seq for event in journal.read()] == list(range(1, 201))


def test_answers_come_in_order(journal: AnyJournal) -> None:
    answers: list[int] = []
    for seq in range(1, 101):
        journal.append([accepted(seq, seq)], lambda error, seq=seq: answers.append(seq))
    assert store(journal) is None
    assert answers == list(range(1, 101))


def test_is_open_once(reopen: Callable[[], AnyJournal], journal: AnyJournal) -> None:
    with pytest.raises(InUse) as caught:
        reopen().open()
    assert caught.value.fix


def test_closed_it_takes_and_gives_nothing(journal: AnyJournal) -> None:
    journal.close()
    assert isinstance(store(journal, accepted(1, 1)), Unavailable)
    with pytest.raises(Unavailable):
        list(journal.read())


def test_live_only_events_are_not_kept(journal: AnyJournal) -> None:
    assert store(journal, accepted(1, 1), accepted(2, 2)._replace(journaled=False)) is None
    assert list(journal.read()) == [accepted(1, 1)]


def test_a_repeated_number_fails_alone(journal: AnyJournal) -> None:
    answers: list[Exception | None] = []
    journal.append([accepted(1, 1)], answers.append)
    journal.append([accepted(1, 2)], answers.append)
    assert store(journal, accepted(2, 2)) is None
    assert answers[0] is None
    assert isinstance(answers[1], Invalid)
    assert list(journal.read()) == [accepted(1, 1), accepted(2, 2)]


def test_forgets_batches_but_not_the_numbers_they_used(
    reopen: Callable[[], AnyJournal], journal: AnyJournal
) -> None:
    grown = Event(3, 1, 1.0, Grown(1, 10, Phase.RUN, (Call(), Call())))
    assert store(journal, accepted(1, 1), accepted(2, 2, 5), grown, finished(4, 1, 1)) is None
    assert journal.used() == (4, 11)
    journal.forget([1, 77])
    journal.forget([])
    assert list(journal.read()) == [accepted(2, 2, 5)]
    assert list(journal.read(batch=1)) == []
    journal.close()
    journal = reopen()
    journal.open()
    assert journal.used() == (4, 11)
    assert list(journal.read()) == [accepted(2, 2, 5)]


def test_a_reader_may_stop_midway_and_others_go_on(journal: AnyJournal) -> None:
    assert store(journal, *[accepted(seq, seq) for seq in range(1, 2501)]) is None
    reader = journal.read()
    assert next(reader).seq == 1
    assert store(journal, accepted(3000, 3000)) is None
    journal.forget([2])
    assert sum(1 for _ in reader) >= 2498
    assert sum(1 for _ in journal.read()) == 2500
