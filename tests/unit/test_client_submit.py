"""What a submit sends: groups, bounded requests, inputs; and what is refused before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nova_client import Call, Client, Invalid, Limits, Options
from nova_client.encode import CALLS_MAX, REQUEST_BYTES_MAX, Spec, requests
from support.fake_node import FakeNode


def check(body: Callable[[FakeNode, Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with FakeNode() as node, Client(node.address) as client:
            await body(node, client)

    asyncio.run(run())


def test_consecutive_equal_demands_share_a_group():
    other = Options(priority=9)
    specs: list[Spec] = [
        ("a.b", {"n": 1}),
        ("a.b", None),
        Call("a.b", {"n": 3}, options=other),
        Call("a.b", {"n": 4}, options=Options(priority=9)),
        ("c.d", {}),
    ]
    (request,) = requests(specs, Options(), {}, None)
    groups = request.message.submit.groups
    assert [(g.demand.capability, len(g.calls)) for g in groups] == [
        ("a.b", 2),
        ("a.b", 2),
        ("c.d", 1),
    ]
    assert [call.args for call in groups[0].calls] == [b'{"n":1}', b""]
    assert not groups[0].demand.HasField("priority")
    assert groups[1].demand.priority == 9


def test_the_demand_carries_every_option():
    options = Options(
        durability="volatile",
        priority=0,
        labels={"gpu": "yes"},
        limits=Limits(wall_s=1.5, cpu_s=2.5, memory_bytes=3, output_bytes=4),
        deadline_s=5.5,
        max_attempts=6,
        version="7",
        shards=8,
    )
    (request,) = requests([("a.b", None)], options, {}, None)
    demand = request.message.submit.groups[0].demand
    assert (demand.durability, demand.priority, dict(demand.labels)) == (1, 0, {"gpu": "yes"})
    limits = demand.limits
    assert (limits.wall_s, limits.cpu_s, limits.memory_bytes, limits.output_bytes) == (
        1.5,
        2.5,
        3,
        4,
    )
    assert (demand.deadline_s, demand.max_attempts, demand.version, demand.shards) == (
        5.5,
        6,
        "7",
        8,
    )


def test_a_large_submit_is_cut_and_keeps_its_order():
    async def body(node: FakeNode, client: Client) -> None:
        count = 2 * CALLS_MAX + 5
        tasks = await client.submit_many(("core.echo", {"n": n}) for n in range(count))
        assert [(await task.result(10))["n"] for task in tasks] == list(range(count))
        assert sorted(calls for calls, _ in node.sizes) == [5, CALLS_MAX, CALLS_MAX]

    check(body)


def test_requests_are_bounded_in_bytes():
    made = list(requests([("a.b", {"x": "y" * 300_000})] * 20, Options(), {}, None))
    assert sum(request.calls for request in made) == 20
    assert max(request.message.ByteSize() for request in made) <= REQUEST_BYTES_MAX + 4096


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([("a.b", {"x": b"raw"})], "not JSON"),
        ([("a.b", {"x": float("nan")})], "not JSON"),
        ([("a.b", {"x": "y" * (16 << 20)})], "is the most"),
        (["a.b"], "not a call"),
        ([Call("a.b", options=Options(priority=-1))], "options of a.b"),
        ([Call("a.b", options=Options(durability="forever"))], "forever"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_fix(specs: list[Call], message: str):
    with pytest.raises(Invalid, match=message) as caught:
        list(requests(specs, Options(), {}, None))
    assert caught.value.fix


def test_an_unknown_option_is_refused():
    async def body(node: FakeNode, client: Client) -> None:
        with pytest.raises(Invalid, match="prio"):
            await client.submit("core.noop", prio=1)  # pyright: ignore[reportCallIssue]

    check(body)


def test_bytes_and_folders_go_in_as_inputs(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.txt", "a.txt"):
        (folder / name).write_text(name)

    async def body(node: FakeNode, client: Client) -> None:
        raw = await client.submit("core.upper", inputs={"data": b"abc"})
        assert await raw.result(5) == b"ABC"
        files = await client.put_files([folder])
        calls = [("text.words", {"deep": True})] * 3
        tasks = await client.submit_many(calls, inputs={"files": files})
        expected = {"names": ["in/a.txt", "in/b.txt"], "deep": True}
        assert [await task.result(5) for task in tasks] == [expected] * 3
        assert node.puts == 1
        (group,) = [g for g, _ in node.calls.values() if g.capability == "text.words"][:1]
        assert group.capability == "text.words"
        one = await client.submit_many([Call("text.words", inputs={"files": folder / "a.txt"})])
        assert await one[0].result(5) == {"names": ["a.txt"]}

    check(body)
