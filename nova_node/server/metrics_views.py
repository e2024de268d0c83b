"""Load and sums as they travel."""

from __future__ import annotations

from dataclasses import asdict

from nova_proto.v1 import metrics_pb2 as pb

from nova_node.metrics import stats
from nova_node.metrics.samples import Recent, Sample

SPARK_SECONDS = 60


def load_view(origin: pb.Origin, recent: Recent, dropped: int) -> pb.Load:
    view = pb.Load(origin=origin, dropped=dropped)
    for anomaly in recent.anomalies:
        view.anomalies.add(
            series=anomaly.series,
            at=anomaly.at,
            value=anomaly.value,
            median=anomaly.median,
            z=anomaly.z,
        )
    if not recent.samples:
        return view
    sample = recent.samples[-1]
    interval_s = max(sample.interval_s, 0.001)
    view.at = sample.at
    for name, value in asdict(sample.gauges).items():
        setattr(view, name, value)
    view.rate = _rate(sample)
    view.error_rate = (sample.failed + sample.retried) / interval_s
    for rate in sample.rates:
        view.capabilities.add(
            capability=rate.capability,
            rate=rate.done / interval_s,
            failed_rate=rate.failed / interval_s,
            elapsed_s=rate.elapsed_s,
            elapsed_max_s=rate.elapsed_max_s,
        )
    for pool in sample.pools:
        view.pools.add(**pool._asdict())
    latest = list(recent.samples)[-SPARK_SECONDS:]
    view.recent_rate.extend([_rate(each) for each in latest])
    view.recent_queued.extend([each.gauges.queued for each in latest])
    return view


def _rate(sample: Sample) -> float:
    return (sample.done + sample.failed) / max(sample.interval_s, 0.001)


def sums_view(origin: pb.Origin, sums: stats.Sums, span_s: float) -> pb.Sums:
    view = pb.Sums(origin=origin, **sums._asdict())
    ratios = stats.stats(sums, span_s)
    view.tasks_an_hour = ratios.tasks_an_hour
    for name in ("error_rate", "recovery_s", "utilisation", "collaboration"):
        value = getattr(ratios, name)
        if value is not None:
            setattr(view, name, value)
    return view
