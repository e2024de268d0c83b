"""The asynchronous client of one node. Any node of the mesh will do: it asks the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from nova_proto.v1 import nodes_pb2, task_pb2, tasks_pb2

from nova_client import backoff, children, dead_letters, decode, encode, errors, event, find, model
from nova_client.encode import Spec
from nova_client.gathering import Gathering, kind_of
from nova_client.model import Files, InputSource, Options, Status, SubmitOptions
from nova_client.store import Store, closed
from nova_client.task import Batch, Hear, Task

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

    from nova_client.metrics import Metrics

REQUESTS_AT_ONCE = 8

_STATUS_NAMES = dict(zip(Status, task_pb2.Status.keys(), strict=True))


class Client(Store):
    """Talks to the node at `address` (host:port; None finds the local one). Use `async with`.

    `identity` is who the program is in a mesh; None takes that of the person who runs it, if the
    node asks for one. `timeout_s` bounds each question; `give_up_s` is how long a lost node is
    waited for while tasks are open."""

    def __init__(
        self,
        address: str | None = None,
        *,
        identity: Credentials | None = None,
        timeout_s: float = 10.0,
        give_up_s: float = 60.0,
    ) -> None:
        self._place = find.find_place(address or os.environ.get("NOVA_NODE", ""))
        self.address = self._place.address
        self._identity = identity
        self._timeout_s = timeout_s
        self._give_up_s = give_up_s
        self._wires: Any = None
        self._session: Any = None
        self._gathering: Gathering | None = None
        self._renewal: Any = None
        self.node = ""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Raises Unreachable when no node answers at the address, Refused when it will not have
        this person (the code says why: docs/errors.md)."""
        from nova_client.session import Session  # loads grpc

        way = await self._find_way()
        try:
            await self._meet(way)
        except errors.Unreachable:
            fresh = await _recover(way)
            if fresh is None:
                raise
            way = fresh
            await self._meet(way)
        wires = self._opened_wires()
        self._session = Session(wires.home, self.node, self._give_up_s, wires.sign)
        self._gathering = Gathering(self._batch, self._session.submit)
        if way.identity is not None:
            from nova_client.renewal import Renewal

            self._renewal = Renewal(way, wires)

    async def _meet(self, way: find.Access) -> None:
        from nova_client.wires import Wires

        self._wires = Wires(way)
        try:
            self.node = (await self.status()).node.node
        except BaseException:
            await self.close()
            raise

    async def _find_way(self) -> find.Access:
        way = None if self._identity else find.plain_access(self._place)
        if way is not None:
            return way
        from nova_client import identity  # loads cryptography

        return await asyncio.to_thread(identity.access, self._place, self._identity)

    async def close(self) -> None:
        """Ends the connection. Tasks go on; whoever waits for one here gets Unreachable."""
        wires, session, renewal = self._wires, self._session, self._renewal
        self._wires = self._session = self._renewal = self._gathering = None
        if renewal is not None:
            await renewal.stop()
        if session is not None:
            await session.close()
        if wires is not None:
            await wires.close()

    # ------------------------------------------------------------ submit

    async def submit(
        self,
        capability: str,
        args: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, InputSource] | None = None,
        hear: Hear | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Hand one task to the mesh; returns when its owner has it durably.

        `args` is a JSON object, `inputs` binds bytes and files to parameters by name, `hear` is
        told what the task and its shards write.
        Raises Invalid, Refused, Overloaded or Unreachable."""
        gathering = self._gathering
        if gathering is not None and inputs is None and hear is None:
            kind = kind_of(capability, options)
            if kind is not None:
                data = encode.encode_args(capability, args)
                return await gathering.submit(kind, capability, data, options)
        (task,) = await self.submit_many([(capability, args)], inputs=inputs, hear=hear, **options)
        return task

    async def submit_many(
        self,
        calls: Iterable[Spec],
        *,
        inputs: Mapping[str, InputSource] | None = None,
        hear: Hear | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[Task]:
        """Hand in (capability, args) pairs or Calls, in this order; a million at a time will do.

        Goes in requests of 4,096, each accepted or refused as one; when a node is full it waits.
        An error leaves the requests accepted before it running (its note tells how many)."""
        session, asked = self._opened(), encode.options_of(options)
        bound: dict[int, encode.Bound] = {}
        shared = None
        if inputs:
            shared = encode.bind(await self._put_inputs(inputs, asked))
        if not isinstance(calls, list | tuple):
            calls = list(calls)
        for call in calls:
            if isinstance(call, model.Call) and call.inputs and id(call.inputs) not in bound:
                ready = await self._put_inputs(call.inputs, call.options or asked)
                bound[id(call.inputs)] = encode.bind(ready)
        tasks: list[Task] = []
        sending: set[asyncio.Task[None]] = set()
        request = None
        try:
            for request in encode.requests(calls, asked, bound, shared):
                batch = self._batch(request, hear)
                tasks += batch.tasks
                if request.calls == len(calls):
                    await session.submit(batch)
                    return tasks
                while len(sending) >= REQUESTS_AT_ONCE:
                    sending = await _settle(sending)
                sending.add(asyncio.create_task(session.submit(batch)))
            while sending:
                sending = await _settle(sending)
        except errors.NovaError as error:
            accepted = sum(1 for task in tasks if task.accepted)
            if accepted:
                error.add_note(f"{accepted} tasks of this submit were accepted before")
            raise
        finally:
            for one in sending:
                one.cancel()
        return tasks

    def _batch(self, request: encode.Request, hear: Hear | None = None) -> Batch:
        return Batch(self, request.message, request.calls, hear)

    async def _put_inputs(
        self, inputs: Mapping[str, InputSource], options: Options
    ) -> dict[str, bytes | Files]:
        ready: dict[str, bytes | Files] = {}
        for name, source in inputs.items():
            if isinstance(source, bytes | Files):
                ready[name] = source
            else:
                paths = [source] if isinstance(source, str | Path) else source
                ready[name] = await self.put_files(paths, sensitive=options.sensitive)
        return ready

    # ------------------------------------------------------------ tasks, by id

    async def get(self, id: str) -> model.TaskView:
        """Raises NotFound."""
        request = tasks_pb2.GetRequest(id=id)
        return decode.task_view(await self._ask("tasks", "Get", request))

    async def list_tasks(
        self,
        *,
        statuses: Iterable[Status] = (),
        capability: str = "",
        limit: int = 100,
        children: bool = False,
        journaled: bool = False,
    ) -> model.TaskList:
        """Tasks of the whole mesh, newest first; `limit` 1 to 1,000; `children`: shards too; `journaled`:
        no volatile ones, which leaves the dead letters of those that failed."""
        request = tasks_pb2.ListRequest(
            journaled=journaled,
            statuses=[_STATUS_NAMES[status] for status in statuses],
            capability=capability,
            limit=limit,
            children=children,
        )
        return decode.task_list(await self._ask("tasks", "List", request))

    async def children(self, id: str) -> tuple[model.TaskView, ...]:
        """All that grew from a task: its split, its shards, its merges, in the order of their numbers.
        Raises NotFound."""
        return await children.children(self._ask, id)

    async def cancel(self, id: str) -> Status:
        """Ask for the end of a task and its shards; returns its status now. Raises NotFound, or
        Refused when it is of another submitter."""
        request = tasks_pb2.CancelRequest(id=id)
        async with self._opened_wires().to_owner(id, self.node) as wire:
            reply = await wire.call(wire.tasks.Cancel, request, self._timeout_s)
        return decode.status(reply.status)

    async def requeue(self, id: str) -> Status:
        """Give a dead letter fresh attempts of the same call; returns its status now. Asked twice, it
        is done once. Raises NotFound, or Refused: it is no dead letter (not_dead), or of another
        submitter."""
        (asked,) = await self.requeue_many([id])
        if asked.failure is not None:
            failure = asked.failure
            raise errors.from_code(failure.code, failure.message, failure.fix)
        return asked.status

    async def requeue_many(self, ids: Iterable[str]) -> tuple[model.Requeued, ...]:
        """As `requeue`, each by itself: what could not be done is told in `failure`."""
        wires = self._opened_wires()
        return await dead_letters.requeue(wires, self.node, list(ids), self._timeout_s)

    async def submit_again(self, id: str, args: Mapping[str, Any] | None = None) -> Task:
        """Submit a new task like an old one, with these arguments (None: the same); the new one tells
        in `again_of` which it was made from. Raises NotFound, or Invalid when that had inputs."""
        return await dead_letters.submit_again(self.submit, await self.get(id), args)

    async def explain(self, id: str) -> model.Explanation:
        """Why a task is where it is. Raises NotFound."""
        request = tasks_pb2.ExplainRequest(id=id)
        return decode.explanation(await self._ask("tasks", "Explain", request))

    async def logs(self, id: str, follow: bool = False) -> AsyncGenerator[model.LogLine, None]:
        """Lines that a task and its shards wrote; with `follow`, until it ends."""
        wire = self._home()
        request = tasks_pb2.LogsRequest(id=id, follow=follow)
        async with aclosing(wire.stream(wire.tasks.Logs, request)) as replies:
            async for reply in replies:
                for line in reply.lines:
                    yield decode.log_line(line)

    async def watch(self, from_seq: int = 0) -> AsyncGenerator[event.Event, None]:
        """What happens on the node, from event `from_seq` on (0: from now), without loss.

        Connects again when the stream breaks. Raises Invalid (out_of_range) when the history no
        longer reaches back so far, Unreachable when the node stays away for `give_up_s`."""
        wire, attempt, waited_s = self._home(), 0, 0.0
        while True:
            request = tasks_pb2.WatchRequest(from_seq=from_seq)
            try:
                async with aclosing(wire.stream(wire.tasks.Watch, request)) as replies:
                    async for reply in replies:
                        attempt, waited_s = 0, 0.0
                        for message in reply.events:
                            known = decode.event(self.node, message)
                            if known is not None:
                                yield known
                        from_seq = max(from_seq, reply.seq + 1)
            except errors.Unreachable:
                if waited_s > self._give_up_s:
                    raise
            delay_s = backoff.delay_s(attempt)
            await asyncio.sleep(delay_s)
            attempt, waited_s = attempt + 1, waited_s + delay_s

    @property
    def metrics(self) -> Metrics:
        """What the nodes recorded: SQL over their history, their load, sums, series."""
        from nova_client.metrics import Metrics

        return Metrics(self._home)

    # ------------------------------------------------------------ nodes

    async def nodes(self) -> model.NodeList:
        reply = await self._ask("nodes", "List", nodes_pb2.ListNodesRequest())
        return model.NodeList(reply.mesh, tuple(decode.node_view(item) for item in reply.nodes))

    async def capabilities(self) -> tuple[model.Capability, ...]:
        """What the mesh can do, and where."""
        reply = await self._ask("nodes", "Capabilities", nodes_pb2.CapabilitiesRequest())
        return tuple(
            decode.capability(item.capability, tuple(item.nodes)) for item in reply.capabilities
        )

    async def status(self) -> model.NodeStatus:
        """Of the node asked."""
        reply = await self._ask("nodes", "Status", nodes_pb2.StatusRequest())
        return decode.node_status(reply)

    async def drain(self, *, stay: bool = False, timeout_s: float = 60.0) -> int:
        """Have the node take no new work, end what runs, and stop unless `stay`.

        Returns how many attempts were still running when `timeout_s` was over. Raises Refused when
        somebody ends the drain meanwhile."""
        wire = self._home()
        request = nodes_pb2.DrainRequest(stay=stay, timeout_s=timeout_s)
        reply = await wire.call(wire.nodes.Drain, request, timeout_s + self._timeout_s)
        if reply.resumed:
            raise errors.Refused("the drain was ended: somebody resumed the node", "drain it again")
        return reply.left_running

    async def resume(self) -> bool:
        """Have the node take work again; whether it was draining. Raises Refused when it was told to
        stop."""
        reply = await self._ask("nodes", "Resume", nodes_pb2.ResumeRequest())
        return reply.was_draining

    # ------------------------------------------------------------ inside

    def keep_listening(self) -> None:
        """Results are read while the client is open; raises Unreachable when it is not."""
        self._opened().listen()

    async def _ask(self, service: str, method: str, request: Any) -> Any:
        wire = self._home()
        stub = getattr(getattr(wire, service), method)
        return await wire.call(stub, request, self._timeout_s)

    def _home(self) -> Any:
        return self._opened_wires().home

    def _opened(self) -> Any:
        if self._session is None:
            raise closed()
        return self._session


async def _settle(sending: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those still on their way, when at least one is through. Raises what one was refused with."""
    ready, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    for one in ready:
        one.result()
    return sending


async def _recover(way: find.Access) -> find.Access | None:
    """See identity.recover: to gRPC, a node that is not trusted is one that does not answer."""
    if way.identity is None:
        return None
    from nova_client import identity

    return await asyncio.to_thread(identity.recover, way)
