"""Service Metrics: what nodes recorded. Each is asked by itself; who does not answer is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import grpc.aio
from nova_proto.v1 import metrics_pb2 as pb
from nova_proto.v1.metrics_pb2_grpc import MetricsServicer

from nova_node.adapters.grpc_settings import abort, from_rpc
from nova_node.adapters.metrics_frames import Kind
from nova_node.adapters.peers_grpc import Stubs
from nova_node.adapters.wire import failure_to_pb
from nova_node.core.errors import Invalid, NovaError, Unavailable
from nova_node.core.model import Member, MemberState
from nova_node.metrics import stats
from nova_node.metrics.forecast import forecast
from nova_node.metrics.queries import check_text
from nova_node.metrics.series import SERIES, filled, series_sql
from nova_node.ports import Clock
from nova_node.recorder import Recorder
from nova_node.runtime import Runtime
from nova_node.server.metrics_views import load_view, sums_view

TIMEOUT_DEFAULT_S = 5.0
TIMEOUT_MAX_S = 60.0
ROWS_DEFAULT = 10_000
ROWS_MAX = 100_000
FORWARD_GRACE_S = 5.0
FORWARD_S = TIMEOUT_DEFAULT_S + FORWARD_GRACE_S
DAY_S = 86_400.0
SERIES_DEFAULT_S = 900.0
POINTS_WANTED = 180
AHEAD_MAX = 60
REPLIES_WAITING_MAX = 16

T = TypeVar("T")
StubsTo = Callable[[str, str], Stubs]


class MetricsService(MetricsServicer):
    def __init__(
        self, runtime: Runtime, clock: Clock, recorder: Recorder | None, stubs: StubsTo
    ) -> None:
        """`recorder` is None on a node that records nothing."""
        self._runtime = runtime
        self._clock = clock
        self._recorder = recorder
        self._stubs = stubs

    def _recording(self) -> Recorder:
        if self._recorder is None:
            raise Unavailable(
                "this node records no metrics",
                "start it with storage.metrics_cap_bytes above 0",
                "not_recording",
            )
        return self._recorder

    def _me(self) -> pb.Origin:
        return _origin(self._runtime.membership.me)

    # ------------------------------------------------------------ SQL

    async def Query(self, request: pb.QueryRequest, context: Any) -> AsyncIterator[pb.QueryReply]:
        replies: asyncio.Queue[pb.QueryReply | NovaError] = asyncio.Queue(REPLIES_WAITING_MAX)
        try:
            check_text(request.sql)
            timeout_s = _timeout_s(request.timeout_ms)
            askers = [asyncio.create_task(self._query_here(request, timeout_s, replies))]
            if not request.local_only:
                asked = pb.QueryRequest()
                asked.CopyFrom(request)
                asked.local_only = True
                for peer in self._peers():
                    askers.append(
                        asyncio.create_task(
                            _query_there(peer, self._stubs_to, asked, timeout_s, replies)
                        )
                    )
            try:
                waited_for = len(askers)
                while waited_for:
                    reply = await replies.get()
                    if isinstance(reply, NovaError):
                        raise reply
                    waited_for -= reply.end
                    yield reply
            finally:
                for asker in askers:
                    asker.cancel()
                await asyncio.gather(*askers, return_exceptions=True)
        except NovaError as error:
            await abort(context, error)

    async def _query_here(
        self,
        request: pb.QueryRequest,
        timeout_s: float,
        replies: asyncio.Queue[pb.QueryReply | NovaError],
    ) -> None:
        rows_max = min(request.rows_max or ROWS_DEFAULT, ROWS_MAX)
        last = pb.QueryReply(origin=self._me(), end=True)
        try:
            history = self._recording().history
            async for frame in history.ask(request.sql, (), timeout_s, rows_max):
                reply = pb.QueryReply(origin=self._me())
                if frame.kind is Kind.COLUMNS:
                    for name, type_ in json.loads(frame.payload):
                        reply.columns.add(name=name, type=type_)
                elif frame.kind is Kind.ROWS:
                    reply.rows = frame.payload
                else:
                    last.truncated = json.loads(frame.payload)["truncated"]
                    continue
                await replies.put(reply)
        except Invalid as error:
            await replies.put(error)  # it is as wrong everywhere
        except NovaError as error:
            failure_to_pb(error.failure(), last.error)
        await replies.put(last)

    # ------------------------------------------------------------ load now

    async def Top(self, request: pb.TopRequest, context: Any) -> pb.TopReply:
        ask = pb.TopRequest(local_only=True)
        reply = pb.TopReply()
        own, others = await asyncio.gather(
            self._own(self._load(), reply.missing),
            self._elsewhere(
                lambda stubs: stubs.metrics.Top(ask, timeout=FORWARD_GRACE_S),
                reply.missing,
                request.local_only,
            ),
        )
        _unite(own, others, reply)
        return reply

    async def _load(self) -> pb.Load:
        recorder = self._recording()
        return load_view(self._me(), recorder.recent, recorder.dropped)

    # ------------------------------------------------------------ sums

    async def Stats(self, request: pb.StatsRequest, context: Any) -> pb.StatsReply:
        end = request.end or self._clock.now()
        begin = request.begin or end - DAY_S
        reply = pb.StatsReply(begin=begin, end=end)
        ask = pb.StatsRequest(begin=begin, end=end, local_only=True)
        try:
            _check_span(begin, end)
            own, others = await asyncio.gather(
                self._own(self._sums(begin, end), reply.missing),
                self._elsewhere(
                    lambda stubs: stubs.metrics.Stats(ask, timeout=FORWARD_S),
                    reply.missing,
                    request.local_only,
                ),
            )
        except NovaError as error:
            await abort(context, error)
        _unite(own and sums_view(self._me(), own, end - begin), others, reply)
        each = [stats.Sums(*(getattr(n, f) for f in stats.Sums._fields)) for n in reply.nodes]
        reply.all.CopyFrom(sums_view(pb.Origin(), stats.add(each), end - begin))
        return reply

    async def _sums(self, begin: float, end: float) -> stats.Sums:
        history = self._recording().history
        (row,) = await history.rows(stats.SQL, stats.sql_values(begin, end), TIMEOUT_DEFAULT_S)
        return stats.Sums(*row)

    # ------------------------------------------------------------ series

    async def Series(self, request: pb.SeriesRequest, context: Any) -> pb.SeriesReply:
        ask = pb.SeriesRequest()
        ask.CopyFrom(request)
        ask.local_only = True
        ask.end = request.end or self._clock.now()
        ask.begin = request.begin or ask.end - SERIES_DEFAULT_S
        reply = pb.SeriesReply()
        try:
            _check_span(ask.begin, ask.end)
            ask.step_s = request.step_s or max(1.0, round((ask.end - ask.begin) / POINTS_WANTED))
            reply.step_s = ask.step_s
            series_sql(ask.series, ask.capability, ask.begin, ask.end, ask.step_s)
            own, others = await asyncio.gather(
                self._own(self._series(ask), reply.missing),
                self._elsewhere(
                    lambda stubs: stubs.metrics.Series(ask, timeout=FORWARD_S),
                    reply.missing,
                    request.local_only,
                ),
            )
        except NovaError as error:
            await abort(context, error)
        reply.unit = SERIES[ask.series].unit
        _unite(own, others, reply)
        return reply

    async def _series(self, ask: pb.SeriesRequest) -> pb.NodeSeries:
        sql, values = series_sql(ask.series, ask.capability, ask.begin, ask.end, ask.step_s)
        rows = await self._recording().history.rows(sql, values, TIMEOUT_DEFAULT_S)
        points = [(float(at), float(value)) for at, value in rows if value is not None]
        view = pb.NodeSeries(origin=self._me())
        for at, value in points:
            view.points.add(at=at, value=value)
        # the last step is not over
        known = filled(points, ask.end, ask.step_s)
        said = await asyncio.to_thread(forecast, known, min(ask.ahead, AHEAD_MAX))
        if said is not None:
            view.method = said.method
            first = ask.end // ask.step_s * ask.step_s
            for n, (value, error) in enumerate(said.steps):
                view.ahead.add(at=first + n * ask.step_s, value=value, error=error)
        return view

    # ------------------------------------------------------------ the others

    def _peers(self) -> list[Member]:
        """Those that belong to an answer: all but this node and those that have left."""
        me = self._runtime.engine.me
        members = [seen.member for seen in self._runtime.membership.members.values()]
        return [m for m in members if m.node != me and m.state is not MemberState.LEFT]

    def _stubs_to(self, peer: Member) -> Stubs:
        """Raises NovaError."""
        if peer.state is MemberState.DEAD:
            raise Unavailable(f"node {peer.name} is dead", "see `nova nodes`")
        return self._stubs(peer.address, peer.node)

    async def _own(self, asked: Awaitable[T], missing: Any) -> T | None:
        """This node's answer, or None and why in `missing`."""
        try:
            return await asked
        except NovaError as error:
            failure_to_pb(error.failure(), missing.add(origin=self._me()).error)
            return None

    async def _elsewhere(
        self, ask: Callable[[Stubs], Awaitable[T]], missing: Any, local_only: bool
    ) -> list[T]:
        """What the other nodes answered; why one did not goes to `missing`."""

        async def one(peer: Member) -> T | NovaError:
            try:
                return await ask(self._stubs_to(peer))
            except grpc.aio.AioRpcError as error:
                return from_rpc(error, f"node {peer.name}")
            except NovaError as error:
                return error

        peers = [] if local_only else self._peers()
        answers: list[T] = []
        for peer, answer in zip(peers, await asyncio.gather(*map(one, peers)), strict=True):
            if isinstance(answer, NovaError):
                failure_to_pb(answer.failure(), missing.add(origin=_origin(peer)).error)
            else:
                answers.append(answer)
        return answers


