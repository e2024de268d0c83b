"""The session's stream: what breaks is made up for, once and only once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from nova_client import Client, Overloaded, Refused, TaskFailed, Unreachable, backoff, session
from nova_proto.v1 import task_pb2
from support.fake_node import FakeNode

Check = Callable[[FakeNode, Client], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BASE_S", 0.001)
    monkeypatch.setattr(backoff, "CAP_S", 0.02)


def check(body: Check, give_up_s: float = 20.0) -> None:
    async def run() -> None:
        async with FakeNode() as node, Client(node.address, give_up_s=give_up_s) as client:
            await body(node, client)

    asyncio.run(run())


def test_one_task_and_its_result():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.echo", {"a": [1, "ü"]})
        assert await task.result(5) == {"a": [1, "ü"]}
        assert (task.id, task.no, task.done) == ("k7q2m9xd-1", 1, True)

    check(body)


def test_what_a_task_writes_is_heard_in_order_before_its_end_and_across_a_break():
    async def body(node: FakeNode, client: Client) -> None:
        heard: list[tuple[str, bool, str]] = []
        task = await client.submit(
            "core.hang", hear=lambda line: heard.append((line.id, line.stderr, line.text))
        )
        other = await client.submit("core.hang")
        node.say(task.no, "one ")
        node.say(other.no, "not this one")
        node.break_streams()
        node.say(task.no, "two", stderr=True)
        node.finish(task.no)
        assert await task.result(5) == "late"
        assert heard == [(task.id, False, "one "), (task.id, True, "two")]

    check(body)


def test_a_break_loses_no_result():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.hang")
        waiting = asyncio.create_task(task.result(5))
        await asyncio.sleep(0)
        node.break_streams()
        node.finish(task.no)
        assert await waiting == "late"
        (resume,) = node.resumes
        assert (list(resume.batches), resume.owner) == ([task.no], node.node)
        assert resume.from_seq == 2

    check(body)


def test_a_lost_answer_is_no_second_task():
    async def body(node: FakeNode, client: Client) -> None:
        node.breaks_before_answer = 1
        tasks = await client.submit_many([("core.echo", {"n": n}) for n in range(3)])
        assert [await task.result(5) for task in tasks] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert list(node.submits.values()) == [2]
        assert node.next_no == 4

    check(body)


def test_submits_wait_while_the_node_is_away():
    async def body(node: FakeNode, client: Client) -> None:
        held = await client.submit("core.hang")
        await node.stop()
        later = asyncio.create_task(client.submit("core.echo", {"n": 1}))
        await asyncio.sleep(0)
        await node.start()
        assert await (await later).result(5) == {"n": 1}
        node.finish(held.no)
        assert await held.result(5) == "late"

    check(body)


def test_a_full_node_is_asked_again():
    async def body(node: FakeNode, client: Client) -> None:
        node.overloads = 3
        task = await client.submit("core.echo", {"n": 1})
        assert await task.result(5) == {"n": 1}
        assert list(node.submits.values()) == [4]

    check(body)


def test_a_node_that_stays_full_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "STALLED_S", 0.05)

    async def body(node: FakeNode, client: Client) -> None:
        node.overloads = 1_000_000
        with pytest.raises(Overloaded):
            await client.submit("core.noop")

    check(body)


def test_a_refusal_is_typed_and_tells_what_was_accepted():
    async def body(node: FakeNode, client: Client) -> None:
        node.refusal = task_pb2.Error(code="draining", message="it drains", fix="ask another")
        with pytest.raises(Refused, match="it drains") as caught:
            await client.submit("core.noop")
        assert (caught.value.code, caught.value.fix) == ("draining", "ask another")

    check(body)


def test_what_was_compacted_is_asked_for():
    async def body(node: FakeNode, client: Client) -> None:
        kept, gone = await client.submit_many([("core.hang", None)] * 2)
        node.oldest_seq = 1_000
        node.break_streams()
        node.finish(kept.no)
        del node.calls[gone.no]
        assert await kept.result(5) == "late"
        with pytest.raises(TaskFailed) as caught:
            await gone.result(5)
        assert caught.value.code == "not_found"

    check(body)


def test_another_node_at_the_address_is_noticed():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.hang")
        node.node = "zzzzzzzzother"
        node.break_streams()
        with pytest.raises(TaskFailed) as caught:
            await task.result(5)
        assert caught.value.code == "not_found"
        assert (await client.submit("core.noop")).id.startswith("zzzzzzzz-")
        assert node.resumes == []

    check(body)


def test_a_node_that_stays_away_is_given_up_and_can_come_back():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.hang")
        await node.stop()
        with pytest.raises(Unreachable, match=node.address):
            await task.result()
        await node.start()
        node.finish(task.no)
        while not task.done:
            with contextlib.suppress(Unreachable):
                await task.result(20)
        assert await task.result() == "late"

    check(body, give_up_s=0.05)


def test_closing_tells_who_waits():
    async def run() -> None:
        async with FakeNode() as node:
            async with Client(node.address) as client:
                task = await client.submit("core.hang")
                waiting = asyncio.create_task(task.result())
                await asyncio.sleep(0)
            with pytest.raises(Unreachable, match="closed"):
                await waiting
            with pytest.raises(Unreachable, match="not open"):
                await task.result()

    asyncio.run(run())


def test_closing_tells_whose_submit_waits_too():
    async def run() -> None:
        async with FakeNode() as node:
            async with Client(node.address) as client:
                await (await client.submit("core.echo", {"a": 1})).result(5)
                await node.stop()
                waiting = [asyncio.create_task(client.submit("core.hang")) for _ in range(5)]
                for _ in range(10):
                    await asyncio.sleep(0)
            for submit in waiting:
                with pytest.raises(Unreachable, match="closed"):
                    await asyncio.wait_for(submit, 5)

    asyncio.run(run())


def test_a_submit_cancelled_while_it_is_written_breaks_nothing_else():
    async def body(node: FakeNode, client: Client) -> None:
        held = await client.submit("core.hang")
        waiting = asyncio.create_task(held.result(5))
        for turns in range(6):
            late = asyncio.create_task(client.submit("core.echo", {"n": turns}))
            for _ in range(turns):
                await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait([late])
        node.finish(held.no)
        assert await waiting == "late"
        assert await (await client.submit("core.echo", {"n": 9})).result(5) == {"n": 9}

    check(body)


def test_children_count_as_progress_not_as_results():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.shards", {"count": 5})
        assert await task.result(5) == 5
        assert (task.progress.done, task.progress.total) == (5, 5)

    check(body)
