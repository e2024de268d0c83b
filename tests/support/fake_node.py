"""A node for tests: answers as one would, runs nothing, and fails on demand.

In a test's own event loop: `async with FakeNode() as node`. As a process of its own (for clients
that have an event loop already): `with fake_process() as address`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc.aio
from nova_proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    event_pb2,
    mesh_pb2,
    nodes_pb2,
    nodes_pb2_grpc,
    task_pb2,
    tasks_pb2,
    tasks_pb2_grpc,
)

CHUNK_BYTES = 1 << 16
NODE = "k7q2m9xdfake"
_STOP: Any = object()
_tasks: Any = tasks_pb2_grpc
_nodes: Any = nodes_pb2_grpc
_blobs: Any = blobs_pb2_grpc


def capability(name: str, *params: tuple[str, str, bool]) -> mesh_pb2.Capability:
    made = [mesh_pb2.Param(name=n, type=t, required=r) for n, t, r in params]
    return mesh_pb2.Capability(name=name, version="1", doc=f"{name} of the fake", params=made)


CAPABILITIES = [
    capability("core.noop"),
    capability("core.echo", ("value", "json", False), ("count", "int", False)),
    capability("core.fail", ("message", "str", True)),
    capability("core.hang"),
    capability("core.blob", ("size_bytes", "int", True)),
    capability("core.shards", ("count", "int", True)),
    capability("text.words", ("files", "files", True), ("deep", "bool", False)),
    capability("core.upper", ("data", "bytes", True)),
]


class FakeNode(tasks_pb2_grpc.TasksServicer):
    """What happens is decided by the capability's name; see `_outcome`."""

    def __init__(self, node: str = NODE) -> None:
        self.node = node
        self.port = 0
        self.next_no = 1
        self.events: list[event_pb2.Event] = []
        self.calls: dict[int, tuple[task_pb2.Demand, task_pb2.Call]] = {}
        self.outcomes: dict[int, task_pb2.Outcome] = {}
        self.batches: dict[str, tuple[int, int]] = {}
        self.blobs: dict[str, bytes] = {}
        self.streams: dict[asyncio.Queue[Any], set[int]] = {}
        #: how often each request id was submitted
        self.submits: dict[str, int] = {}
        self.resumes: list[tasks_pb2.WatchRequest] = []
        self.sizes: list[tuple[int, int]] = []
        #: refuse so many submits
        self.overloads = 0
        #: break the stream after taking so many submits, before answering
        self.breaks_before_answer = 0
        #: events below were compacted
        self.oldest_seq = 0
        self.refusal: task_pb2.Error | None = None
        #: wrong digests to send with every blob
        self.lies = b""
        self.puts = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 << 20)]
        self._server = grpc.aio.server(options=options)
        _tasks.add_TasksServicer_to_server(self, self._server)
        _nodes.add_NodesServicer_to_server(_Nodes(self), self._server)
        _blobs.add_BlobsServicer_to_server(_Blobs(self), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """May be started again, at the same address."""
        await self._server.stop(None)

    def break_streams(self) -> None:
        for queue in [*self.streams]:
            queue.put_nowait(_STOP)

    # ------------------------------------------------------------ tasks

    async def Session(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.streams[queue] = set()
        queue.put_nowait(tasks_pb2.SessionReply(owner=self.node, seq=len(self.events)))

        async def take() -> None:
            async for request in request_iterator:
                if request.HasField("resume"):
                    self._resume(queue, request.resume)
                else:
                    self._submit(queue, request.submit)
            queue.put_nowait(None)

        taking = asyncio.create_task(take())
        try:
            while (reply := await queue.get()) is not None:
                if reply is _STOP:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "broken on purpose")
                yield reply
        finally:
            del self.streams[queue]
            taking.cancel()

    def _submit(self, queue: asyncio.Queue[Any], request: tasks_pb2.SubmitRequest) -> None:
        key = request.request_id
        self.submits[key] = self.submits.get(key, 0) + 1
        self.sizes.append((sum(len(g.calls) for g in request.groups), request.ByteSize()))
        refusal = self.refusal
        if self.overloads:
            self.overloads -= 1
            refusal = task_pb2.Error(code="overloaded", message="the queue is full")
        if refusal is not None:
            refused = tasks_pb2.Refused(request_id=key, error=refusal)
            queue.put_nowait(tasks_pb2.SessionReply(refused=[refused]))
            return
        known = key in self.batches
        if not known:
            self._accept(request)
        first, count = self.batches[key]
        if self.breaks_before_answer:
            self.breaks_before_answer -= 1
            self._finish(first, count)
            queue.put_nowait(_STOP)
            return
        self.streams[queue].add(first)
        accepted = tasks_pb2.SubmitReply(request_id=key, owner=self.node, first=first, count=count)
        queue.put_nowait(tasks_pb2.SessionReply(accepted=[accepted], seq=len(self.events)))
        if not known:
            self._finish(first, count)

    def _accept(self, request: tasks_pb2.SubmitRequest) -> None:
        first = self.next_no
        for group in request.groups:
            for call in group.calls:
                self.calls[self.next_no] = (group.demand, call)
                self.next_no += 1
        self.batches[request.request_id] = (first, self.next_no - first)
        accepted = event_pb2.Accepted(request_id=request.request_id, groups=request.groups)
        self._tell(first, event_pb2.Event(accepted=accepted))

    def _finish(self, first: int, count: int) -> None:
        outcomes: list[task_pb2.Outcome] = []
        for no in range(first, first + count):
            made = self._outcome(first, no)
            if made is not None:
                self.outcomes[no] = made
                outcomes.append(made)
        for start in range(0, len(outcomes), 256):
            finished = event_pb2.Finished(outcomes=outcomes[start : start + 256])
            self._tell(first, event_pb2.Event(finished=finished))

    def finish(self, no: int, value: bytes = b'"late"') -> None:
        """End a task that hangs."""
        first = max(f for f, count in self.batches.values() if f <= no < f + count)
        self.outcomes[no] = task_pb2.Outcome(
            no=no, status=task_pb2.DONE, value=task_pb2.Value(json=value)
        )
        finished = event_pb2.Finished(outcomes=[self.outcomes[no]])
        self._tell(first, event_pb2.Event(finished=finished))

    def tell(self, batch: int, outcome: task_pb2.Outcome) -> None:
        """Announce an outcome, whether or not there is such a task."""
        self._tell(batch, event_pb2.Event(finished=event_pb2.Finished(outcomes=[outcome])))

    def say(self, no: int, text: str, stderr: bool = False) -> None:
        """As the only task of its submit."""
        said = event_pb2.Output(no=no, attempt=1, stderr=stderr, text=text)
        self._tell(no, event_pb2.Event(output=said))

    def _outcome(self, first: int, no: int) -> task_pb2.Outcome | None:
        demand, call = self.calls[no]
        made = task_pb2.Outcome(no=no, attempt=1, status=task_pb2.DONE, node=self.node)
        args: dict[str, Any] = json.loads(call.args) if call.args else {}
        match demand.capability:
            case "core.hang":
                return None
            case "core.fail":
                made.status = task_pb2.FAILED
                made.error.CopyFrom(
                    task_pb2.Error(code="raised", message=args["message"], traceback="Traceback")
                )
            case "core.echo":
                made.value.json = json.dumps(args).encode()
            case "core.upper":
                made.value.raw = call.inputs[0].raw.upper()
            case "core.blob":
                data = json.dumps("x" * args["size_bytes"]).encode()
                made.value.blob.CopyFrom(self.store(data, task_pb2.ENCODING_JSON))
            case "core.shards":
                self._grow(first, no, args["count"])
                made.value.json = b"%d" % args["count"]
            case "text.words":
                names = [item.name for item in call.inputs[0].files.extents]
                made.value.json = json.dumps({"names": names} | args).encode()
            case _:
                made.value.json = b"null"
        return made

    def _grow(self, batch: int, no: int, count: int) -> None:
        shards = event_pb2.Grown(parent=no, first=self.next_no, calls=[task_pb2.Call()] * count)
        self._tell(batch, event_pb2.Event(grown=shards))
        nos = range(self.next_no, self.next_no + count)
        self.next_no += count
        ended = [task_pb2.Outcome(no=n, status=task_pb2.DONE) for n in nos]
        self._tell(batch, event_pb2.Event(finished=event_pb2.Finished(outcomes=ended)))

    def _tell(self, batch: int, event: event_pb2.Event) -> None:
        self.events.append(event)
        event.seq, event.batch, event.time = len(self.events), batch, 1.0
        for queue, batches in self.streams.items():
            if batch in batches:
                queue.put_nowait(tasks_pb2.SessionReply(events=[event], seq=event.seq))

    def _resume(self, queue: asyncio.Queue[Any], request: tasks_pb2.WatchRequest) -> None:
        self.resumes.append(request)
        if request.from_seq < self.oldest_seq:
            error = task_pb2.Error(code="out_of_range", message="compacted")
            refused = tasks_pb2.Refused(error=error)
            queue.put_nowait(tasks_pb2.SessionReply(refused=[refused]))
            return
        self.streams[queue] |= set(request.batches)
        events = [e for e in self.events[request.from_seq - 1 :] if e.batch in request.batches]
        queue.put_nowait(tasks_pb2.SessionReply(events=events, seq=len(self.events)))

    async def Watch(self, request: tasks_pb2.WatchRequest, context: Any) -> Any:
        if request.from_seq < self.oldest_seq:
            await fail(context, grpc.StatusCode.OUT_OF_RANGE, "out_of_range", "compacted")
        start = request.from_seq - 1 if request.from_seq else len(self.events)
        yield tasks_pb2.WatchReply(events=self.events[start:], seq=len(self.events))

    def _no(self, id: str) -> int:
        tag, _, no = id.rpartition("-")
        return int(no) if tag == self.node[:8] and no.isdigit() else 0

    async def Get(self, request: tasks_pb2.GetRequest, context: Any) -> tasks_pb2.TaskView:
        no = self._no(request.id)
        if no not in self.calls:
            await fail(context, grpc.StatusCode.NOT_FOUND, "not_found", f"no task {request.id}")
        return self._view(no)

    def _view(self, no: int) -> tasks_pb2.TaskView:
        demand, call = self.calls[no]
        ended = self.outcomes.get(no)
        view = tasks_pb2.TaskView(
            id=f"{self.node[:8]}-{no}", owner=self.node, demand=demand, call=call, accepted_at=1.0
        )
        view.status = ended.status if ended else task_pb2.RUNNING
        if ended is not None:
            view.value.CopyFrom(ended.value)
            view.error.CopyFrom(ended.error)
            attempt = tasks_pb2.AttemptView(attempt=1, node=self.node, status=ended.status)
            view.attempts.append(attempt)
        return view

    async def List(self, request: tasks_pb2.ListRequest, context: Any) -> tasks_pb2.ListReply:
        if request.parent:
            return tasks_pb2.ListReply()
        views = [self._view(no) for no in sorted(self.calls, reverse=True)]
        views = [v for v in views if not request.statuses or v.status in request.statuses]
        wanted = request.capability
        views = [v for v in views if not wanted or v.demand.capability == wanted]
        return tasks_pb2.ListReply(tasks=views[: request.limit or 100], total=len(views))

    async def Cancel(self, request: tasks_pb2.CancelRequest, context: Any) -> Any:
        no = self._no(request.id)
        if no not in self.calls:
            await fail(context, grpc.StatusCode.NOT_FOUND, "not_found", f"no task {request.id}")
        first = max(f for f, count in self.batches.values() if f <= no < f + count)
        self.outcomes[no] = task_pb2.Outcome(no=no, status=task_pb2.CANCELLED)
        finished = event_pb2.Finished(outcomes=[self.outcomes[no]])
        self._tell(first, event_pb2.Event(finished=finished))
        return tasks_pb2.CancelReply(status=task_pb2.CANCELLED)

    async def Requeue(self, request: tasks_pb2.RequeueRequest, context: Any) -> Any:
        reply = tasks_pb2.RequeueReply()
        for id in request.ids:
            ended = self.outcomes.get(self._no(id))
            if ended is not None and ended.status == task_pb2.FAILED:
                del self.outcomes[self._no(id)]
                reply.tasks.add(id=id, status=task_pb2.WAITING)
            else:
                refusal = task_pb2.Error(code="not_dead", message="it is none", fix="look again")
                reply.tasks.add(id=id, error=refusal)
        return reply

    async def Explain(self, request: tasks_pb2.ExplainRequest, context: Any) -> Any:
        ranked = tasks_pb2.Ranked(
            node=self.node, name="fake", fits=True, score=1.0, reasons=["idle"]
        )
        return tasks_pb2.Explanation(
            id=request.id,
            status=task_pb2.WAITING,
            waits_for="a free slot",
            unblock=["start another node"],
            ranking=[ranked],
            durability="journaled",
        )

    async def Logs(self, request: tasks_pb2.LogsRequest, context: Any) -> Any:
        for text in ("one", "two \x1b[31mred"):
            line = tasks_pb2.LogLine(id=request.id, attempt=1, text=text, time=1.0)
            yield tasks_pb2.LogsReply(lines=[line])

    def store(self, data: bytes, encoding: task_pb2.Encoding) -> task_pb2.BlobRef:
        id = hashlib.sha256(len(data).to_bytes(8, "big") + digests(data)).hexdigest()
        self.blobs[id] = data
        return task_pb2.BlobRef(id=id, size_bytes=len(data), encoding=encoding, holders=[self.node])


class _Nodes(nodes_pb2_grpc.NodesServicer):
    def __init__(self, fake: FakeNode) -> None:
        self.fake = fake

    def _view(self) -> nodes_pb2.NodeView:
        member = mesh_pb2.Member(
            node=self.fake.node,
            name="fake\x1b[2J",
            address=self.fake.address,
            version="0.1.0",
            digest=mesh_pb2.Digest(slots=2, slots_free=1),
        )
        card = mesh_pb2.Card(capabilities=CAPABILITIES)
        return nodes_pb2.NodeView(member=member, card=card, self=True)

    async def List(self, request: Any, context: Any) -> nodes_pb2.ListNodesReply:
        return nodes_pb2.ListNodesReply(mesh="home", nodes=[self._view()])

    async def Capabilities(self, request: Any, context: Any) -> nodes_pb2.CapabilitiesReply:
        nodes = [self.fake.node]
        offered = [nodes_pb2.Offered(capability=item, nodes=nodes) for item in CAPABILITIES]
        return nodes_pb2.CapabilitiesReply(capabilities=offered)

    async def Status(self, request: Any, context: Any) -> nodes_pb2.NodeStatus:
        return nodes_pb2.NodeStatus(node=self._view(), done=len(self.fake.outcomes), pid=1)

    async def Resume(self, request: Any, context: Any) -> nodes_pb2.ResumeReply:
        return nodes_pb2.ResumeReply(was_draining=True)

    async def Drain(self, request: nodes_pb2.DrainRequest, context: Any) -> Any:
        return nodes_pb2.DrainReply(left_running=3 if request.stay else 0)


class _Blobs(blobs_pb2_grpc.BlobsServicer):
    def __init__(self, fake: FakeNode) -> None:
        self.fake = fake

    async def Put(self, request_iterator: AsyncIterator[Any], context: Any) -> task_pb2.BlobRef:
        parts = [request.data async for request in request_iterator]
        self.fake.puts += 1
        return self.fake.store(b"".join(parts), task_pb2.ENCODING_RAW)

    async def Get(self, request: blobs_pb2.GetBlobRequest, context: Any) -> Any:
        data = self.fake.blobs.get(request.id)
        if data is None:
            await fail(context, grpc.StatusCode.NOT_FOUND, "not_found", "no such blob")
            return
        digest = self.fake.lies or digests(data)
        yield blobs_pb2.GetBlobReply(digests=digest, size_bytes=len(data))
        for index, start in enumerate(range(0, len(data), CHUNK_BYTES)):
            part = data[start : start + CHUNK_BYTES]
            yield blobs_pb2.GetBlobReply(chunk=index, data=part)


def digests(data: bytes) -> bytes:
    starts = range(0, len(data), CHUNK_BYTES)
    return b"".join(hashlib.sha256(data[s : s + CHUNK_BYTES]).digest() for s in starts)


async def fail(context: Any, status: grpc.StatusCode, code: str, message: str) -> None:
    error = task_pb2.Error(code=code, message=message, fix="look again")
    trailer = (("nova-error-bin", error.SerializeToString()),)
    await context.abort(status, message, trailer)


async def _serve() -> None:
    async with FakeNode() as node:
        print(node.address, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def fake_process() -> Generator[str]:
    """The address of a fake node in a process of its own, which ends with the block."""
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "support.fake_node"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tests
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve())
