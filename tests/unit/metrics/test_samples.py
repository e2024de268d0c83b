"""Samples, sums, Prometheus, the dashboard and the manual: one set of names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from nova_proto.v1.metrics_pb2 import Origin
from support.repo import ROOT

from nova_node.core.errors import Invalid
from nova_node.metrics import prometheus, stats
from nova_node.metrics.pools import Pool
from nova_node.metrics.samples import Gauges, Rate, Recent, Sample, anomaly_detail
from nova_node.metrics.series import SERIES, filled, series_sql
from nova_node.metrics.tables import TABLES, row_count
from nova_node.server.metrics_views import load_view

MANUAL = (ROOT / "docs/metrics.md").read_text()


def sample(at: float, done: int = 10, failed: int = 0, **gauges: Any) -> Sample:
    rates = (Rate("a.run", done, failed, 0.01, 0.05, 0.02),) if done or failed else ()
    return Sample(at, 1.0, Gauges(**gauges), done, failed, 0, rates)


def test_a_sample_becomes_lines_of_its_tables() -> None:
    lines = dict(sample(2.0, lag_ms=3.5).lines())
    for name, line in lines.items():
        assert set(line) == {column.name for column in TABLES[name].columns}
        assert row_count(line) == 1
    assert lines["samples"]["lag_ms"] == [3.5]
    assert lines["rates"]["capability"] == ["a.run"]
    assert "rates" not in dict(sample(2.0, done=0).lines())


def test_without_a_sandbox_nothing_is_told_of_pools() -> None:
    recent = Recent()
    recent.add(sample(1.0))
    assert "pools" not in dict(sample(1.0).lines())
    assert "nova_sandbox" not in prometheus.render("n" * 16, "desk", recent, 0)
    assert not load_view(Origin(), recent, 0).pools


def test_pools_become_rows_and_sums() -> None:
    recent = Recent()
    for claims in (2, 3):
        recent.add(sample(1.0)._replace(pools=(Pool("host", 1, 2, 0, 4, claims, 1, 0),)))
    (row,) = dict(recent.samples[-1].lines())["pools"]["waiting"]
    assert row == 4
    columns = {column.name for column in TABLES["pools"].columns}
    assert set(dict(recent.samples[-1].lines())["pools"]) == columns
    text = prometheus.render("n" * 16, "desk", recent, 0)
    assert 'image="host",state="busy"} 2\n' in text
    assert re.search(r"nova_sandbox_claims_total\{[^}]*\} 5\n", text)
    assert load_view(Origin(), recent, 0).pools[0].claims == 3


def test_recent_sums_up_and_marks_anomalies() -> None:
    recent = Recent()
    for at in range(60):
        assert recent.add(sample(float(at))) == []
    begun = [a for at in range(60, 64) for a in recent.add(sample(float(at), lag_ms=5_000.0))]
    assert [a.series for a in begun] == ["lag_ms"]
    assert [a.series for a in recent.anomalies] == ["lag_ms"]
    assert (recent.done, recent.anomalies_begun) == (640, 1)
    assert anomaly_detail(begun[0])["ended"] is False


def test_the_number_of_watched_series_is_bounded() -> None:
    recent = Recent()
    rates = tuple(Rate(f"a.n{n}", 1, 0, 0.1, 0.1, 0.1) for n in range(5_000))
    recent.add(Sample(1.0, 1.0, Gauges(), 5_000, 0, 0, rates))
    text = prometheus.render("n" * 16, "desk", recent, 0)
    assert text.count("nova_tasks_total{") < 1_000


def test_prometheus_text_is_well_formed_and_escaped() -> None:
    recent = Recent()
    rates = (Rate('a."b\\\n', 1, 0, 0.1, 0.1, 0.1),)
    pools = (Pool("host", 1, 2), Pool('x"y', claims=3))
    recent.add(Sample(1.0, 1.0, Gauges(), 1, 0, 0, rates, pools))
    text = prometheus.render("n" * 16, 'de"sk', recent, 3)
    pair = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
    sample_line = re.compile(rf"(nova_[a-z_]+)\{{{pair}(?:,{pair})*\}} [0-9.e+-]+")
    told: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = sample_line.fullmatch(line)
        assert found, line
        told.append(found[1])
    assert set(told) == set(prometheus.METRICS)
    # each family in one block, announced once
    blocks = [name for name, before in zip(told, ["", *told], strict=False) if name != before]
    assert len(blocks) == len(set(blocks))
    assert text.count("# TYPE nova_tasks_total ") == 1


def test_the_dashboard_asks_for_what_is_exported() -> None:
    dashboard = json.loads((ROOT / "docs/grafana/nova.json").read_text())
    asked = {t["expr"] for panel in dashboard["panels"] for t in panel["targets"]}
    asked.add(dashboard["templating"]["list"][1]["definition"])
    names = {name for text in asked for name in re.findall(r"\bnova_[a-z_]+", text)}
    assert names == set(prometheus.METRICS)
    labels = {name for text in asked for name in re.findall(r'(\w+)(?:=~|=)"', text)}
    grouped = {n for t in asked for g in re.findall(r"by \(([^)]*)\)", t) for n in g.split(", ")}
    known = {"node", "name", *(n for m in prometheus.METRICS.values() for n in m.labels)}
    assert labels | grouped <= known


def test_the_manual_names_every_table_column_series_and_metric() -> None:
    sections = re.split(r"^### ", MANUAL, flags=re.M)
    told = {
        s.split("\n", 1)[0]: re.findall(r"^\| `(\w+)` \| ([A-Z]+) \|", s, re.M) for s in sections
    }
    for table in TABLES.values():
        columns = [(c.name, c.type) for c in table.columns]
        columns += [(name, kind) for name, kind, _, _ in table.derived]
        assert told[table.name] == columns
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:yes|no) \|", MANUAL, re.M) == list(SERIES)
    names = re.findall(r"^\| `(nova_\w+)` \|", MANUAL, re.M)
    assert names == list(prometheus.METRICS)
    ratios = re.findall(r"^\| `(\w+)` \| [a-z]", MANUAL.split("## Stats")[1].split("##")[0], re.M)
    assert tuple(ratios) == stats.Stats._fields


def test_stats_of_a_mesh_are_of_sums() -> None:
    one = stats.Sums(10, 9, 1, 0, 2, 8.0, 20, 5, 100.0, 50.0)
    other = stats.Sums(30, 30, 0, 0, 0, 0.0, 20, 0, 100.0, 0.0)
    both = stats.stats(stats.add([one, other]), 7_200.0)
    assert both == stats.Stats(20.0, 1 / 40, 4.0, 0.25, 5 / 40)
    assert stats.stats(stats.add([]), 60.0) == stats.Stats(0.0, None, None, None, None)


@pytest.mark.parametrize(
    ("name", "capability", "span_s", "step_s"),
    [
        ("nothing", "", 60.0, 1.0),
        ("cpu", "a.run", 60.0, 1.0),
        ("cpu", "", 60.0, 0.5),
        ("cpu", "", 60.0, float("nan")),
        ("cpu", "", 1e9, 1.0),
        ("cpu", "", -60.0, 1.0),
    ],
)
def test_series_that_cannot_be_are_refused(
    name: str, capability: str, span_s: float, step_s: float
) -> None:
    with pytest.raises(Invalid):
        series_sql(name, capability, 1_000.0, 1_000.0 + span_s, step_s)


def test_steps_without_tasks_are_zero_for_a_forecast() -> None:
    assert filled([(10.0, 1.0), (14.0, 3.0)], 20.0, 2.0) == [1.0, 0.0, 3.0, 0.0, 0.0]
    assert filled([], 20.0, 2.0) == []
