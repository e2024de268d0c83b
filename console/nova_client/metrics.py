"""What nodes recorded: SQL over their history, their load now, sums, and series to draw.

The node asked asks the others. Each node answers for itself; those that did not are in `missing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Any

from nova_proto.v1 import metrics_pb2, nodes_pb2

from nova_client import ended_sql, filters
from nova_client.ended import EndedPage, paged
from nova_client.errors import Invalid
from nova_client.filters import Filter
from nova_client.table import Missing, Part, Table, missed, split, united

ASKED_S = 15.0
"""Beyond what a query may take: for the nodes that are asked by the one that is asked."""
PAGE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class CapabilityLoad:
    """Tasks a second that ended well and that did not; seconds that their last attempts ran."""

    capability: str
    rate: float
    failed_rate: float
    elapsed_s: float
    elapsed_max_s: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """`z` is how many robust sigmas the value was from the median."""

    series: str
    at: float
    value: float
    median: float
    z: float


@dataclass(frozen=True, slots=True)
class Pool:
    """Containers for foreign code, of one image; see table pools of docs/metrics.md."""

    image: str
    warm: int
    busy: int
    refilling: int
    waiting: int
    claims: int
    exhausted: int
    failed: int


@dataclass(frozen=True, slots=True)
class Load:
    """A node in its latest second; see table samples of docs/metrics.md. `at` is 0 when nothing was
    sampled yet."""

    node: str
    name: str
    at: float
    cpu: float
    cpu_node: float
    memory_bytes: int
    memory_free_bytes: int
    load: float
    queued: int
    unended: int
    slots: int
    slots_free: int
    lag_ms: float
    peers: int
    rate: float
    error_rate: float
    capabilities: tuple[CapabilityLoad, ...]
    anomalies: tuple[Anomaly, ...]
    #: of the last seconds, oldest first
    recent_rate: tuple[float, ...]
    recent_queued: tuple[int, ...]
    #: rows of its history that were not recorded
    dropped: int
    #: by image; None: it runs no foreign code
    pools: tuple[Pool, ...] | None = None


@dataclass(frozen=True, slots=True)
class Top:
    nodes: tuple[Load, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one node, or of all; None where there is nothing to divide by. Meanings: docs/metrics.md."""

    node: str
    name: str
    tasks: int
    done: int
    failed: int
    cancelled: int
    recovered: int
    recovered_s: float
    attempts: int
    away: int
    slot_s: float
    busy_s: float
    tasks_an_hour: float
    error_rate: float | None
    recovery_s: float | None
    utilisation: float | None
    collaboration: float | None


@dataclass(frozen=True, slots=True)
class Stats:
    """From `begin` to `end`, both unix seconds."""

    begin: float
    end: float
    nodes: tuple[Sums, ...]
    all: Sums
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """`error` is what the method missed by on average, so far ahead."""

    at: float
    value: float
    error: float


@dataclass(frozen=True, slots=True)
class NodeSeries:
    node: str
    name: str
    #: (unix seconds at the beginning of the step, value); steps with nothing are left out
    points: tuple[tuple[float, float], ...]
    #: of the forecast: trend, level, or "" when there is none
    method: str
    ahead: tuple[Ahead, ...]


@dataclass(frozen=True, slots=True)
class Series:
    unit: str
    step_s: float
    nodes: tuple[NodeSeries, ...]
    missing: tuple[Missing, ...]


