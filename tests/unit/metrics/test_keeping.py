"""What is moved to Parquet and what is deleted, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nova_node.metrics.keeping import DAY_S, Archive, Rules, over, plan, surplus

TODAY = 20_000
NOW = TODAY * DAY_S + 3_600.0
RULES = Rules(live_days=2, kept_days=10, cap_bytes=1_000)


def archive(day: int, size_bytes: int = 10, table: str = "tasks") -> Archive:
    return Archive(f"{table}-{day:06d}-0.parquet", table, day, size_bytes)


def test_days_before_yesterday_leave_the_database() -> None:
    todo = plan(NOW, 100, RULES)
    assert todo.archive_before == TODAY - 1
    assert not todo.start_again


def test_a_database_over_its_share_is_begun_again() -> None:
    todo = plan(NOW, 501, RULES)
    assert todo.start_again
    assert todo.archive_before == TODAY + 1


def test_what_is_too_old_goes() -> None:
    kept, gone = archive(TODAY - 9), archive(TODAY - 10)
    assert surplus(NOW, 100, [kept, gone], RULES) == [gone.name]


def test_the_oldest_go_when_the_folder_is_over_its_cap() -> None:
    three = [archive(TODAY - day, 400) for day in (2, 3, 4)]
    assert surplus(NOW, 300, three, RULES) == [three[2].name, three[1].name]


@given(
    st.lists(st.tuples(st.integers(-40, 0), st.integers(0, 600)), max_size=20),
    st.integers(0, 500),
)
def test_what_stays_fits(sizes: list[tuple[int, int]], database_bytes: int) -> None:
    archives = [
        Archive(f"tasks-{n}", "tasks", TODAY + age, size) for n, (age, size) in enumerate(sizes)
    ]
    gone = surplus(NOW, database_bytes, archives, RULES)
    kept = [each for each in archives if each.name not in gone]
    assert sum(each.size_bytes for each in kept) + database_bytes <= RULES.cap_bytes
    assert all(each.day > TODAY - RULES.kept_days for each in kept)


def test_segments_beyond_the_cap_go_oldest_first() -> None:
    assert over([5, 5, 5], 15) == 0
    assert over([5, 5, 5], 14) == 1
    assert over([5, 5, 50], 14) == 3
