"""What clients of OpenAI's protocol send, as arguments of llm.chat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nova_client import Invalid
from nova_client.models import Needs
from nova_console.openai.requests import MAX_TOKENS, read_chat, read_embed

SAYS: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
LINK = {"type": "image_url", "image_url": {"url": "http://elsewhere.example/a.png"}}


def chat(**more: Any) -> Any:
    return read_chat(json.dumps(SAYS | more).encode())


def test_a_plain_question() -> None:
    asked = chat(model="fake/small", user="me", frequency_penalty=1)
    assert (asked.want, asked.stream, asked.allowance_uusd) == ("fake/small", False, 0)
    assert asked.args == {
        "messages": SAYS["messages"],
        "max_tokens": MAX_TOKENS,
        "fresh": False,
    }


def test_everything_that_is_passed_on() -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}
    asked = chat(
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=9,
        temperature=0,
        top_p=0.5,
        seed=3,
        stop="END",
        tools=[tool],
        tool_choice="required",
        response_format=form,
        nova={"local_only": True, "fresh": True, "budget": 0.25},
    )
    assert (asked.stream, asked.include_usage, asked.allowance_uusd) == (True, True, 250_000)
    assert asked.needs == Needs("chat", local_only=True, images=False, tools=True)
    assert asked.args == {
        "messages": SAYS["messages"],
        "max_tokens": 9,
        "fresh": True,
        "local_only": True,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 3,
        "stop": ["END"],
        "tools": [tool],
        "tool_choice": "required",
        "json_schema": {"type": "array"},
    }


def test_images_come_within_the_message() -> None:
    asked = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, PICTURE]}])
    assert asked.needs.images


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": 5}]}, "content"),
    ({"messages": [{"role": "user", "content": [LINK]}]}, "data:image/"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
    ({"n": 2}, "n is not 1"),
    ({"logprobs": True}, "logprobs"),
    ({"functions": [{}]}, "functions"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"stream": "yes"}, "stream"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"stop": [1]}, "stop"),
    ({"tools": {"a": 1}}, "tools"),
    ({"model": 1}, "model"),
    ({"nova": {"budget": -1}}, "budget"),
    ({"nova": {"locally": True}}, "locally"),
]


@pytest.mark.parametrize(("more", "says"), WRONG)
def test_what_is_refused_says_why(more: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        chat(**more)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_chat(body)


def test_embeddings_take_a_text_or_several() -> None:
    one = read_embed(b'{"model": "m", "input": "a", "encoding_format": "base64"}')
    assert (one.texts, one.as_base64, one.needs.kind) == (("a",), True, "embed")
    assert read_embed(b'{"input": ["a", "b"]}').texts == ("a", "b")


@pytest.mark.parametrize(
    "body", [b'{"input": [[1, 2]]}', b'{"input": []}', b'{"input": "a", "dimensions": 3}']
)
def test_embeddings_of_tokens_or_of_chosen_size_are_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_embed(body)
