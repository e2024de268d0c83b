"""What `models.use` may say."""

from __future__ import annotations

import pytest

from nova_node.config import load
from nova_node.core.errors import Invalid
from nova_node.models.spec import Spec, parse_spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("gpt-x", Spec("gpt-x", "gpt-x")),
        ("anthropic/claude-x", Spec("anthropic/claude-x", "anthropic/claude-x")),
        (
            "qwen:7b,url=http://127.0.0.1:9000/v1/",
            Spec("qwen:7b", "qwen:7b", "openai", "http://127.0.0.1:9000/v1", local=True),
        ),
        (
            "openai/x,url=https://models.example/v1,key=secret:lab",
            Spec("x", "x", "openai", "https://models.example/v1", "secret:lab"),
        ),
        (
            "ollama/llama,as=llama",
            Spec("llama", "llama", "openai", "http://127.0.0.1:11434/v1", local=True),
        ),
        ("x,url=http://[::1]:1/v1", Spec("x", "x", "openai", "http://[::1]:1/v1", local=True)),
        (
            "x,url=http://10.0.0.1/v1,local=yes,context=4096,output=512",
            Spec("x", "x", "openai", "http://10.0.0.1/v1", "", True, 4096, 512),
        ),
        ("x,url=http://127.0.0.1/v1,local=no", Spec("x", "x", "openai", "http://127.0.0.1/v1")),
        ("x,price_in=2.5,price_out=10", Spec("x", "x", price_in=2_500_000, price_out=10_000_000)),
        ("x,kind=embed,price_in=0.000001", Spec("x", "x", price_in=1, kind="embed")),
    ],
)
def test_reads(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no model's name"),
        ("two words", "no model's name"),
        ("x" * 121, "no model's name"),
        ("x,colour=red", "none of url="),
        ("x,url", "none of url="),
        ("x,url=http://a/v1,url=http://b/v1", "twice"),
        ("x,url=ftp://a", "no address"),
        ("x,url=http://", "no address"),
        ("x,url=http://me:pass@host/v1", "no password"),
        ("x,url=http://host/v1?key=1", "no query"),
        ("x,key=sk-abcdef", "does not belong here"),
        ("x,local=yes", "needs the url="),
        ("x,local=perhaps,url=http://a/v1", "yes or no"),
        ("x,context=many", "no number of tokens"),
        ("x,context=0", "no number of tokens"),
        ("x,price_in=1", "belong together"),
        ("x,price_in=-1,price_out=1", "no price"),
        ("x,price_in=1e9,price_out=1", "no price"),
        ("x,kind=song", "chat or embed"),
        ("x,as=a b", "no name for a model"),
    ],
)
def test_refuses(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_spec(text)


def test_a_key_is_not_said_again() -> None:
    with pytest.raises(ValueError, match="does not belong") as caught:
        parse_spec("x,key=sk-abcdef")
    assert "sk-abcdef" not in str(caught.value)


def test_the_setting_takes_a_list_or_a_text_with_spaces() -> None:
    told = load({"models.use": ["gpt-x", "y,url=http://127.0.0.1:1/v1"]}, {}).config.work.told
    assert told["models.use"] == ("gpt-x", "y,url=http://127.0.0.1:1/v1")
    told = load({}, {"NOVA_MODELS_USE": "gpt-x y,kind=embed"}).config.work.told
    assert told["models.use"] == ("gpt-x", "y,kind=embed")
    assert told["models.discover"] is True
    with pytest.raises(Invalid, match="none of url="):
        load({"models.use": ["x,colour=red"]}, {})
