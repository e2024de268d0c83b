"""What the recorder tells the node of what it saw."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.lone import Lone

from nova_node.adapters.clock import SystemClock
from nova_node.core.engine import Engine
from nova_node.core.model import Anomaly
from nova_node.core.signals import Noticed
from nova_node.metrics import anomaly
from nova_node.metrics.keeping import Rules
from nova_node.metrics.pools import Pools
from nova_node.metrics.samples import Sample
from nova_node.recorder import Recorder
from nova_node.watch import Watch


def test_an_anomaly_is_told_to_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[object] = []
    engine: Engine = Lone().engine
    runtime = SimpleNamespace(
        engine=engine,
        watch=Watch(0, 1),
        membership=SimpleNamespace(members={}),
        post=posted.append,
    )
    recorder = Recorder(
        tmp_path,
        cast("Any", runtime),
        cast("Any", None),
        SystemClock(),
        1,
        lambda: 0.0,
        Rules(kept_days=1, cap_bytes=1 << 20),
        Pools(),
    )
    found = anomaly.Anomaly("rate", 5.0, 900.0, 10.0, 12.0)

    def add(sample: Sample) -> list[anomaly.Anomaly]:
        return [found]

    monkeypatch.setattr(recorder.recent, "add", add)
    recorder.sample()
    assert posted == [Noticed(Anomaly("rate", 900.0, 10.0, 12.0, False))]
