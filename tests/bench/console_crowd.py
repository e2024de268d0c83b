"""A scripted mesh for measuring the console: nodes that look busy, and events at a fixed rate.

Run as a program it serves until its input closes: `console_crowd.py NODES EVENTS_PER_S`. The first
WATCHED nodes answer at an address of their own; the console watches no more. They tell their events
as real nodes do, some at a time; tasks are accepted, assigned and finished one by one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc.aio
from nova_proto.v1 import (
    event_pb2,
    mesh_pb2,
    nodes_pb2,
    nodes_pb2_grpc,
    task_pb2,
    tasks_pb2,
    tasks_pb2_grpc,
)

WATCHED = 25
TICK_S = 0.05
KEPT = 2_500
HISTORY = 1_000_000
LISTED = 1_000
CAPABILITIES = ("core.echo", "text.words", "image.scale", "model.ask")
_tasks: Any = tasks_pb2_grpc
_nodes: Any = nodes_pb2_grpc


def node_id(index: int) -> str:
    return f"n{index:07d}abcdefgh"


class Crowd:
    """All of its nodes, and the clock that makes them work."""

    def __init__(self, nodes: int, events_per_s: float) -> None:
        self.count = nodes
        self.nodes = [Node(self, index) for index in range(min(nodes, WATCHED))]
        self.events_per_s = events_per_s

    async def start(self) -> str:
        for node in self.nodes:
            await node.start()
        return self.nodes[0].address

    async def run(self) -> None:
        """Until cancelled: what is due by now, spread over the nodes."""
        began, told, turn = time.monotonic(), 0, 0
        while self.events_per_s:
            await asyncio.sleep(TICK_S)
            due = int((time.monotonic() - began) * self.events_per_s) - told
            share, rest = divmod(due, len(self.nodes))
            for index in range(len(self.nodes)):
                self.nodes[(turn + index) % len(self.nodes)].tell(share + (index < rest))
            told, turn = told + due, turn + rest

    def views(self, viewer: int) -> nodes_pb2.ListNodesReply:
        return nodes_pb2.ListNodesReply(
            mesh="crowd", nodes=[self._view(index, viewer) for index in range(self.count)]
        )

    def _view(self, index: int, viewer: int) -> nodes_pb2.NodeView:
        answers = index < len(self.nodes)
        busy = (index + int(time.time())) % 5 if self.events_per_s else 0
        member = mesh_pb2.Member(
            node=node_id(index),
            name=f"crowd-{index:03d}",
            address=self.nodes[index].address if answers else f"127.0.0.1:{10 + index}",
            version="0.1.0",
            digest=mesh_pb2.Digest(slots=4, slots_free=4 - busy, queued=busy),
        )
        cards = [mesh_pb2.Capability(name=name, version="1") for name in CAPABILITIES]
        card = mesh_pb2.Card(capabilities=cards, cpus=8, memory_bytes=16 << 30, python="3.13.0")
        return nodes_pb2.NodeView(
            member=member, card=card, self=index == viewer, age_s=0.2, rtt_ms=1.0 + index / 100
        )


class Node(tasks_pb2_grpc.TasksServicer, nodes_pb2_grpc.NodesServicer):
    """Owns tasks numbered upwards; each takes three events."""

    def __init__(self, crowd: Crowd, index: int) -> None:
        self.crowd, self.index = crowd, index
        self.node = node_id(index)
        self.address = ""
        self.seq, self.no, self.step = 0, HISTORY, 0
        self.kept: deque[event_pb2.Event] = deque(maxlen=KEPT)
        self.watchers: set[asyncio.Queue[tasks_pb2.WatchReply]] = set()

    async def start(self) -> None:
        self.server = grpc.aio.server()
        _tasks.add_TasksServicer_to_server(self, self.server)
        _nodes.add_NodesServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        await self.server.start()

    def tell(self, count: int) -> None:
        events = [self._event() for _ in range(count)]
        self.kept += events
        for watcher in self.watchers:
            watcher.put_nowait(tasks_pb2.WatchReply(events=events, seq=self.seq))

    def _event(self) -> event_pb2.Event:
        self.seq += 1
        made = event_pb2.Event(seq=self.seq, time=time.time())
        if self.step == 0:
            self.no += 1
            demand = task_pb2.Demand(capability=CAPABILITIES[self.no % len(CAPABILITIES)])
            group = task_pb2.Group(demand=demand, calls=[task_pb2.Call(args=b"{}")])
            made.accepted.CopyFrom(event_pb2.Accepted(request_id="r", groups=[group]))
        made.batch = self.no
        worker = node_id((self.index + self.no) % self.crowd.count)
        if self.step == 1:
            made.assigned.CopyFrom(event_pb2.Assigned(node=worker, nos=[self.no], attempts=[1]))
        elif self.step == 2:
            outcome = task_pb2.Outcome(no=self.no, attempt=1, node=worker, elapsed_us=900)
            outcome.status = task_pb2.FAILED if self.no % 50 == 0 else task_pb2.DONE
            outcome.value.json = b'{"words": 17}'
            made.finished.CopyFrom(event_pb2.Finished(outcomes=[outcome]))
        self.step = (self.step + 1) % 3
        return made

    # ------------------------------------------------------------ what a client asks

    async def Watch(self, request: tasks_pb2.WatchRequest, context: Any) -> Any:
        queue: asyncio.Queue[tasks_pb2.WatchReply] = asyncio.Queue()
        self.watchers.add(queue)
        try:
            past = [one for one in self.kept if request.from_seq and one.seq >= request.from_seq]
            for start in range(0, len(past), 256):
                yield tasks_pb2.WatchReply(events=past[start : start + 256], seq=self.seq)
            while True:
                yield await queue.get()
        finally:
            self.watchers.discard(queue)

    async def List(self, request: Any, context: Any) -> Any:
        """Of both services: told apart by what is asked."""
        if isinstance(request, nodes_pb2.ListNodesRequest):
            return self.crowd.views(self.index)
        tasks = [self._task(self.no - n) for n in range(min(request.limit or 100, LISTED))]
        return tasks_pb2.ListReply(tasks=tasks, total=HISTORY)

    def _task(self, no: int) -> tasks_pb2.TaskView:
        worker, now = node_id(no % self.crowd.count), time.time()
        attempt = tasks_pb2.AttemptView(attempt=1, node=worker, status=task_pb2.DONE)
        view = tasks_pb2.TaskView(
            id=f"{self.node[:8]}-{no}",
            owner=self.node,
            demand=task_pb2.Demand(capability=CAPABILITIES[no % len(CAPABILITIES)]),
            call=task_pb2.Call(args=b"{}"),
            accepted_at=now - 60,
            ended_at=now - 30,
            attempts=[attempt],
            node=worker,
        )
        view.status = task_pb2.DONE
        return view

    async def Status(self, request: Any, context: Any) -> nodes_pb2.NodeStatus:
        view = self.crowd.views(self.index).nodes[self.index]
        return nodes_pb2.NodeStatus(node=view, seq=self.seq, pid=1)


async def _serve(nodes: int, events_per_s: float) -> None:
    crowd = Crowd(nodes, events_per_s)
    print(await crowd.start(), flush=True)  # noqa: T201
    working = asyncio.create_task(crowd.run())
    await asyncio.to_thread(sys.stdin.read)
    working.cancel()
    for node in crowd.nodes:
        await node.server.stop(None)


@contextmanager
def crowd_process(nodes: int, events_per_s: float) -> Generator[str]:
    """The address of its first node; it ends with the block."""
    command = [sys.executable, __file__, str(nodes), str(events_per_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        out, into = cast("Any", process.stdout), cast("Any", process.stdin)
        yield out.readline().strip()
        into.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