class Metrics:
    """`client.metrics`. Every method asks the whole mesh, or with `local_only` one node."""

    def __init__(self, home: Callable[[], Any]) -> None:
        self._home = home

    async def sql(
        self,
        sql: str,
        *,
        timeout_s: float = 5.0,
        rows_max: int = 10_000,
        local_only: bool = False,
    ) -> Table:
        """One SELECT, run on each node by itself and united: an average over the mesh is not the
        average of these averages. `timeout_s` and `rows_max` are of each node.

        Raises Invalid (no SELECT, or a wrong one); when no node answered, what the first one said."""
        return united(await self._parts(sql, timeout_s, rows_max, local_only))

    async def ended(
        self,
        wanted: Filter | str = "",
        *,
        children: bool = False,
        limit: int = PAGE_MAX,
        before: str = "",
        names: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        local_only: bool = False,
    ) -> EndedPage:
        """Tasks that ended and pass the filter (see filters), also those that their owners forgot;
        `children`: shards too. `limit` 1 to 1,000; `before` is the `next` of an earlier page. `names`
        of nodes by id, asked for when they are not given and the filter needs them.

        Raises Invalid; when no node answered, what the first one said."""
        if not 1 <= limit <= PAGE_MAX:
            raise Invalid(f"a page has 1 to {PAGE_MAX:,} tasks", "ask for less at a time")
        asked = filters.parse(wanted) if isinstance(wanted, str) else wanted
        if names is None:
            names = await self._names() if ended_sql.asks_for_nodes(asked) else {}
        place = ended_sql.placed(before) if before else None
        sql = ended_sql.page(asked, names, children, place, limit + 1)
        return await self._page(sql, limit, timeout_s, local_only)

    async def ends(self, id: str, *, timeout_s: float = 5.0) -> EndedPage:
        """Of one task, its latest end; none when no history tells of it. Raises as `ended`."""
        return await self._page(ended_sql.one(id, 1), 1, timeout_s, local_only=False)

    async def _page(self, sql: str, limit: int, timeout_s: float, local_only: bool) -> EndedPage:
        whole, missing = split(await self._parts(sql, timeout_s, limit + 2, local_only))
        return paged(((part.node, part.names, part.rows) for part in whole), limit, missing)

    async def _names(self) -> dict[str, str]:
        wire = self._home()
        seen = await wire.call(wire.nodes.List, nodes_pb2.ListNodesRequest(), ASKED_S)
        return {view.member.node: view.member.name for view in seen.nodes}

    async def _parts(
        self, sql: str, timeout_s: float, rows_max: int, local_only: bool
    ) -> list[Part]:
        request = metrics_pb2.QueryRequest(
            sql=sql,
            timeout_ms=max(1, int(timeout_s * 1000)),
            rows_max=rows_max,
            local_only=local_only,
        )
        wire, parts = self._home(), dict[str, Part]()
        async with aclosing(wire.stream(wire.metrics.Query, request)) as replies:
            async for reply in replies:
                parts.setdefault(reply.origin.node, Part(reply.origin)).add(reply)
        return list(parts.values())

    async def top(self, *, local_only: bool = False) -> Top:
        request = metrics_pb2.TopRequest(local_only=local_only)
        reply = await self._ask("Top", request)
        return Top(tuple(_load(each) for each in reply.nodes), _missing(reply.missing))

    async def stats(
        self, begin: float = 0.0, end: float = 0.0, *, local_only: bool = False
    ) -> Stats:
        """From `begin` (0: a day before the end) to `end` (0: now). Raises Invalid."""
        request = metrics_pb2.StatsRequest(begin=begin, end=end, local_only=local_only)
        reply = await self._ask("Stats", request)
        nodes = tuple(_sums(each) for each in reply.nodes)
        return Stats(reply.begin, reply.end, nodes, _sums(reply.all), _missing(reply.missing))

    async def series(
        self,
        series: str,
        *,
        capability: str = "",
        begin: float = 0.0,
        end: float = 0.0,
        step_s: float = 0.0,
        ahead: int = 0,
        local_only: bool = False,
    ) -> Series:
        """From `begin` (0: 15 minutes before the end) to `end` (0: now), one value a step (0: chosen),
        and a forecast of `ahead` steps, 60 at most. Raises Invalid."""
        request = metrics_pb2.SeriesRequest(
            series=series,
            capability=capability,
            begin=begin,
            end=end,
            step_s=step_s,
            ahead=ahead,
            local_only=local_only,
        )
        reply = await self._ask("Series", request)
        nodes = tuple(_node_series(each) for each in reply.nodes)
        return Series(reply.unit, reply.step_s, nodes, _missing(reply.missing))

    async def _ask(self, method: str, request: Any) -> Any:
        wire = self._home()
        return await wire.call(getattr(wire.metrics, method), request, ASKED_S)


def _missing(said: Iterable[metrics_pb2.Unanswered]) -> tuple[Missing, ...]:
    return tuple(missed(each) for each in said)


def _load(pb: metrics_pb2.Load) -> Load:
    return Load(
        node=pb.origin.node,
        name=pb.origin.name,
        at=pb.at,
        cpu=pb.cpu,
        cpu_node=pb.cpu_node,
        memory_bytes=pb.memory_bytes,
        memory_free_bytes=pb.memory_free_bytes,
        load=pb.load,
        queued=pb.queued,
        unended=pb.unended,
        slots=pb.slots,
        slots_free=pb.slots_free,
        lag_ms=pb.lag_ms,
        peers=pb.peers,
        rate=pb.rate,
        error_rate=pb.error_rate,
        capabilities=tuple(
            CapabilityLoad(c.capability, c.rate, c.failed_rate, c.elapsed_s, c.elapsed_max_s)
            for c in pb.capabilities
        ),
        anomalies=tuple(Anomaly(a.series, a.at, a.value, a.median, a.z) for a in pb.anomalies),
        recent_rate=tuple(pb.recent_rate),
        recent_queued=tuple(pb.recent_queued),
        dropped=pb.dropped,
        pools=tuple(_pool(each) for each in pb.pools) or None,
    )


def _pool(pb: metrics_pb2.Pool) -> Pool:
    return Pool(*(getattr(pb, field.name) for field in fields(Pool)))


def _sums(pb: metrics_pb2.Sums) -> Sums:
    ratios = ("error_rate", "recovery_s", "utilisation", "collaboration")
    error_rate, recovery_s, utilisation, collaboration = (
        getattr(pb, name) if pb.HasField(name) else None for name in ratios
    )
    return Sums(
        node=pb.origin.node,
        name=pb.origin.name,
        tasks=pb.tasks,
        done=pb.done,
        failed=pb.failed,
        cancelled=pb.cancelled,
        recovered=pb.recovered,
        recovered_s=pb.recovered_s,
        attempts=pb.attempts,
        away=pb.away,
        slot_s=pb.slot_s,
        busy_s=pb.busy_s,
        tasks_an_hour=pb.tasks_an_hour,
        error_rate=error_rate,
        recovery_s=recovery_s,
        utilisation=utilisation,
        collaboration=collaboration,
    )


def _node_series(pb: metrics_pb2.NodeSeries) -> NodeSeries:
    return NodeSeries(
        pb.origin.node,
        pb.origin.name,
        tuple((point.at, point.value) for point in pb.points),
        pb.method,
        tuple(Ahead(step.at, step.value, step.error) for step in pb.ahead),
    )
