"""What comes back: values, blobs, failures, and the questions about a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nova_client import (
    Client,
    Invalid,
    NotFound,
    NovaError,
    Status,
    TaskCancelled,
    TaskFailed,
    Timeout,
    Unreachable,
)
from nova_client.errors import from_code
from nova_client.event import Accepted, Finished
from nova_proto.v1 import task_pb2
from support.fake_node import FakeNode, digests


def check(body: Callable[[FakeNode, Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with FakeNode() as node, Client(node.address) as client:
            await body(node, client)

    asyncio.run(run())


def test_a_blob_result_is_fetched_and_decoded():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.blob", {"size_bytes": 200_000})
        assert await task.result(5) == "x" * 200_000

    check(body)


def test_a_blob_that_does_not_match_is_refused():
    async def body(node: FakeNode, client: Client) -> None:
        ref = await client.put_blob(b"x" * 100_000)
        assert await client.get_blob(ref) == b"x" * 100_000
        node.blobs[ref.id] = b"y" * 100_000
        with pytest.raises(NovaError) as caught:
            await client.get_blob(ref)
        assert caught.value.code == "corrupt"
        node.lies = digests(b"x" * 100_000)
        with pytest.raises(NovaError) as caught:
            await client.get_blob(ref)
        assert caught.value.code == "corrupt"

    check(body)


def test_an_empty_blob_and_a_missing_one():
    async def body(node: FakeNode, client: Client) -> None:
        ref = await client.put_blob(b"")
        assert await client.get_blob(ref) == b""
        node.blobs.clear()
        with pytest.raises(NotFound):
            await client.get_blob(ref)

    check(body)


def test_the_first_outcome_of_our_own_tasks_counts():
    async def body(node: FakeNode, client: Client) -> None:
        first, second = await client.submit_many([("core.hang", None)] * 2)
        for no, value in ((0, b"0"), (3, b"3"), (2, b"2"), (2, b"22")):
            value = task_pb2.Value(json=value)
            node.tell(1, task_pb2.Outcome(no=no, status=task_pb2.DONE, value=value))
        assert await second.result(5) == 2
        node.finish(first.no, b"1")
        assert await first.result(5) == 1
        assert second.value() == 2

    check(body)


def test_a_failure_is_raised_with_all_that_is_known():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.fail", {"message": "no luck"})
        with pytest.raises(TaskFailed, match="no luck") as caught:
            await task.result(5)
        assert (caught.value.code, caught.value.traceback) == ("raised", "Traceback")
        assert task.id in caught.value.fix
        outcome = task.outcome
        assert outcome is not None
        assert outcome.status is Status.FAILED

    check(body)


def test_a_timeout_leaves_the_task_open():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.hang")
        with pytest.raises(Timeout) as caught:
            await task.result(0.01)
        assert isinstance(caught.value, TimeoutError)
        assert task.id in caught.value.fix
        assert not task.done
        assert task.outcome is None

    check(body)


def test_cancel_ends_every_waiter():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.hang")
        waiting = [asyncio.create_task(task.result(5)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await task.cancel() is Status.CANCELLED
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError, TaskCancelled, TaskCancelled]

    check(body)


def test_questions_about_a_task():
    async def body(node: FakeNode, client: Client) -> None:
        task = await client.submit("core.echo", {"n": 1}, priority=3)
        await task.result(5)
        view = await task.show()
        assert (view.id, view.capability, view.args) == (task.id, "core.echo", {"n": 1})
        assert (view.status, view.options.priority, view.value) == (Status.DONE, 3, {"n": 1})
        assert (await task.explain()).waits_for == "a free slot"
        assert [line.text async for line in task.logs()] == ["one", "two \x1b[31mred"]
        listed = await client.list_tasks(statuses=[Status.DONE], capability="core.echo")
        assert (listed.total, [item.id for item in listed.tasks]) == (1, [task.id])
        with pytest.raises(NotFound) as caught:
            await client.get("nobody-1")
        assert caught.value.fix == "look again"

    check(body)


def test_questions_about_nodes():
    async def body(node: FakeNode, client: Client) -> None:
        (view,) = (await client.nodes()).nodes
        assert (view.node, view.state, view.self) == (node.node, "alive", True)
        offered = {item.name: item for item in await client.capabilities()}
        assert offered["core.fail"].params[0].name == "message"
        assert (await client.status()).pid == 1
        assert await client.drain(stay=True, timeout_s=1) == 3

    check(body)


def test_watch_goes_on_where_a_stream_ended():
    async def body(node: FakeNode, client: Client) -> None:
        await (await client.submit("core.noop")).result(5)
        events = client.watch(1)
        first = [await anext(events), await anext(events)]
        await (await client.submit("core.noop")).result(5)
        second = [await anext(events), await anext(events)]
        await events.aclose()
        assert [event.seq for event in first + second] == [1, 2, 3, 4]
        assert [type(event.fact) for event in first] == [Accepted, Finished]
        node.oldest_seq = 9
        with pytest.raises(Invalid) as caught:
            await anext(client.watch(1))
        assert caught.value.code == "out_of_range"

    check(body)


def test_nobody_there_names_address_and_fix():
    async def run() -> None:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9") as caught:
            await Client("127.0.0.1:9").connect()
        assert "nova-node start" in caught.value.fix

    asyncio.run(run())


def test_unknown_codes_stay_visible():
    error = from_code("brand_new", "message", "fix")
    assert (type(error), error.code) == (NovaError, "brand_new")
