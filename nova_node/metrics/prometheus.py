"""What a node tells Prometheus: names, meanings, and the text format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nova_node.metrics.samples import Recent

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    kind: str
    doc: str
    #: beside `node` and `name`, which all have
    labels: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    "nova_cpu_ratio": Metric("gauge", "Share of the host's processors in use."),
    "nova_node_cpu_cores": Metric("gauge", "Processors that the node's own process used."),
    "nova_memory_bytes": Metric("gauge", "Resident memory of the node's own process."),
    "nova_memory_free_bytes": Metric("gauge", "Memory of the host that can still be had."),
    "nova_load": Metric("gauge", "The host's load average over one minute."),
    "nova_queued_attempts": Metric("gauge", "Attempts that wait for a slot."),
    "nova_unended_tasks": Metric("gauge", "Tasks of this owner that have not ended."),
    "nova_slots": Metric("gauge", "Attempts that can run at once."),
    "nova_slots_free": Metric("gauge", "Of them idle."),
    "nova_event_loop_lag_seconds": Metric("gauge", "How late the event loop ran."),
    "nova_peers": Metric("gauge", "Other nodes that are alive."),
    "nova_anomalies": Metric("gauge", "Series that are out of their ordinary range."),
    "nova_anomalies_total": Metric("counter", "Anomalies that began."),
    "nova_retried_attempts_total": Metric("counter", "Attempts without a result."),
    "nova_tasks_total": Metric(
        "counter", "Tasks of this owner that ended.", ("capability", "outcome")
    ),
    "nova_task_run_seconds_total": Metric(
        "counter", "Seconds that the last attempts of ended tasks ran.", ("capability",)
    ),
    "nova_sandbox_containers": Metric(
        "gauge", "Containers for foreign code: warm, busy or refilling.", ("image", "state")
    ),
    "nova_sandbox_waiting": Metric(
        "gauge", "Programs that wait for a container: the pool is exhausted.", ("image",)
    ),
    "nova_sandbox_claims_total": Metric(
        "counter", "Programs that asked for a container.", ("image",)
    ),
    "nova_sandbox_exhausted_total": Metric(
        "counter", "Of them those that found none warm.", ("image",)
    ),
    "nova_sandbox_failed_total": Metric("counter", "Containers that did not start.", ("image",)),
    "nova_metrics_dropped_total": Metric("counter", "Rows of the history that were not recorded."),
}

Value = tuple[str, tuple[str, ...], float]


def render(node: str, name: str, recent: Recent, dropped: int) -> str:
    """The text format, version 0.0.4. `node` is an id, `name` what people call it."""
    lines: list[str] = []
    told = ""
    for metric, labels, value in _values(recent, dropped):
        known = METRICS[metric]
        if metric != told:
            told = metric
            lines.append(f"# HELP {metric} {known.doc}")
            lines.append(f"# TYPE {metric} {known.kind}")
        pairs = zip(("node", "name", *known.labels), (node, name, *labels), strict=True)
        shown = ",".join(f'{key}="{_escape(text)}"' for key, text in pairs)
        lines.append(f"{metric}{{{shown}}} {value:.17g}")
    return "\n".join(lines) + "\n"


def _values(recent: Recent, dropped: int) -> Iterable[Value]:
    """Grouped by metric."""
    if recent.samples:
        gauges = recent.samples[-1].gauges
        yield "nova_cpu_ratio", (), gauges.cpu
        yield "nova_node_cpu_cores", (), gauges.cpu_node
        yield "nova_memory_bytes", (), gauges.memory_bytes
        yield "nova_memory_free_bytes", (), gauges.memory_free_bytes
        yield "nova_load", (), gauges.load
        yield "nova_queued_attempts", (), gauges.queued
        yield "nova_unended_tasks", (), gauges.unended
        yield "nova_slots", (), gauges.slots
        yield "nova_slots_free", (), gauges.slots_free
        yield "nova_event_loop_lag_seconds", (), gauges.lag_ms / 1000
        yield "nova_peers", (), gauges.peers
    yield "nova_anomalies", (), len(recent.anomalies)
    yield "nova_anomalies_total", (), recent.anomalies_begun
    yield "nova_retried_attempts_total", (), recent.retried
    sums = sorted(recent.sums.items())
    for capability, (done, failed, _) in sums:
        yield "nova_tasks_total", (capability, "done"), done
        yield "nova_tasks_total", (capability, "failed"), failed
    for capability, (_, _, elapsed_s) in sums:
        yield "nova_task_run_seconds_total", (capability,), elapsed_s
    yield from _of_pools(recent)
    yield "nova_metrics_dropped_total", (), dropped


def _of_pools(recent: Recent) -> Iterable[Value]:
    """Nothing on a node without a sandbox."""
    pools = recent.samples[-1].pools if recent.samples else ()
    for pool in pools:
        yield "nova_sandbox_containers", (pool.image, "warm"), pool.warm
        yield "nova_sandbox_containers", (pool.image, "busy"), pool.busy
        yield "nova_sandbox_containers", (pool.image, "refilling"), pool.refilling
    for pool in pools:
        yield "nova_sandbox_waiting", (pool.image,), pool.waiting
    for index, what in enumerate(("claims", "exhausted", "failed")):
        for image, sums in sorted(recent.pools.items()):
            yield f"nova_sandbox_{what}_total", (image,), sums[index]


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
