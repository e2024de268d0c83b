"""One model as the setting `models.use` names it: `NAME[,url=URL][,key=REFERENCE][,local=yes|no] ...`.

Standard library only: the settings read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

NAME_LENGTH = 120
OPENAI = "openai"
"""The protocol of every server that is reached by a URL of one's own."""

Kind = Literal["chat", "embed"]

LOCAL_SERVERS: Mapping[str, str] = {
    "ollama": "http://127.0.0.1:11434/v1",
    "ollama_chat": "http://127.0.0.1:11434/v1",
    "llamafile": "http://127.0.0.1:8080/v1",
    "hosted_vllm": "http://127.0.0.1:8000/v1",
    "lm_studio": "http://127.0.0.1:1234/v1",
}
"""Of litellm's providers, those whose server speaks the OpenAI protocol on this machine."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_REFERENCE = re.compile(r"(secret|env|keyring):[^\0\n,]{1,255}|file:/[^\0\n,]{1,255}")
_TOKENS_MAX = 100_000_000


class Spec(NamedTuple):
    """`model` is what litellm is told, with `provider` where that is not in it. Prices are in millionths
    of a US dollar for a million tokens; None: as litellm's price map says. 0 tokens: likewise."""

    name: str
    model: str
    provider: str = ""
    url: str = ""
    key: str = ""
    local: bool = False
    context_tokens: int = 0
    output_tokens: int = 0
    price_in: int | None = None
    price_out: int | None = None
    kind: Kind | None = None


def parse_spec(text: str) -> Spec:
    """Raises ValueError, whose text says what is wrong."""
    model, *options = [part.strip() for part in text.split(",")]
    _require_name(model, "a model's name")
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        read = _OPTIONS.get(key)
        if read is None or not equals:
            raise ValueError(f"{option[:60]!r} is none of {', '.join(f'{k}=' for k in _OPTIONS)}")
        if key in given:
            raise ValueError(f"{key}= is given twice")
        given[key] = read(value)
    return _spec(model, given)


def _spec(model: str, given: Mapping[str, Any]) -> Spec:
    server, _, rest = model.partition("/")
    url, provider = given.get("url", ""), ""
    if server in LOCAL_SERVERS and rest:
        url, provider, model = url or LOCAL_SERVERS[server], OPENAI, rest
    elif url:
        provider, model = OPENAI, model.removeprefix(f"{OPENAI}/")
    if ("price_in" in given) != ("price_out" in given) and given.get("kind") != "embed":
        raise ValueError("price_in= and price_out= belong together")
    local = given.get("local")
    if local and not url:
        raise ValueError("local=yes needs the url= at which the model's server answers")
    return Spec(
        given.get("as", model),
        model,
        provider,
        url,
        given.get("key", ""),
        on_this_machine(url) if local is None else local,
        given.get("context", 0),
        given.get("output", 0),
        given.get("price_in"),
        given.get("price_out"),
        given.get("kind"),
    )


def on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_name(text: str, what: str) -> str:
    if len(text) > NAME_LENGTH or not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r} is no {what.removeprefix('a ')}: up to {NAME_LENGTH} letters, digits"
            " and . _ : / @ + -"
        )
    return text


def _alias(text: str) -> str:
    return _require_name(text, "a name for a model")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", text):
        raise ValueError(f"url={text[:80]!r} is no address such as http://127.0.0.1:8000/v1")
    if "@" in urlsplit(text).netloc or urlsplit(text).query:
        raise ValueError("url= carries no password and no query: name the key with key=secret:NAME")
    return text.rstrip("/")


def _key(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError(
            "key= names where the key is kept (secret:NAME, env:NAME, file:/PATH, keyring:NAME);"
            " the key itself does not belong here"
        )
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("local= is yes or no")
    return text == "yes"


def _tokens(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= _TOKENS_MAX:
        raise ValueError(f"{text[:20]!r} is no number of tokens")
    return int(text)


def _price(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise ValueError(f"{text[:20]!r} is no price in US dollars for a million tokens")
    return round(float(text) * 1_000_000)  # six places: exact


def _kind(text: str) -> str:
    if text not in ("chat", "embed"):
        raise ValueError("kind= is chat or embed")
    return text


_OPTIONS: Mapping[str, Callable[[str], object]] = {
    "url": _url,
    "key": _key,
    "local": _yes_or_no,
    "context": _tokens,
    "output": _tokens,
    "price_in": _price,
    "price_out": _price,
    "kind": _kind,
    "as": _alias,
}
