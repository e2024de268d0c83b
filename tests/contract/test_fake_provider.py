"""The fake provider does what it is told, asked over a plain connection."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_provider import (
    Fail,
    FakeProvider,
    Half,
    Hang,
    Huge,
    Malformed,
    Redirect,
    Say,
    pieces,
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def connect(provider: FakeProvider, timeout_s: float = 10) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", provider.port, timeout=timeout_s)


def ask(
    provider: FakeProvider, stream: bool = False, path: str = "/v1/chat/completions", **body: Any
) -> tuple[int, dict[str, str], bytes]:
    connection = connect(provider)
    try:
        given: dict[str, Any] = {
            "model": "fake",
            "stream": stream,
            "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": True},
            **body,
        }
        connection.request("POST", path, json.dumps(given))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def events(data: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in data.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def test_says_in_pieces_with_usage_at_the_end(provider: FakeProvider) -> None:
    provider.script(Say("hello big world", (3, 4)))
    status, _, data = ask(provider, stream=True)
    found = events(data)
    texts = [e["choices"][0]["delta"].get("content", "") for e in found if e["choices"]]
    assert status == 200
    assert texts == ["", *pieces("hello big world"), ""]
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["total_tokens"] == 7


def test_says_at_once_and_calls_tools(provider: FakeProvider) -> None:
    provider.script(Say("whole"), Say(tools=(("look", {"at": 1}),)), Say(tools=(("look", {}),)))
    _, _, data = ask(provider)
    assert json.loads(data)["choices"][0]["message"]["content"] == "whole"
    _, _, data = ask(provider)
    call = json.loads(data)["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "look", "arguments": '{"at": 1}'}
    _, _, data = ask(provider, stream=True)
    assert events(data)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_fails_with_what_to_wait_for_and_redirects(provider: FakeProvider) -> None:
    provider.script(Fail(429, "slow down", retry_after_s=2), Redirect("http://127.0.0.1:9/"))
    status, headers, data = ask(provider)
    assert (status, headers["retry-after"]) == (429, "2")
    assert json.loads(data)["error"]["message"] == "slow down"
    status, headers, _ = ask(provider)
    assert (status, headers["location"]) == (307, "http://127.0.0.1:9/")


@pytest.mark.parametrize("step", [Half("a b"), Hang("a b")])
def test_breaks_off_or_hangs(provider: FakeProvider, step: Half | Hang) -> None:
    provider.script(step)
    connection = connect(provider, timeout_s=0.2)
    body = {"stream": True, "messages": [{"role": "user", "content": ""}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, TimeoutError)):
        response.read()
    response.close()
    connection.close()
    if isinstance(step, Hang):
        assert provider.asked[0].gone.wait(10), "the caller left, and it was not noticed"


def test_malformed_and_clean_halves(provider: FakeProvider) -> None:
    provider.script(Malformed("a"), Half("a b", clean=True))
    _, _, data = ask(provider, stream=True)
    with pytest.raises(ValueError, match=r"."):
        json.loads(data.split(b"\n\n")[-2].removeprefix(b"data: "))
    _, _, data = ask(provider, stream=True)
    assert b"[DONE]" not in data


@pytest.mark.parametrize("one_line", [False, True])
def test_huge(provider: FakeProvider, one_line: bool) -> None:
    provider.script(Huge(1 << 20, one_line))
    _, _, data = ask(provider, stream=True)
    assert len(data) >= 1 << 20
    assert (data.count(b"\n") == 0) is one_line


def test_embeds_and_lists_its_models() -> None:
    with FakeProvider(["one", "two"], owned_by="vllm", context=4096) as provider:
        _, _, data = ask(provider, path="/v1/embeddings", input=["a", "a", "zzz"])
        first, second, third = (row["embedding"] for row in json.loads(data)["data"])
        assert first == second != third
        connection = connect(provider)
        connection.request("GET", "/v1/models")
        rows = json.loads(connection.getresponse().read())["data"]
        connection.close()
    assert [(row["id"], row["owned_by"], row["max_model_len"]) for row in rows] == [
        ("one", "vllm", 4096),
        ("two", "vllm", 4096),
    ]


def test_keeps_every_byte_that_arrives(provider: FakeProvider) -> None:
    ask(provider, messages=[{"role": "user", "content": "canary-7"}])
    request = provider.asked[0]
    assert request.prompt == "canary-7"
    assert request.raw.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"canary-7" in provider.raw
    assert b"canary-8" not in provider.raw


def test_one_connection_many_questions_and_many_at_once(provider: FakeProvider) -> None:
    connection = connect(provider)
    body = json.dumps({"model": "fake", "messages": [{"role": "user", "content": "x"}]})
    for _ in range(50):
        connection.request("POST", "/v1/chat/completions", body)
        assert connection.getresponse().read()
    connection.close()
    gate = threading.Event()
    provider.otherwise = lambda request: Say("late", before=gate)
    threads = [threading.Thread(target=ask, args=(provider,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    provider.wait_for(54)
    gate.set()
    for thread in threads:
        thread.join()
    assert provider.busiest == 4
