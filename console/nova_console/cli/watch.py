"""nova watch"""

from __future__ import annotations

import time

import click
from nova_client import Client, Event, event

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, escape_line


@click.command(name="watch")
@click.option("--from-seq", type=click.IntRange(0), default=0, help="From this event on; 0: now.")
@with_client
async def command(client: Client, out: Output, from_seq: int) -> None:
    """Follow what happens on the node, until interrupted."""
    seq = from_seq
    async for happened in client.watch(from_seq):
        seq = happened.seq
        out.farewell = f"go on from here with: nova watch --from-seq {seq + 1}"
        if out.as_json:
            fact = happened.fact
            fields = {name: getattr(fact, name) for name in fact.__slots__}
            out.json(
                {
                    "seq": happened.seq,
                    "time": happened.time,
                    "owner": happened.owner,
                    "kind": happened.kind,
                    **fields,
                }
            )
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(happened.time))
            out.line(f"{happened.seq:>8}  {clock}  {escape_line(describe(happened))}")


def describe(happened: Event) -> str:
    """One event on one line."""
    match happened.fact:
        case event.Accepted(first=first, count=count, capabilities=capabilities):
            return f"accepted {first} (+{count - 1})  {', '.join(capabilities)}"
        case event.Assigned(node=node, tasks=tasks):
            return f"assigned {_some(tasks)} to {node[:8]}"
        case event.Retried(outcome=outcome):
            why = outcome.failure.message if outcome.failure else ""
            return f"retried {outcome.id} after attempt {outcome.attempt}  {why}"
        case event.Grown(parent=parent, count=count, phase=phase):
            return f"grown {parent} by {count} ({phase})"
        case event.Finished(outcomes=outcomes):
            ends = sorted({outcome.status.value for outcome in outcomes})
            return f"finished {_some([item.id for item in outcomes])}  {', '.join(ends)}"
        case event.Output(task=task, text=text):
            return f"output {task}  {text.rstrip()}"
        case event.Requeued(tasks=tasks):
            return f"requeued {_some(tasks)}"
        case event.Anomaly(ended=True, series=series):
            return f"anomaly over: {series} is ordinary again"
        case event.Anomaly(series=series, value=value, median=median, z=z):
            return f"anomaly: {series} is {value:.4g}, was about {median:.4g}  ({z:+.1f} sigmas)"
        case event.PeerChanged(node=node, name=name, state=state, why=why):
            return f"peer {name or node[:8]} is {state}  {why}"


def _some(ids: tuple[str, ...] | list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{len(ids):,} tasks from {ids[0]}" if ids else "nothing"
