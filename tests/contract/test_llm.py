"""llm.chat, llm.embed and llm.estimate as functions, over litellm and a provider that is told what to say."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import Fail, FakeProvider, Half, Hang, Say
from support.models import FakeAttempt, attempting, call

from nova_node.capabilities.llm import chat, embed, estimate
from nova_node.capability import BadArgument, Files, Usage
from nova_node.given import give_node_secrets
from nova_node.models.failing import ModelFailed

# litellm's own use of pydantic
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the:DeprecationWarning")

PRICED = ",price_in=1,price_out=2"
"""A dollar for a million tokens of input, two of output: one and two uusd a token."""

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def other() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def use(provider: FakeProvider, name: str = "fake", more: str = "") -> str:
    return f"{name},url={provider.url}{more}"


def run(
    uses: list[str], *asks: dict[str, Any], allowance_uusd: int = 0, timeout_s: float = 10.0
) -> tuple[Any, FakeAttempt]:
    """What the last of the calls of llm.chat came to, all in one process."""
    with attempting(uses, allowance_uusd, timeout_s) as attempt:

        async def main() -> Any:
            result: Any = None
            for ask in asks:
                try:
                    result = await chat(**ask)
                except ModelFailed as failure:
                    result = failure
            return result

        return call(main()), attempt


def failed(*given: Any, **more: Any) -> ModelFailed:
    failure, _ = run(*given, **more)
    assert isinstance(failure, ModelFailed), failure
    return failure


def test_answers_and_tells_all_of_it(provider: FakeProvider) -> None:
    provider.script(Say("hello there", (7, 3)))
    result, attempt = run([use(provider, more=PRICED)], {"prompt": "hi", "system": "be kind"})
    assert result.pop("ttft_ms") > 0
    assert result == {
        "text": "hello there",
        "tool_calls": [],
        "parsed": None,
        "cache": "",
        "model": "fake",
        "finish": "stop",
        "usage": {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 0},
        "cost_usd": 13e-6,
    }
    assert attempt.said == ["hello", " there"]
    assert attempt.used == Usage("fake", 7, 3, 13)
    assert provider.asked[0].body["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
    ]
    json.dumps(result)


def test_a_model_of_this_machine_costs_nothing_and_another_what_nobody_said(
    provider: FakeProvider,
) -> None:
    result, _ = run([use(provider)], {"prompt": "hi"})
    assert result["cost_usd"] == 0
    result, attempt = run([use(provider, more=",local=no")], {"prompt": "hi"})
    assert result["cost_usd"] is None
    assert attempt.used.spent_uusd is None


def test_messages_and_pictures_travel_with_the_prompt(
    provider: FakeProvider, tmp_path: Path
) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    before = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    ask = {"prompt": "what is it", "messages": before, "images": Files.from_paths(picture)}
    run([use(provider)], ask)
    *first, last = provider.asked[0].body["messages"]
    assert first == before
    text, image = last["content"]
    assert text == {"type": "text", "text": "what is it"}
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.mark.parametrize(
    "ask",
    [
        {},
        {"system": "only this"},
        {"prompt": "x", "max_tokens": 0},
        {"messages": ["hi"]},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"prompt": "x", "tools": [{"type": "mcp", "server_url": "http://10.0.0.1/"}]},
        {"prompt": "x", "json_schema": "no"},
        {"prompt": "x", "models": [1]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/a"}}],
                }
            ]
        },
    ],
)
def test_what_cannot_be_asked_reaches_nobody(provider: FakeProvider, ask: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        run([use(provider)], ask)
    assert provider.raw == b""


# ---------------------------------------------------------------- which model


def test_names_choose_and_the_first_that_is_here_answers(
    provider: FakeProvider, other: FakeProvider
) -> None:
    uses = [use(provider, "lab/one"), use(other, "two")]
    assert run(uses, {"prompt": "x"})[0]["model"] == "lab/one"
    assert run(uses, {"prompt": "x", "model": "two"})[0]["model"] == "two"
    assert run(uses, {"prompt": "x", "model": "nine", "models": ["two"]})[0]["model"] == "two"
    assert run(uses, {"prompt": "x", "model": "one"})[0]["model"] == "lab/one"
    missing = failed(uses, {"prompt": "x", "model": "nine"})
    assert (missing.code, missing.retryable) == ("model_unavailable", True)
    assert "lab/one, two" in str(missing)


def test_local_only_reaches_no_other_model(provider: FakeProvider, other: FakeProvider) -> None:
    uses = [use(other, "far", ",local=no"), use(provider, "near")]
    ask = {"prompt": "canary-1", "local_only": True}
    assert run(uses, ask)[0]["model"] == "near"
    refused = failed(uses, {**ask, "model": "far"})
    assert (refused.code, refused.retryable) == ("model_refused_local", True)
    provider.script(Fail(500))
    assert failed(uses, ask).code == "model_unavailable"
    assert other.raw == b"", "it fell back on a model that is not local"


@pytest.mark.parametrize("step", [Fail(429, retry_after_s=30), Fail(503), Fail(500), Fail(401)])
def test_the_next_model_answers_when_one_fails(
    provider: FakeProvider, other: FakeProvider, step: Fail
) -> None:
    provider.script(step)
    uses = [use(provider, "one"), use(other, "two")]
    result, attempt = run(uses, {"prompt": "x"})
    assert result["model"] == "two"
    assert attempt.used.spent_uusd == 0


def test_a_model_that_failed_is_left_alone_as_long_as_it_asked(
    provider: FakeProvider, other: FakeProvider
) -> None:
    provider.script(Fail(429, retry_after_s=30))
    uses = [use(provider, "one"), use(other, "two")]
    result, _ = run(uses, {"prompt": "x"}, {"prompt": "x"})
    assert result["model"] == "two"
    assert len(provider.asked) == 1
    provider.script(Fail(429, retry_after_s=30))
    cool = failed(uses[:1], {"prompt": "x"}, {"prompt": "x"})
    assert cool.code == "model_rate_limited"
    assert 25 < cool.retry_after_s <= 30
    assert len(provider.asked) == 2


def test_what_was_said_is_not_said_again_by_another(
    provider: FakeProvider, other: FakeProvider
) -> None:
    provider.script(Half("one two"))
    failure, attempt = run([use(provider, "one"), use(other, "two")], {"prompt": "x"})
    assert failure.code == "model_unavailable"
    assert failure.retryable
    assert attempt.said == ["one", " two"]
    assert other.asked == []


def test_a_bad_request_is_not_tried_on_others(provider: FakeProvider, other: FakeProvider) -> None:
    provider.script(Fail(400, "no such thing"))
    failure = failed([use(provider, "one"), use(other, "two")], {"prompt": "x"})
    assert (failure.code, failure.retryable) == ("model_bad_request", False)
    assert other.asked == []


def test_a_key_comes_from_the_node_and_its_absence_is_told(provider: FakeProvider) -> None:
    keyed = [use(provider, more=",key=secret:lab")]
    assert failed(keyed, {"prompt": "x"}).code == "model_auth"
    give_node_secrets({"secret:lab": "sk-of-the-lab"})
    try:
        run(keyed, {"prompt": "x"})
    finally:
        give_node_secrets({})
    assert provider.asked[0].headers["authorization"] == "Bearer sk-of-the-lab"


# ---------------------------------------------------------------- money


def test_within_its_allowance_all_is_asked_for(provider: FakeProvider) -> None:
    _, attempt = run(
        [use(provider, more=PRICED)], {"prompt": "x", "max_tokens": 100}, allowance_uusd=1000
    )
    assert provider.asked[0].body["max_tokens"] == 100
    assert attempt.used.spent_uusd == 10 + 2 * 5


def test_an_answer_is_cut_to_fit_down_to_a_quarter(provider: FakeProvider) -> None:
    ask = {"prompt": "x", "max_tokens": 100}
    run([use(provider, more=PRICED)], ask, allowance_uusd=150)
    cut = provider.asked[0].body["max_tokens"]
    assert 25 <= cut < 75
    assert 2 * cut < 150
    failure = failed([use(provider, more=PRICED)], ask, allowance_uusd=60)
    assert (failure.code, failure.retryable) == ("model_over_allowance", False)
    assert len(provider.asked) == 1


def test_an_unknown_price_is_within_no_allowance(provider: FakeProvider) -> None:
    failure = failed([use(provider, more=",local=no")], {"prompt": "x"}, allowance_uusd=10**9)
    assert failure.code == "model_price_unknown"
    assert "price_in=" in failure.fix
    assert provider.raw == b""


def test_a_model_without_a_price_gives_way_to_one_that_has_one(
    provider: FakeProvider, other: FakeProvider
) -> None:
    uses = [use(other, "far", ",local=no"), use(provider, "near", PRICED)]
    assert run(uses, {"prompt": "x"}, allowance_uusd=10**6)[0]["model"] == "near"


def test_nothing_is_spent_on_what_a_provider_refuses(provider: FakeProvider) -> None:
    provider.script(Fail(429))
    _, attempt = run([use(provider, more=PRICED)], {"prompt": "x"}, allowance_uusd=10**6)
    assert attempt.told
    assert attempt.used.spent_uusd == 0


@pytest.mark.parametrize("step", [Hang(), Hang("a b"), Half("a b")])
def test_what_broke_off_cost_nobody_knows_how_much(
    provider: FakeProvider, step: Hang | Half
) -> None:
    provider.script(step)
    _, attempt = run([use(provider, more=PRICED)], {"prompt": "x"}, timeout_s=0.3)
    assert attempt.used.spent_uusd is None


def test_the_next_model_has_what_the_first_may_not_have_spent(
    provider: FakeProvider, other: FakeProvider
) -> None:
    """The first timed out without a word, so its worst case is gone."""
    provider.script(Hang())
    uses = [use(provider, "one", PRICED), use(other, "two", PRICED)]
    ask = {"prompt": "x", "max_tokens": 100}
    failure, _ = run(uses, ask, allowance_uusd=300, timeout_s=0.3)
    assert isinstance(failure, ModelFailed)
    assert other.asked == []


def test_a_cancelled_prompt_tells_that_it_may_have_cost_money(provider: FakeProvider) -> None:
    provider.script(Hang("a b"))
    with attempting([use(provider, more=PRICED)]) as attempt:

        async def main() -> None:
            asking = asyncio.create_task(chat(prompt="x"))
            await asyncio.to_thread(provider.wait_for, 1)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            assert asking.cancelled()

        call(main())
    assert attempt.used.spent_uusd is None
    assert provider.asked[0].gone.wait(10)


# ---------------------------------------------------------------- form

FORM = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("text", ['{"age": 3}', '```json\n{"age": 3}\n```'])
def test_an_answer_of_the_form_asked_for_is_parsed(provider: FakeProvider, text: str) -> None:
    provider.script(Say(text))
    result, _ = run([use(provider)], {"prompt": "x", "json_schema": FORM})
    assert result["parsed"] == {"age": 3}
    assert provider.asked[0].body["response_format"]["json_schema"]["schema"] == FORM


@pytest.mark.parametrize("text", ["old", '{"age": "old"}', '{"age": 3, "x": 1}', "[]"])
def test_an_answer_of_another_form_is_a_failure_that_cost_money(
    provider: FakeProvider, text: str
) -> None:
    provider.script(Say(text, (7, 3)))
    ask = {"prompt": "x", "json_schema": FORM}
    failure, attempt = run([use(provider, more=PRICED)], ask)
    assert (failure.code, failure.retryable) == ("model_bad_output", True)
    assert attempt.used.spent_uusd == 13


def test_an_answer_cut_off_is_not_tried_again(provider: FakeProvider) -> None:
    provider.script(Say('{"age"', finish="length"))
    failure = failed([use(provider)], {"prompt": "x", "json_schema": FORM})
    assert (failure.code, failure.retryable) == ("model_bad_output", False)
    assert "max_tokens" in failure.fix


# ---------------------------------------------------------------- embed, estimate


def test_embeds_in_order_over_many_requests(provider: FakeProvider) -> None:
    texts = [str(i) * (i % 7 + 1) for i in range(100)]
    with attempting([use(provider, more=",kind=embed,price_in=1")]) as attempt:
        result = call(embed(texts))
        alone = call(embed(texts[70:71]))
    assert len(result["vectors"]) == 100
    assert result["vectors"][70] == alone["vectors"][0]
    assert len(provider.asked) == 3
    assert result["usage"] == {"input_tokens": 100, "output_tokens": 0}
    assert result["cost_usd"] == 100e-6
    assert attempt.used.spent_uusd == 101


@pytest.mark.parametrize("texts", [[], [""], [1], ["x"] * 2049])
def test_what_cannot_be_embedded(provider: FakeProvider, texts: list[Any]) -> None:
    with attempting([use(provider, more=",kind=embed")]), pytest.raises(BadArgument):
        call(embed(texts))


def test_a_chat_model_does_not_embed(provider: FakeProvider) -> None:
    with attempting([use(provider)]), pytest.raises(ModelFailed) as caught:
        call(embed(["x"]))
    assert caught.value.code == "model_unavailable"


def test_estimates_by_model_and_asks_none(provider: FakeProvider) -> None:
    uses = [use(provider, "one", PRICED), use(provider, "two", ",local=no")]
    with attempting(uses):
        result = call(estimate(prompt="how much is it", max_tokens=100, prompts=10))
    one, two = result["models"]
    assert 0 < one["low_uusd"] < one["worst_uusd"]
    assert one["worst_uusd"] >= 10 * (one["input_tokens"] // 10 + 200)
    assert one["expected_uusd"] is None, "nothing was answered here yet"
    assert (two["low_uusd"], two["worst_uusd"]) == (None, None)
    assert result["worst_uusd"] is None
    assert provider.asked == []


def test_estimates_expect_what_was_usual_here(provider: FakeProvider) -> None:
    provider.script(Say("x", (10, 40)))
    with attempting([use(provider, "one", PRICED)]):

        async def main() -> Any:
            await chat(prompt="how much is it")
            return await estimate(prompt="how much is it", max_tokens=100)

        result = call(main())
    row = result["models"][0]
    assert row["expected_uusd"] == row["input_tokens"] + 2 * 40
    assert result["expected_uusd"] == row["expected_uusd"]
    assert row["low_uusd"] <= row["expected_uusd"] <= row["worst_uusd"]


def test_estimates_expect_what_was_usual_in_the_mesh_where_that_is_more(
    provider: FakeProvider,
) -> None:
    provider.script(Say("x", (10, 40)))
    told = {"one": {"count": 7, "output_tokens": 20.4}, "two": {"count": 9, "output_tokens": 5}}
    few = {"one": {"count": 0, "output_tokens": 0}}

    async def main() -> Any:
        await chat(prompt="how much is it")
        return [
            (await estimate(prompt="how much is it", max_tokens=100, usual=each))["models"]
            for each in (told, few)
        ]

    with attempting([use(provider, "one", PRICED), use(provider, "three", PRICED)]):
        (one, three), (own, _) = call(main())
    assert one["expected_uusd"] == one["input_tokens"] + 2 * 20
    assert (one["answers_known"], own["answers_known"]) == (7, 1)
    assert own["expected_uusd"] == own["input_tokens"] + 2 * 40
    assert (three["answers_known"], three["expected_uusd"]) == (0, None)


@pytest.mark.parametrize("usual", [[1], {"one": 5}, {"one": {"count": -1, "output_tokens": 1}}])
def test_what_is_no_history_is_refused(provider: FakeProvider, usual: Any) -> None:
    with attempting([use(provider, "one", PRICED)]), pytest.raises(BadArgument):
        call(estimate(prompt="how much is it", usual=usual))
