"""Service Nodes: what a person asks about the nodes."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import psutil
from nova_proto.v1 import nodes_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesServicer

from nova_node.adapters.grpc_settings import abort
from nova_node.adapters.wire_checks import check_seconds
from nova_node.adapters.wire_members import capability_to_pb
from nova_node.core.admission import skew
from nova_node.core.errors import NovaError, Refused
from nova_node.core.model import Status
from nova_node.core.signals import (
    DrainAsked,
    ResumeAsked,
)
from nova_node.ports import Blobs, Clock, Journal
from nova_node.runtime import CUT_OFF, Runtime
from nova_node.server.audited import UNAUDITED, Audited
from nova_node.server.host import Host
from nova_node.server.views import node_view

DRAIN_TIMEOUT_S = 60.0


class NodesService(NodesServicer):
    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        blobs: Blobs,
        clock: Clock,
        host: Host,
        mesh: str,
        incarnation: int,
        audited: Audited = UNAUDITED,
    ) -> None:
        self._runtime = runtime
        self._journal = journal
        self._blobs = blobs
        self._clock = clock
        self._host = host
        self._mesh = mesh
        self._incarnation = incarnation
        self._audited = audited
        self._began = clock.now()
        #: set and replaced when drains are ended
        self._resumed = asyncio.Event()

    async def List(self, request: Any, context: Any) -> nodes_pb2.ListNodesReply:
        reply = nodes_pb2.ListNodesReply(mesh=self._mesh)
        reply.nodes.append(self._self_view())
        now = self._clock.now()
        workers = self._runtime.engine.owner.dispatch.workers
        me = self._runtime.engine.me
        for seen in sorted(self._runtime.membership.members.values(), key=lambda s: s.member.name):
            if seen.member.node != me:
                worker = workers.get(seen.member.node)
                view = node_view(
                    seen.member,
                    worker.card if worker else None,
                    max(0.0, now - seen.heard_at),
                    (seen.rtt_s or 0.0) * 1000,
                    False,
                    skew(seen.member),
                )
                reply.nodes.append(view)
        return reply

    def _self_view(self) -> nodes_pb2.NodeView:
        member = self._runtime.membership.me
        view = node_view(member, self._host.card, 0.0, 0.0, True, "")
        if self._runtime.membership.isolated:
            view.card.warnings.append(CUT_OFF)
        return view

    async def Capabilities(self, request: Any, context: Any) -> nodes_pb2.CapabilitiesReply:
        reply = nodes_pb2.CapabilitiesReply()
        offers: dict[tuple[str, str], nodes_pb2.Offered] = {}
        for worker in self._runtime.engine.owner.dispatch.workers.values():
            for capability in worker.capabilities.values():
                key = (capability.name, capability.version)
                if key not in offers:
                    offers[key] = nodes_pb2.Offered()
                    capability_to_pb(capability, offers[key].capability)
                offers[key].nodes.append(worker.node)
        reply.capabilities.extend(offers[key] for key in sorted(offers))
        return reply

    async def Status(self, request: Any, context: Any) -> nodes_pb2.NodeStatus:
        tasks = self._runtime.engine.tasks
        running = min(tasks.unended, self._runtime.engine.owner.owed())
        waiting = tasks.unended - running
        journal_bytes = await asyncio.to_thread(self._journal.size_bytes)
        blob_bytes = await asyncio.to_thread(self._blobs.size_bytes)
        return nodes_pb2.NodeStatus(
            node=self._self_view(),
            waiting=waiting,
            running=running,
            done=tasks.ended[Status.DONE],
            failed=tasks.ended[Status.FAILED],
            seq=self._runtime.engine.owner.seq,
            journal_bytes=journal_bytes,
            blob_bytes=blob_bytes,
            rss_bytes=psutil.Process().memory_info().rss,
            up_s=self._clock.now() - self._began,
            lag_ms=self._host.lag_ms(),
            incarnation=self._incarnation,
            data_dir=self._host.data_dir,
            pid=os.getpid(),
        )

    async def Drain(self, request: nodes_pb2.DrainRequest, context: Any) -> nodes_pb2.DrainReply:
        try:
            timeout_s = check_seconds(request.timeout_s, "the time to drain") or DRAIN_TIMEOUT_S
        except NovaError as error:
            await abort(context, error)
        self._audited.note(context, "drain", self._runtime.engine.me)
        self._runtime.post(DrainAsked())
        resumed = self._resumed
        ends = [asyncio.create_task(e.wait()) for e in (self._runtime.drained, resumed)]
        try:
            await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        engine = self._runtime.engine
        left = engine.worker.held + engine.owner.owed()
        if not request.stay and not resumed.is_set():
            self._host.stop()
        return nodes_pb2.DrainReply(left_running=left, resumed=resumed.is_set())

    async def Resume(self, request: nodes_pb2.ResumeRequest, context: Any) -> nodes_pb2.ResumeReply:
        if self._host.is_leaving:
            await abort(context, Refused("this node was told to stop", "start it again"))
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def token(said: bool) -> None:
            if not answer.done():
                answer.set_result(said)

        self._runtime.post(ResumeAsked(token))
        was_draining = await answer
        resumed, self._resumed = self._resumed, asyncio.Event()
        resumed.set()
        self._audited.note(context, "resume", self._runtime.engine.me)
        return nodes_pb2.ResumeReply(was_draining=was_draining)
