"""nova flow"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click
from nova_client import Client

from nova_console.app.flow_lines import Gantt, graph, summary
from nova_console.app.task_steps import plan_of_views
from nova_console.cli.frame import with_client
from nova_console.cli.output import Output


@click.command(name="flow")
@click.argument("id")
@click.option("--width", type=click.IntRange(60, 500), default=100, show_default=True)
@with_client
async def command(client: Client, out: Output, id: str, width: int) -> None:
    """Draw how task ID runs: its progress, critical path and forecast, and a chart of its steps by
    node."""
    view = await client.get(id)
    plan = plan_of_views(view, await client.children(id))
    names = {node.node: node.name for node in (await client.nodes()).nodes}
    now = view.ended_at if view.ended_at else time.time()
    chart = Gantt(plan, now, lambda node: names.get(node) or node[:8])
    if out.as_json:
        out.json(_document(id, view.status, chart, names))
        return
    rows = [chart.line(index, width) for index in range(len(chart.rows))]
    for line in (*summary(chart, now), [], *graph(plan, width), [], *rows):
        out.line("".join(text for text, _ in line).rstrip())


def _document(id: str, status: str, chart: Gantt, names: Mapping[str, str]) -> dict[str, Any]:
    plan, forecast = chart.plan, chart.forecast
    steps = [
        {
            "id": step.id,
            "label": step.label,
            "kind": step.kind,
            "needs": plan.needs(step),
            "state": step.state,
            "node": names.get(step.place, step.place),
            "started_at": step.started_at,
            "ended_at": step.ended_at,
            "attempts": step.tries,
            "note": step.note,
        }
        for step in plan.steps
    ]
    ends = {"ends_at": forecast.ends_at, "error_s": forecast.error_s} if forecast else None
    critical = [step.id for step in plan.steps if step.id in chart.path]
    return {"id": id, "status": status, "steps": steps, "critical": critical, "forecast": ends}
