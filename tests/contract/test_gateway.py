"""The gateway with litellm itself in the path, over real connections to a provider that fails as told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
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
    Step,
)

from nova_node.models.failing import ModelFailed
from nova_node.models.gateway import Gateway, Question, Reply
from nova_node.models.spec import Spec, parse_spec

# litellm's own use of pydantic
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the:DeprecationWarning")

KEY = "sk-a-secret-of-this-node"
HELLO = Question([{"role": "user", "content": "hello"}], 50)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def spec_of(provider: FakeProvider) -> Spec:
    return parse_spec(f"fake,url={provider.url}")


def within(work: Callable[[Gateway], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        gateway = Gateway()
        try:
            return await work(gateway)
        finally:
            await gateway.close()

    return asyncio.run(main())


def ask(
    provider: FakeProvider,
    step: Step,
    question: Question = HELLO,
    timeout_s: float = 10.0,
    spec: Spec | None = None,
) -> tuple[Reply | ModelFailed, list[str]]:
    """What came of it, and what was told meanwhile."""
    provider.script(step)
    said: list[str] = []

    async def work(gateway: Gateway) -> Reply | ModelFailed:
        try:
            return await gateway.chat(
                spec or spec_of(provider), KEY, question, timeout_s, said.append
            )
        except ModelFailed as failure:
            return failure

    return within(work), said


def failure_of(provider: FakeProvider, step: Step, timeout_s: float = 10.0) -> ModelFailed:
    failed, _ = ask(provider, step, timeout_s=timeout_s)
    assert isinstance(failed, ModelFailed)
    return failed


def test_streams_a_text_and_says_what_it_took(provider: FakeProvider) -> None:
    reply, said = ask(provider, Say("hello big world", (7, 3), cached_tokens=2))
    assert isinstance(reply, Reply)
    assert said == ["hello", " big", " world"]
    assert (reply.text, reply.finish) == ("hello big world", "stop")
    assert (reply.input_tokens, reply.output_tokens, reply.cached_tokens) == (7, 3, 2)
    assert 0 < reply.ttft_s <= reply.elapsed_s


def test_tokens_are_counted_where_the_provider_tells_none(provider: FakeProvider) -> None:
    reply, _ = ask(provider, Say("hello big world", usage=None))
    assert isinstance(reply, Reply)
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0


def test_sends_what_was_wished_and_nothing_else(provider: FakeProvider) -> None:
    schema = {"type": "object"}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    question = Question(HELLO.messages, 9, 0.5, 0.9, 7, ["END"], schema, [tool], "auto")
    ask(provider, Say("{}"), question)
    ask(provider, Say("plain"))
    full, plain = (dict(request.body) for request in provider.asked)
    assert full.pop("response_format")["json_schema"]["schema"] == schema
    assert full == {
        **plain,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "tools": [tool],
        "tool_choice": "auto",
    }
    assert sorted(plain) == ["max_tokens", "messages", "model", "stream", "stream_options"]


def test_joins_the_pieces_of_calls_of_tools(provider: FakeProvider) -> None:
    reply, said = ask(provider, Say(tools=(("look", {"at": [1, 2]}), ("stop", {}))))
    assert isinstance(reply, Reply)
    assert [call["function"] for call in reply.tool_calls] == [
        {"name": "look", "arguments": '{"at": [1, 2]}'},
        {"name": "stop", "arguments": "{}"},
    ]
    assert (reply.finish, said) == ("tool_calls", [])


@pytest.mark.parametrize(
    ("step", "code", "retryable"),
    [
        (Fail(429), "model_rate_limited", True),
        (Fail(408), "model_timeout", True),
        (Fail(500), "model_unavailable", True),
        (Fail(503), "model_overloaded", True),
        (Fail(529), "model_overloaded", True),
        (Fail(401), "model_auth", True),
        (Fail(403), "model_auth", True),
        (Fail(404), "model_unavailable", True),
        (Fail(400), "model_bad_request", False),
        (Half("a b", clean=True), "model_unavailable", True),
        (Half("a b"), "model_unavailable", True),
        (Half(""), "model_unavailable", True),
        (Malformed("a b"), "model_unavailable", True),
        (Huge(), "model_bad_output", True),
        (Huge(one_line=True), "model_bad_output", True),
    ],
)
def test_failures_have_codes_and_fixes(
    provider: FakeProvider, step: Step, code: str, retryable: bool
) -> None:
    failed = failure_of(provider, step)
    assert (failed.code, failed.retryable) == (code, retryable)
    assert failed.fix
    assert "litellm" not in str(failed)
    assert "OpenAI" not in str(failed)


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_provider_asks_to_wait_is_told(provider: FakeProvider, status: int) -> None:
    assert failure_of(provider, Fail(status, retry_after_s=7)).retry_after_s == 7
    assert failure_of(provider, Fail(status)).retry_after_s == 0


@pytest.mark.parametrize("step", [Hang(), Hang("a b")])
def test_a_model_that_says_nothing_is_given_up(provider: FakeProvider, step: Hang) -> None:
    failed = failure_of(provider, step, timeout_s=0.3)
    assert failed.code == "model_timeout"
    assert failed.maybe_billed
    assert provider.asked[0].gone.wait(10)


def test_a_model_that_goes_on_may_take_longer_than_the_timeout(provider: FakeProvider) -> None:
    reply, _ = ask(provider, Say("one two three four five six", delay_s=0.1), timeout_s=0.4)
    assert isinstance(reply, Reply)
    assert reply.elapsed_s > 0.5


def test_nobody_there(provider: FakeProvider) -> None:
    failed, _ = ask(provider, Say(), spec=parse_spec("fake,url=http://127.0.0.1:9/v1"))
    assert isinstance(failed, ModelFailed)
    assert (failed.code, failed.maybe_billed) == ("model_unavailable", False)


def test_what_may_have_cost_money_is_told_apart(provider: FakeProvider) -> None:
    assert failure_of(provider, Half("a b")).maybe_billed
    assert not failure_of(provider, Fail(429)).maybe_billed
    assert not failure_of(provider, Fail(500)).maybe_billed


def test_a_redirect_takes_the_prompt_nowhere(provider: FakeProvider) -> None:
    with FakeProvider() as other:
        failed = failure_of(provider, Redirect(f"{other.url}/chat/completions"))
        assert failed.code == "model_unavailable"
        assert "redirect" in str(failed)
        assert other.raw == b""


def test_a_proxy_of_the_environment_sees_no_local_prompt(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProvider() as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        reply, _ = ask(provider, Say("hello"))
        assert isinstance(reply, Reply)
        assert proxy.raw == b""
        assert len(provider.asked) == 1


def test_a_key_stands_in_no_failure(provider: FakeProvider) -> None:
    other = "sk-proj-abcdefghijklmnop123456"
    failed = failure_of(provider, Fail(401, f"key {KEY} or {other} is wrong, says api_key={KEY}"))
    assert KEY not in repr(failed)
    assert other not in repr(failed)
    assert failed.__cause__ is None
    assert failed.__suppress_context__
    assert provider.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_key_of_the_environment_goes_to_a_server_of_ones_own(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else-1234")
    provider.script(Say("x"))
    within(lambda gateway: gateway.chat(spec_of(provider), "", HELLO, 10, print))
    assert b"sk-of-somebody-else" not in provider.raw


def test_nothing_is_logged(provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask(provider, Fail(500, f"secret {KEY}"))
    ask(provider, Say("canary"), Question([{"role": "user", "content": "canary"}], 50))
    assert KEY not in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("step", [Hang(), Hang("a b")])
def test_a_cancel_reaches_the_provider(provider: FakeProvider, step: Hang) -> None:
    provider.script(step)
    heard = threading.Event()

    async def work(gateway: Gateway) -> None:
        asking = asyncio.create_task(
            gateway.chat(spec_of(provider), KEY, HELLO, 60, lambda text: heard.set())
        )
        await asyncio.to_thread(provider.wait_for, 1)
        if step.text:
            await asyncio.to_thread(heard.wait, 10)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        assert asking.cancelled()
        assert await asyncio.to_thread(provider.asked[0].gone.wait, 10)

    within(work)


def test_many_at_once_on_one_gateway(provider: FakeProvider) -> None:
    gate = threading.Event()
    provider.otherwise = lambda request: Say(f"to {request.prompt}", before=gate)

    async def work(gateway: Gateway) -> list[Reply]:
        spec = spec_of(provider)
        asking = [
            asyncio.create_task(
                gateway.chat(
                    spec,
                    KEY,
                    Question([{"role": "user", "content": str(i)}], 9),
                    60,
                    lambda t: None,
                )
            )
            for i in range(16)
        ]
        await asyncio.to_thread(provider.wait_for, 16)
        gate.set()
        return await asyncio.gather(*asking)

    replies = within(work)
    assert [reply.text for reply in replies] == [f"to {i}" for i in range(16)]
    assert provider.busiest == 16


def test_what_fails_is_asked_once(provider: FakeProvider) -> None:
    """An embedding first: litellm counts retries on the client that both share."""
    provider.script(*[Fail(500)] * 6)

    async def work(gateway: Gateway) -> None:
        spec, question = spec_of(provider), Question([{"role": "user", "content": "hi"}], 9)
        with pytest.raises(ModelFailed):
            await gateway.embed(spec, KEY, ["a"], 10)
        with pytest.raises(ModelFailed):
            await gateway.chat(spec, KEY, question, 10, lambda text: None)

    within(work)
    assert len(provider.requests) == 2


def test_embeds(provider: FakeProvider) -> None:
    found = within(lambda g: g.embed(spec_of(provider), KEY, ["a", "bb"], 10))
    assert [len(vector) for vector in found.vectors] == [8, 8]
    assert found.input_tokens == 2


def test_counts_without_the_network() -> None:
    far = parse_spec("anthropic/claude-none")
    assert within(lambda g: g.count(far, HELLO)) > 0


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_other_protocols_by_litellms_own_mock(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What litellm makes of their streams has the same form."""
    import litellm

    real: Any = litellm.acompletion

    async def mocked(**given: Any) -> Any:
        return await real(mock_response="Paris is the capital.", **given)

    monkeypatch.setattr(litellm, "acompletion", mocked)
    said: list[str] = []
    reply = within(lambda g: g.chat(parse_spec(model), KEY, HELLO, 10, said.append))
    assert "".join(said) == reply.text == "Paris is the capital."
    assert reply.output_tokens > 0


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("anthropic/claude-sonnet-4-5", "RateLimitError", "model_rate_limited"),
        ("gemini/gemini-2.5-flash", "ContextWindowExceededError", "model_bad_request"),
        ("anthropic/claude-sonnet-4-5", "InternalServerError", "model_unavailable"),
    ],
)
def test_failures_of_other_protocols(
    model: str, error: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm

    async def fails(**given: Any) -> Any:
        raise getattr(litellm, error)("no", model=model, llm_provider=model.partition("/")[0])

    monkeypatch.setattr(litellm, "acompletion", fails)

    async def work(gateway: Gateway) -> None:
        with pytest.raises(ModelFailed) as caught:
            await gateway.chat(parse_spec(model), KEY, HELLO, 10, lambda text: None)
        assert caught.value.code == code

    within(work)