def _unite(own: Any, others: Iterable[Any], reply: Any) -> None:
    if own is not None:
        reply.nodes.append(own)
    for answer in others:
        reply.nodes.extend(answer.nodes)
        reply.missing.extend(answer.missing)


async def _query_there(
    peer: Member,
    stubs: Callable[[Member], Stubs],
    ask: pb.QueryRequest,
    timeout_s: float,
    replies: asyncio.Queue[pb.QueryReply | NovaError],
) -> None:
    try:
        call = stubs(peer).metrics.Query(ask, timeout=timeout_s + FORWARD_GRACE_S)
        ended = False
        async for reply in call:
            reply.origin.CopyFrom(_origin(peer))
            ended = reply.end
            await replies.put(reply)
        if ended:
            return
        error = Unavailable(f"node {peer.name} stopped in the middle", "ask again")
    except grpc.aio.AioRpcError as broken:
        error = from_rpc(broken, f"node {peer.name}")
    except NovaError as refused:
        error = refused
    last = pb.QueryReply(origin=_origin(peer), end=True)
    failure_to_pb(error.failure(), last.error)
    await replies.put(last)


def _origin(member: Member) -> pb.Origin:
    return pb.Origin(node=member.node, name=member.name)


def _timeout_s(timeout_ms: int) -> float:
    timeout_s = timeout_ms / 1000 or TIMEOUT_DEFAULT_S
    if timeout_s > TIMEOUT_MAX_S:
        raise Invalid(f"a query may take {TIMEOUT_MAX_S:g} s at most", "ask for less at a time")
    return timeout_s


def _check_span(begin: float, end: float) -> None:
    if not 0 < begin < end < 1e11:
        raise Invalid("the beginning must be before the end, both in unix seconds", "swap them?")
