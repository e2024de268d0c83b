"""The endpoint over HTTP, before a mesh that does as it is told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from nova_client import NovaError, Overloaded, Refused, TaskFailed, Unreachable
from nova_console.openai.app import Endpoint
from nova_console.openai.guard import check_listen
from support.fake_mesh import ANSWER, FakeMesh, FakeTask, model, node

ASKS: dict[str, Any] = {
    "model": "fake/small",
    "messages": [{"role": "user", "content": "hello"}],
}
Scene = Callable[[FakeMesh, TestClient[Any, Any]], Awaitable[None]]


def play(scene: Scene, mesh_of: Callable[[], FakeMesh] = FakeMesh, **told: Any) -> None:
    async def run() -> None:
        mesh = mesh_of()
        server = TestServer(Endpoint(mesh, **told).app())
        async with asyncio.timeout(20), TestClient(server) as client:
            await scene(mesh, client)

    asyncio.run(run())


def answers(task: FakeTask) -> None:
    task.end(ANSWER)


def streams(task: FakeTask) -> None:
    for word in ("Hello", " ", "you"):
        task.say(word)
    task.end(ANSWER)


async def events(response: ClientResponse) -> list[Any]:
    text = (await response.read()).decode()
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [each if each == "[DONE]" else json.loads(each) for each in found]


def content(event: Any) -> str:
    return event["choices"][0]["delta"].get("content", "")


def test_an_answer_at_once() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        response = await client.post("/v1/chat/completions", json=ASKS)
        body = await response.json()
        assert (response.status, body["object"]) == (200, "chat.completion")
        assert body["choices"][0] == {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello you"},
            "finish_reason": "stop",
        }
        assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        assert body["nova"] == {"cost_usd": 0.5, "cache": ""}
        (task,) = mesh.tasks
        assert task.capability == "llm.chat"
        assert task.args["models"] == ("fake/small",)
        assert task.options.get("durability") == "volatile"
        assert task.options.get("prefers") == (("model.fake-small", "yes"),)
        assert not task.cancelled.is_set()

    play(scene, lambda: FakeMesh(script=answers))


def test_a_stream_with_its_usage() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        asks = ASKS | {"stream": True, "stream_options": {"include_usage": True}}
        response = await client.post("/v1/chat/completions", json=asks)
        assert response.headers["Content-Type"] == "text/event-stream"
        *pieces, last, used, done = await events(response)
        assert "".join(map(content, pieces)) == "Hello you"
        assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
        assert last["choices"][0]["finish_reason"] == "stop"
        assert (used["choices"], used["usage"]["total_tokens"]) == ([], 10)
        assert done == "[DONE]"

    play(scene, lambda: FakeMesh(script=streams))


def test_the_first_word_is_sent_while_the_rest_is_not_there() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        asking = asyncio.ensure_future(
            client.post("/v1/chat/completions", json=ASKS | {"stream": True})
        )
        await mesh.begun.wait()
        mesh.tasks[0].say("Hello")
        response = await asking
        first = await response.content.readuntil(b"\n\n")
        assert content(json.loads(first.removeprefix(b"data: "))) == "Hello"
        mesh.tasks[0].end(ANSWER)
        rest = await events(response)
        assert content(rest[0]) == " you"

    play(scene)


def test_tool_calls_in_both_forms() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    result = ANSWER | {"text": "", "tool_calls": [call], "finish": "tool_calls"}

    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        whole = await (await client.post("/v1/chat/completions", json=ASKS)).json()
        message = whole["choices"][0]["message"]
        assert (message["content"], message["tool_calls"]) == (None, [call])
        response = await client.post("/v1/chat/completions", json=ASKS | {"stream": True})
        last, _ = await events(response)
        assert last["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]
        assert last["choices"][0]["finish_reason"] == "tool_calls"

    play(scene, lambda: FakeMesh(script=lambda task: task.end(result)))


def test_models_and_names_that_mean_a_choice() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        body = await (await client.get("/v1/models")).json()
        assert [each["id"] for each in body["data"]] == ["cheapest", "fastest", "a", "b"]
        await client.post("/v1/chat/completions", json=ASKS | {"model": "fastest"})
        assert mesh.tasks[0].args["models"] == ("b", "a")
        assert mesh.asked == 1

    slow, fast = model("a", tokens_per_s=1.0), model("b", tokens_per_s=90.0)
    play(scene, lambda: FakeMesh(node("desk", slow, fast), script=answers))


def test_a_model_that_has_just_come_is_found() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        await client.get("/v1/models")
        mesh.members = (node("attic", model("fake/new")),)
        response = await client.post("/v1/chat/completions", json=ASKS | {"model": "fake/new"})
        assert response.status == 200

    play(scene, lambda: FakeMesh(script=answers))


def test_local_only_is_asked_of_the_mesh_and_of_the_model() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        assert (await client.post("/v1/chat/completions", json=ASKS)).status == 200
        assert mesh.tasks[0].options.get("labels") == {"models.local": "yes"}
        assert mesh.tasks[0].args["local_only"] is True
        response = await client.post("/v1/chat/completions", json=ASKS | {"model": "far"})
        assert response.status == 404

    members = node("desk", model("fake/small"), model("far", local=False))
    play(scene, lambda: FakeMesh(members, script=answers), local_only=True)


def test_embeddings() -> None:
    result = {"model": "e", "vectors": [[1.0, 0.5]], "usage": {"input_tokens": 2}}

    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        asks = {"model": "e", "input": "a"}
        body = await (await client.post("/v1/embeddings", json=asks)).json()
        assert body["data"] == [{"object": "embedding", "index": 0, "embedding": [1.0, 0.5]}]
        packed = await (
            await client.post("/v1/embeddings", json=asks | {"encoding_format": "base64"})
        ).json()
        assert packed["data"][0]["embedding"] == "AACAPwAAAD8="

    members = node("desk", model("e", kind="embed"))
    play(scene, lambda: FakeMesh(members, script=lambda task: task.end(result)))


@pytest.mark.parametrize(
    ("error", "status", "code", "waits"),
    [
        (TaskFailed("slow down", "wait", "model_rate_limited"), 429, "model_rate_limited", "3"),
        (TaskFailed("too slow", "", "model_timeout"), 504, "model_timeout", None),
        (TaskFailed("no money left", "", "budget_exhausted"), 402, "budget_exhausted", None),
        (TaskFailed("bad", "", "model_bad_request"), 400, "model_bad_request", None),
        (TaskFailed("who knows", "", "capability_failed"), 500, "capability_failed", None),
    ],
)
def test_failures_have_the_status_that_clients_know(
    error: NovaError, status: int, code: str, waits: str | None
) -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        for stream in (False, True):
            response = await client.post("/v1/chat/completions", json=ASKS | {"stream": stream})
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (status, code)
            assert error.message in body["error"]["message"]
            assert response.headers.get("Retry-After") == waits

    seconds = 2.5 if waits else 0.0
    play(scene, lambda: FakeMesh(script=lambda task: task.fail(error, seconds)))


@pytest.mark.parametrize(
    ("refusal", "status"), [(Overloaded("full", ""), 429), (Unreachable("gone", ""), 503)]
)
def test_a_node_that_takes_nothing(refusal: NovaError, status: int) -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        mesh.refusal = refusal
        assert (await client.post("/v1/chat/completions", json=ASKS)).status == status

    play(scene)


def test_a_failure_after_the_first_word_ends_the_stream_with_an_error() -> None:
    def breaks(task: FakeTask) -> None:
        task.say("Hel")
        asyncio.get_running_loop().call_later(
            0, task.fail, TaskFailed("lost", "", "model_unavailable")
        )

    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        response = await client.post("/v1/chat/completions", json=ASKS | {"stream": True})
        first, broken = await events(response)
        assert (response.status, content(first)) == (200, "Hel")
        assert broken["error"]["code"] == "model_unavailable"

    play(scene, lambda: FakeMesh(script=breaks))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_task(stream: bool) -> None:
    async def scene() -> None:
        from aiohttp import web

        mesh = FakeMesh()
        runner = web.AppRunner(Endpoint(mesh).app(), handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        body = json.dumps(ASKS | {"stream": stream}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(20):
                _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
                writer.write(head.encode() + body)
                await mesh.begun.wait()
                writer.close()
                await mesh.tasks[0].cancelled.wait()
        finally:
            await runner.cleanup()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 400),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "[::1]:7640"}, 200),
    ],
)
def test_pages_of_the_web_do_not_reach_it(headers: dict[str, str], status: int) -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        given = {"Content-Type": "application/json"} | headers
        response = await client.post(
            "/v1/chat/completions", data=json.dumps(ASKS).encode(), headers=given
        )
        assert response.status == status
        assert len(mesh.tasks) == (status == 200)

    play(scene, lambda: FakeMesh(script=answers))


def test_with_a_key_nothing_is_told_without_it() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        for shown, status in (("", 401), ("Bearer wrong", 401), ("Bearer rosebud", 200)):
            response = await client.get("/v1/models", headers={"Authorization": shown})
            assert response.status == status

    play(scene, key="rosebud")


@pytest.mark.parametrize(
    ("host", "has_key", "has_tls", "taken"),
    [
        ("127.0.0.1", False, False, True),
        ("::1", False, False, True),
        ("localhost", False, False, True),
        ("0.0.0.0", False, False, False),
        ("0.0.0.0", True, False, False),
        ("192.0.2.7", False, True, False),
        ("192.0.2.7", True, True, True),
        ("localhost.example", False, False, False),
    ],
)
def test_beyond_this_machine_it_needs_tls_and_a_key(
    host: str, has_key: bool, has_tls: bool, taken: bool
) -> None:
    if taken:
        check_listen(host, has_key, has_tls)
        return
    with pytest.raises(Refused, match="without TLS and a key"):
        check_listen(host, has_key, has_tls)


def test_other_paths_and_large_bodies_are_refused_in_the_same_form() -> None:
    async def scene(mesh: FakeMesh, client: TestClient[Any, Any]) -> None:
        response = await client.get("/v1/files")
        assert (response.status, list(await response.json())) == (404, ["error"])
        large = io.BytesIO(b"[" + b" " * (15 << 20))
        response = await client.post(
            "/v1/chat/completions", data=large, headers={"Content-Type": "application/json"}
        )
        assert (response.status, list(await response.json())) == (413, ["error"])

    play(scene)
