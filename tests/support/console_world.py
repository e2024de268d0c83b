"""A mesh for the console's tests: a client that answers from what the test puts in, and the console
on it, drawn as plain text.

The console's clock stands still at NOW until a test moves it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from nova_client import Event, Invalid, NotFound, Options, Outcome, Status, Unreachable, event
from nova_client.ended import EndedPage, EndedTask, fields_of
from nova_client.ended_sql import placed
from nova_client.filters import Filter
from nova_client.metrics import (
    Ahead,
    Anomaly,
    Load,
    Missing,
    NodeSeries,
    Series,
    Table,
    Top,
)
from nova_client.model import (
    AttemptView,
    Capability,
    Explanation,
    Failure,
    Limits,
    LogLine,
    NodeList,
    NodeStatus,
    NodeView,
    Param,
    Ranked,
    Requeued,
    TaskList,
    TaskView,
)
from nova_console.app.app import Console
from nova_console.app.settings import Settings

NOW = 1_800_000_000.0
PATIENCE_S = 10.0


def node_id(index: int) -> str:
    return f"n{index:07d}abcdefgh"


def node(index: int, **changes: Any) -> NodeView:
    view = NodeView(
        node=node_id(index),
        name=f"node-{index:02d}",
        address=f"127.0.0.1:{7600 + index}",
        state="alive",
        self=index == 0,
        age_s=0.2,
        rtt_ms=0.0 if index == 0 else 1.0 + index / 10,
        slots=4,
        slots_free=4 - index % 4,
        queued=index % 3,
        lag_ms=index % 5,
        draining=False,
        version="0.1.0",
        skew="",
        labels={"zone": "a"} if index % 2 else {},
        capabilities=("core.echo", "text.words"),
        cpus=8,
        memory_bytes=16 << 30,
        platform="Linux-x86_64",
        python="3.13.0",
        warnings=(),
    )
    return replace(view, **changes)


def task(no: int, status: Status = Status.DONE, owner: int = 0, **changes: Any) -> TaskView:
    attempt = AttemptView(1, node_id(1), status, None, NOW - 50 + no % 40, NOW - 49 + no % 40)
    view = TaskView(
        id=f"{node_id(owner)[:8]}-{no}",
        owner=node_id(owner),
        status=status,
        capability="core.echo",
        options=Options(),
        args={"value": no},
        inputs=(),
        phase="run",
        parent="",
        value=no if status is Status.DONE else None,
        failure=None,
        attempts=(attempt,),
        accepted_at=NOW - 60 + no % 40,
        ended_at=NOW - 49 + no % 40 if status is Status.DONE else 0.0,
        children=(),
        children_done=0,
        children_total=0,
        node=node_id(1),
    )
    return replace(view, **changes)


def failed(no: int) -> TaskView:
    why = Failure("capability_failed", f"no luck {no}", "look at the traceback", True, "Traceback")
    return task(no, Status.FAILED, failure=why, ended_at=NOW - 10)


def past_task(no: int, status: Status = Status.DONE, **changes: Any) -> EndedTask:
    """One that its owner, node 0, forgot; the lower its number, the older."""
    ended = EndedTask(
        id=f"{node_id(0)[:8]}-{no}",
        owner=node_id(0),
        status=status,
        capability="core.echo",
        phase="run",
        parent="",
        node=node_id(1),
        submitter="",
        durability="journaled",
        accepted_at=NOW - 100_000 + no,
        started_at=NOW - 100_000 + no,
        ended_at=NOW - 99_999 + no,
        elapsed_s=1.0,
        attempts=1,
        code="timed_out" if status is Status.FAILED else "",
    )
    return replace(ended, **changes)


CARDS = (
    Capability(
        "core.echo",
        "1",
        "Returns what it is given.",
        (
            Param("value", "json", True, None, "anything"),
            Param("count", "int", False, 1, "how often"),
            Param("loud", "bool", False, False, ""),
        ),
        False,
        False,
        Limits(),
        (node_id(0), node_id(1)),
    ),
    Capability(
        "text.words",
        "2",
        "Counts words.",
        (Param("files", "files", True, None, ""),),
        True,
        True,
        Limits(),
        (node_id(1),),
    ),
)


@dataclass
class FakeMesh:
    """What the nodes of the mesh would answer. `down` holds addresses where nobody answers;
    while `speaks` is not set, answers are kept back."""

    nodes: list[NodeView] = field(default_factory=list[NodeView])
    tasks: list[TaskView] = field(default_factory=list[TaskView])
    events: list[Event] = field(default_factory=list[Event])
    #: what the node at an index sees, when it is not what all see
    views: dict[int, list[NodeView]] = field(default_factory=dict[int, list[NodeView]])
    down: set[str] = field(default_factory=set[str])
    drained: list[str] = field(default_factory=list[str])
    cancelled: list[str] = field(default_factory=list[str])
    requeued: list[str] = field(default_factory=list[str])
    resumed: list[str] = field(default_factory=list[str])
    again_of: list[str] = field(default_factory=list[str])
    #: what its history tells of, and who does not answer for it
    past: list[EndedTask] = field(default_factory=list[EndedTask])
    past_missing: tuple[Missing, ...] = ()
    #: (filter, before) it was asked for
    recalled: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    submitted: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    asked: list[tuple[tuple[Status, ...], str]] = field(
        default_factory=list[tuple[tuple[Status, ...], str]]
    )
    opened: list[str] = field(default_factory=list[str])
    now: float = NOW
    silent: bool = False

    def __post_init__(self) -> None:
        self.told = asyncio.Condition()
        self.speaks = asyncio.Event()
        if not self.silent:
            self.speaks.set()

    async def tell(self, *facts: event.Fact, owner: int = 0, at: float = NOW) -> None:
        """Events that the node at an index reports from now on."""
        async with self.told:
            for fact in facts:
                self.events.append(Event(len(self.events) + 1, at, node_id(owner), fact))
            self.told.notify_all()

    @asynccontextmanager
    async def open(self, address: str) -> AsyncGenerator[FakeNode]:
        self.opened.append(address)
        index = 0 if not address else int(address.rpartition(":")[2]) - 7600
        client = FakeNode(self, index)
        await client.answer()
        yield client


class FakeRecords:
    """What every node would tell of its history: a ramp for each series, an anomaly of node-01."""

    def __init__(self, client: FakeNode) -> None:
        self._client = client

    async def sql(self, sql: str) -> Table:
        await self._client.answer()
        if "oops" in sql:
            raise Invalid("there is no table oops", "see docs/metrics.md")
        rows = tuple((f"node-{i:02d}", "core.echo", i * 1.5) for i in range(3))
        gone = Missing(node_id(9), "node-09", "unavailable", "no answer", "")
        return Table(("node", "capability", "took"), ("VARCHAR",) * 3, rows, ("node-01",), (gone,))

    async def ended(
        self, wanted: Filter, *, children: bool, limit: int, before: str, names: Mapping[str, str]
    ) -> EndedPage:
        mesh = self._client.mesh
        mesh.recalled.append((wanted.text, before))
        await self._client.answer()
        if "oops" in wanted.text:
            raise Invalid("the filter is too long", "use fewer words")
        found = [
            each
            for each in mesh.past
            if (children or not each.parent) and wanted.passes(fields_of(each.view(), names))
        ]
        found.sort(key=lambda each: each.place, reverse=True)
        rest = [each for each in found if not before or each.place < placed(before)]
        more = rest[limit - 1].place.mark if len(rest) > limit else ""
        return EndedPage(tuple(rest[:limit]), len(found), more, mesh.past_missing)

    async def ends(self, id: str) -> EndedPage:
        await self._client.answer()
        mesh = self._client.mesh
        found = tuple(each for each in mesh.past if each.id == id)
        return EndedPage(found, len(found), "", mesh.past_missing)

    async def top(self) -> Top:
        await self._client.answer()
        odd = Anomaly("lag_ms", NOW, 400.0, 2.0, 12.5)
        load = Load(
            node_id(1), "node-01", NOW, 0.5, 0.1, 1 << 26, 1 << 30, 1.0, 0, 0, 4, 4, 400.0, 2, 1.0,
            0.0, (), (odd,), (), (), 0,
        )  # fmt: skip
        return Top((load,), ())

    async def series(
        self, series: str, *, begin: float = 0.0, end: float = 0.0, ahead: int = 0
    ) -> Series:
        await self._client.answer()
        step_s = (end - begin) / 60
        points = tuple((begin + i * step_s, float(i)) for i in range(60))
        known = (Ahead(end + step_s, 61.0, 2.0),) if ahead else ()
        names = [(node_id(i), f"node-{i:02d}") for i in range(2)]
        nodes = [NodeSeries(id, name, points, "trend", known) for id, name in names]
        empty = NodeSeries(node_id(2), "node-02", (), "", ())
        unit = "bytes" if series == "memory" else "tasks/s"
        return Series(unit, step_s, (*nodes, empty), ())


class FakeNode:
    """A client of one of its nodes."""

    def __init__(self, mesh: FakeMesh, index: int) -> None:
        self.mesh = mesh
        self._index = index
        self.node = node_id(index)
        self.address = f"127.0.0.1:{7600 + index}"
        self.metrics = FakeRecords(self)

    async def answer(self) -> None:
        await self.mesh.speaks.wait()
        if self.address in self.mesh.down:
            raise Unreachable(f"no node answers at {self.address}", "start one")

    async def nodes(self) -> NodeList:
        await self.answer()
        views = self.mesh.views.get(self._index, self.mesh.nodes)
        return NodeList("lab", tuple(views))

    async def status(self) -> NodeStatus:
        await self.answer()
        return NodeStatus(
            (self.mesh.nodes or [node(0)])[0],
            0,
            0,
            0,
            0,
            len(self.mesh.events),
            0,
            0,
            0,
            9.0,
            0.0,
            1,
            "/d",
            1,
        )

    async def capabilities(self) -> tuple[Capability, ...]:
        await self.answer()
        return CARDS

    async def list_tasks(
        self,
        *,
        statuses: Iterable[Status] = (),
        capability: str = "",
        limit: int = 100,
        children: bool = False,
        journaled: bool = False,
    ) -> TaskList:
        await self.answer()
        wanted = tuple(statuses)
        self.mesh.asked.append((wanted, capability))
        found = [t for t in self.mesh.tasks if not wanted or t.status in wanted]
        return TaskList(tuple(found[:limit]), (), len(found))

    async def get(self, id: str) -> TaskView:
        await self.answer()
        for view in self.mesh.tasks:
            if view.id == id:
                return view
        raise NotFound(f"no task {id}", "look again")

    async def explain(self, id: str) -> Explanation:
        await self.answer()
        ranked = Ranked(node_id(1), "node-01", True, 0.5, ("idle",))
        return Explanation(
            id, Status.WAITING, "a free slot", ("start another node",), (ranked,), NOW, "journaled"
        )

    async def cancel(self, id: str) -> Status:
        await self.answer()
        self.mesh.cancelled.append(id)
        return Status.CANCELLED

    async def requeue_many(self, ids: Iterable[str]) -> tuple[Requeued, ...]:
        await self.answer()
        asked: list[Requeued] = []
        for id in ids:
            dead = any(t.id == id and t.status is Status.FAILED for t in self.mesh.tasks)
            why = None if dead else Failure("not_dead", f"task {id} is no dead letter")
            asked.append(Requeued(id, Status.WAITING if dead else Status.UNKNOWN, why))
        done = tuple(one.id for one in asked if one.failure is None)
        self.mesh.requeued += done
        self.mesh.tasks = [
            task(int(t.id.rpartition("-")[2]), Status.WAITING) if t.id in done else t
            for t in self.mesh.tasks
        ]
        if done:
            await self.mesh.tell(event.Requeued(done))
        return tuple(asked)

    async def resume(self) -> bool:
        await self.answer()
        self.mesh.resumed.append(self.node)
        return True

    async def drain(self, *, stay: bool = False, timeout_s: float = 60.0) -> int:
        assert stay
        self.mesh.drained.append(self.node)
        return 0

    async def submit(
        self, capability: str, args: Mapping[str, Any] | None = None, **options: Any
    ) -> TaskView:
        await self.answer()
        self.mesh.submitted.append((capability, dict(args or {})))
        self.mesh.again_of.append(options.get("again_of", ""))
        made = task(900 + len(self.mesh.submitted), args=dict(args or {}))
        self.mesh.tasks.insert(0, made)
        return made

    async def watch(self, from_seq: int = 0) -> AsyncGenerator[Event, None]:
        mesh, at = self.mesh, max(0, from_seq - 1)
        while True:
            async with mesh.told:
                while at >= len(mesh.events):
                    await mesh.told.wait()
                fresh, at = mesh.events[at:], len(mesh.events)
            for happened in fresh:
                if happened.owner == self.node:
                    yield happened

    async def logs(self, id: str, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        await self.answer()
        yield LogLine(id, 1, False, "one line\n", NOW)
        yield LogLine(id, 1, True, "two \x1b[31mred\n", NOW)


def console(mesh: FakeMesh, *addresses: str, settings: Settings = Settings()) -> Console:  # noqa: B008
    return Console(addresses or ("",), settings, mesh.open, lambda: mesh.now)


def text(app: Console) -> str:
    """The screen, a line a row."""
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
    return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips)


async def shows(app: Console, *wanted: str, pilot: Any) -> str:
    """The screen, as soon as it shows all that is wanted."""
    end = time.monotonic() + PATIENCE_S
    while True:
        app.flush()
        await pilot.pause()
        found = text(app)
        if all(part in found for part in wanted):
            return found
        missing = [part for part in wanted if part not in found]
        assert time.monotonic() < end, f"{missing} is not on the screen:\n{found}"
        await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def split_story(count: int = 8, done: int = 5) -> list[tuple[float, event.Fact]]:
    """A task of node 0 that split: its events, with their times."""
    tag = node_id(0)[:8]

    def ended(no: int, started_at: float, on: int, status: Status = Status.DONE) -> Outcome:
        return Outcome(f"{tag}-{no}", status, None, None, 1, node_id(on), started_at, 1)

    shards = [f"{tag}-{3 + i}" for i in range(count)]
    begin = NOW - 30
    story: list[tuple[float, event.Fact]] = [
        (begin, event.Accepted("r", f"{tag}-1", 1, ("text.words",))),
        (begin, event.Grown(f"{tag}-1", f"{tag}-2", 1, "split")),
        (begin, event.Assigned(node_id(1), (f"{tag}-2",))),
        (begin + 2, event.Grown(f"{tag}-1", shards[0], count, "run")),
        (begin + 2, event.Finished((ended(2, begin, 1),))),
    ]
    for i, id in enumerate(shards):
        story.append((begin + 2 + i, event.Assigned(node_id(i % 3), (id,))))
    for i in range(done):
        outcome = ended(3 + i, begin + 2 + i, i % 3)
        story.append((begin + 8 + i, event.Finished((outcome,))))
    return sorted(story, key=lambda part: part[0])
