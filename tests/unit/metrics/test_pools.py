"""What worker processes report of their pools, added up by image and bounded."""

from __future__ import annotations

import pytest

from nova_node.metrics.pools import IMAGES_MAX, OTHERS, Pool, Pools, heard_by, report_pools


def row(image: str = "host", *numbers: int) -> list[object]:
    return [*Pool(image, *numbers)]


def test_slots_add_up_and_counts_are_given_once() -> None:
    pools = Pools()
    pools.hear(0, [row("host", 1, 0, 0, 0, 2, 1, 0), row("science", 0, 1, 0, 0, 1, 0, 0)])
    pools.hear(1, [row("host", 1, 0, 1, 3, 5, 0, 1)])
    assert pools.take() == (Pool("host", 2, 0, 1, 3, 7, 1, 1), Pool("science", 0, 1, 0, 0, 1))
    assert pools.take() == (Pool("host", 2, 0, 1, 3), Pool("science", 0, 1))


def test_a_process_that_is_gone_takes_its_state_and_leaves_its_counts() -> None:
    pools = Pools()
    pools.hear(0, [row("host", 1, 1, 1, 1, 4, 0, 0)])
    pools.gone(0)
    assert pools.take() == (Pool("host", claims=4),)


def test_a_new_report_replaces_the_state() -> None:
    pools = Pools()
    pools.hear(0, [row("host", 1)])
    pools.hear(0, [row("science", 1)])
    assert pools.take() == (Pool("host"), Pool("science", 1))


def test_images_on_offer_are_shown_before_anything_ran_and_nothing_without() -> None:
    pools = Pools()
    assert pools.take() == ()
    pools.know(["sandbox.tier", "place"])
    assert pools.take() == ()
    pools.know(["sandbox.image.host", "sandbox.tier"])
    assert pools.take() == (Pool("host"),)


@pytest.mark.parametrize(
    "rows",
    [None, {}, "rows", [None], [["host"]], [row("host", -1)], [row("host", 1 << 40)], [[1] * 8]],
)
def test_what_makes_no_sense_is_left_out(rows: object) -> None:
    pools = Pools()
    pools.hear(0, rows)
    assert pools.take() == ()


def test_a_worker_cannot_make_it_grow() -> None:
    pools = Pools()
    for n in range(200):
        pools.hear(0, [row(f"{n}" + "x" * 1_000, 0, 0, 0, 0, 1)] * 100)
    found = pools.take()
    assert len(found) == IMAGES_MAX + 1
    assert OTHERS in {pool.image for pool in found}
    assert max(len(pool.image) for pool in found) < 1_000


def test_reports_go_to_whoever_listens() -> None:
    heard: list[Pool] = []
    report_pools([Pool("nobody")])
    with heard_by(heard.extend):
        report_pools([Pool("host")])
    report_pools([Pool("nobody")])
    assert heard == [Pool("host")]
