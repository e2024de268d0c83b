"""What `nova top`, `nova stats` and `nova sql` print."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nova_client.metrics import Anomaly, CapabilityLoad, Load, Missing, Pool, Table, Top
from nova_console.cli import sql, top
from nova_console.cli.output import Output

GONE = Missing("n2", "attic", "unavailable", "node attic is dead", "see `nova nodes`")


def load(**changes: Any) -> Load:
    fields: dict[str, Any] = {
        "node": "n1",
        "name": "desk",
        "at": 1.0,
        "cpu": 0.5,
        "cpu_node": 0.1,
        "memory_bytes": 50 << 20,
        "memory_free_bytes": 1 << 30,
        "load": 1.0,
        "queued": 3,
        "unended": 5,
        "slots": 4,
        "slots_free": 1,
        "lag_ms": 2.0,
        "peers": 1,
        "rate": 12.5,
        "error_rate": 0.0,
        "capabilities": (CapabilityLoad("text.count", 12.5, 0.0, 0.25, 1.5),),
        "anomalies": (Anomaly("lag_ms", 1.0, 900.0, 2.0, 54.0),),
        "recent_rate": (0.0, 5.0, 10.0),
        "recent_queued": (0, 1, 3),
        "dropped": 0,
    }
    return Load(**{**fields, **changes})


def test_top_shows_nodes_capabilities_anomalies_and_who_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    top.show(
        Top((load(), load(name="new\x1b[2J", at=0.0, capabilities=())), (GONE,)), Output(False)
    )
    text = capsys.readouterr().out
    assert "3/4" in text
    assert "50.0 MiB" in text
    assert "text.count" in text
    assert "! desk: lag_ms is 900, ordinarily 2 (+54.0 sigmas)" in text
    assert "? attic did not answer: node attic is dead" in text
    assert "\x1b" not in text


def test_top_shows_pools_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    pools = (Pool("host", 1, 2, 3, 4, 0, 0, 0),)
    found = Top((load(pools=pools), load(name="plain")), ())
    top.show(found, Output(False))
    text = capsys.readouterr().out
    assert "desk: sandbox host  warm 1  busy 2  refilling 3  waiting 4\n" in text
    assert "plain: sandbox" not in text
    top.show(found, Output(True))
    one, other = json.loads(capsys.readouterr().out)["nodes"]
    assert one["pools"][0]["busy"] == 2
    assert other["pools"] is None


def test_top_in_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    top.show(Top((load(),), (GONE,)), Output(True))
    document = json.loads(capsys.readouterr().out)
    assert document["nodes"][0]["anomalies"][0]["series"] == "lag_ms"
    assert document["missing"][0]["name"] == "attic"


@pytest.mark.parametrize(
    ("values", "bars"),
    [((), ""), ((0.0, 0.0), "▁▁"), ((0.0, 5.0, 10.0), "▁▄█"), ((1e-9,), "█")],
)
def test_bars_go_from_zero_to_the_highest(values: tuple[float, ...], bars: str) -> None:
    assert top.spark(values) == bars


def test_a_partial_answer_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (("desk", None, 0.123456789, "x" * 100, [1], "a\x1b]0;b\nc"),)
    table = Table(("node", "a", "b", "c", "d", "e"), ("VARCHAR",) * 6, rows, ("desk",), (GONE,))
    sql.show(table, 1_000, Output(False))
    said = capsys.readouterr()
    assert "desk  -  0.123457  " in said.out
    assert "..." in said.out
    assert "\x1b" not in said.out
    assert "desk has more than 1,000 rows" in said.err
    assert "did not answer: attic: node attic is dead" in said.err
