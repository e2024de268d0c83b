"""What a client asks, checked, as arguments of llm.chat and llm.embed.

What would change the answer and cannot be had is refused; what only tunes it and is not known is left
out, as other servers of this protocol do. `nova` in the body holds what OpenAI has no word for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from nova_client import Invalid
from nova_client.models import Needs

MESSAGES_MAX = 4_096
TEXTS_MAX = 2_048
MAX_TOKENS = 4_096
"""Where a client names no bound; llm.chat's own would cut longer answers."""

_ROLES = ("system", "developer", "user", "assistant", "tool")
_REFUSED = ("audio", "functions", "function_call", "prediction", "web_search_options")
_DOCS = "see docs/openai.md for what is taken"


@dataclass(frozen=True, slots=True)
class Chat:
    """`args` are of llm.chat, but for the model."""

    want: str
    args: Mapping[str, Any]
    needs: Needs
    stream: bool
    include_usage: bool
    #: the most that the call may cost; 0: anything
    allowance_uusd: int


@dataclass(frozen=True, slots=True)
class Embed:
    want: str
    texts: tuple[str, ...]
    needs: Needs
    as_base64: bool


def read_chat(body: bytes) -> Chat:
    """Raises Invalid."""
    asked = _body(body)
    messages = _messages(asked.get("messages"))
    nova = _nova(asked)
    _refuse_what_is_not_done(asked)
    tools = _list(asked.get("tools") or [])
    if tools is None:
        raise _wrong("tools is not a list")
    args: dict[str, Any] = {
        "messages": messages,
        "max_tokens": _max_tokens(asked),
        "fresh": _flag(nova, "fresh"),
    }
    optional = {
        "tools": tools,
        "tool_choice": asked.get("tool_choice"),
        "json_schema": _schema(asked.get("response_format")),
        "temperature": _number(asked, "temperature"),
        "top_p": _number(asked, "top_p"),
        "seed": _seed(asked),
        "stop": _texts(asked, "stop"),
    }
    args |= {name: value for name, value in optional.items() if value not in (None, [])}
    local_only = _flag(nova, "local_only")
    if local_only:
        args["local_only"] = True
    return Chat(
        _model(asked),
        args,
        Needs("chat", local_only, _has_images(messages), bool(tools)),
        _flag(asked, "stream"),
        _flag(_object(asked.get("stream_options")) or {}, "include_usage"),
        _allowance_uusd(nova),
    )


def read_embed(body: bytes) -> Embed:
    """Raises Invalid."""
    asked = _body(body)
    texts = _texts(asked, "input")
    if not 1 <= len(texts) <= TEXTS_MAX:
        raise _wrong(f"input has {len(texts):,} texts, not 1 to {TEXTS_MAX:,}")
    if asked.get("dimensions") is not None:
        raise _wrong("dimensions cannot be chosen here")
    how = asked.get("encoding_format", "float")
    if how not in ("float", "base64"):
        raise _wrong("encoding_format is neither float nor base64")
    needs = Needs("embed", _flag(_nova(asked), "local_only"))
    return Embed(_model(asked), tuple(texts), needs, how == "base64")


def _body(body: bytes) -> Mapping[str, Any]:
    try:
        asked = _object(json.loads(body, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the body is not JSON: {error}") from None
    if asked is None:
        raise _wrong("the body is not a JSON object")
    return asked


def _object(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any] | None:
    return cast("list[Any]", value) if isinstance(value, list) else None


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _model(asked: Mapping[str, Any]) -> str:
    model = asked.get("model", "")
    if not isinstance(model, str) or len(model) > 1_000:
        raise _wrong("model is not the name of a model")
    return model


def _messages(given: Any) -> list[Mapping[str, Any]]:
    messages = _list(given)
    if messages is None or not 1 <= len(messages) <= MESSAGES_MAX:
        raise _wrong(f"messages is not a list of 1 to {MESSAGES_MAX:,}")
    return [_message(each) for each in messages]


def _message(given: Any) -> Mapping[str, Any]:
    message = _object(given)
    if message is None or message.get("role") not in _ROLES:
        raise _wrong(f"a message is no object with a role of {', '.join(_ROLES)}")
    content = message.get("content")
    parts = _list(content)
    if parts is not None:
        for part in parts:
            _check_part(_object(part) or {})
    elif content is not None and not isinstance(content, str):
        raise _wrong("the content of a message is neither a text nor a list of parts")
    return message


def _check_part(part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return
    if kind != "image_url":
        raise _wrong(f"a part of a message is of type {str(kind)[:40]!r}, not text or image_url")
    image = part.get("image_url")
    url = (_object(image) or {}).get("url")
    # a link would be fetched by the node or the provider, wherever it leads
    if not isinstance(url, str) or not url.startswith("data:image/"):
        raise _wrong("an image_url is not a data:image/ URL: send the image itself, in base64")


def _has_images(messages: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        part["type"] == "image_url"
        for message in messages
        for part in _list(message.get("content")) or ()
    )


def _refuse_what_is_not_done(asked: Mapping[str, Any]) -> None:
    if asked.get("n") not in (None, 1):
        raise _wrong("n is not 1: ask several times")
    if asked.get("logprobs"):
        raise _wrong("logprobs cannot be had here")
    if asked.get("modalities") not in (None, ["text"]):
        raise _wrong("modalities are other than text")
    found = next((name for name in _REFUSED if asked.get(name)), None)
    if found:
        raise _wrong(f"{found} cannot be had here")


def _schema(given: Any) -> Any:
    """For llm.chat's json_schema; None: text."""
    if given is None:
        return None
    form = _object(given) or {}
    kind = form.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    schema = _object((_object(form.get("json_schema")) or {}).get("schema"))
    if kind != "json_schema" or schema is None:
        raise _wrong("response_format is none of text, json_object, and json_schema with a schema")
    return schema


def _max_tokens(asked: Mapping[str, Any]) -> int:
    given = asked.get("max_completion_tokens") or asked.get("max_tokens") or MAX_TOKENS
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise _wrong("max_tokens is not a whole number above 0")
    return given


def _number(asked: Mapping[str, Any], name: str) -> float | None:
    given = asked.get(name)
    if given is None:
        return None
    if not isinstance(given, int | float) or isinstance(given, bool) or not math.isfinite(given):
        raise _wrong(f"{name} is not a number")
    return float(given)


def _seed(asked: Mapping[str, Any]) -> int | None:
    given = asked.get("seed")
    if given is not None and (not isinstance(given, int) or isinstance(given, bool)):
        raise _wrong("seed is not a whole number")
    return given


def _texts(asked: Mapping[str, Any], name: str) -> list[str]:
    given: Any = asked.get(name) or []
    texts = [given] if isinstance(given, str) else _list(given)
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise _wrong(f"{name} is neither a text nor a list of texts")
    return texts


def _nova(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    nova = _object(asked.get("nova") or {})
    if nova is None:
        raise _wrong("nova is not an object")
    unknown = next((name for name in nova if name not in ("local_only", "fresh", "budget")), None)
    if unknown:
        raise _wrong(f"nova.{unknown[:40]} is not known: local_only, fresh, budget are")
    return nova


def _allowance_uusd(nova: Mapping[str, Any]) -> int:
    budget = _number(nova, "budget") or 0.0
    if budget < 0:
        raise _wrong("nova.budget is below 0")
    return math.floor(budget * 1e6)


def _flag(asked: Mapping[str, Any], name: str) -> bool:
    given = asked.get(name, False)
    if given is None:
        return False
    if not isinstance(given, bool):
        raise _wrong(f"{name} is neither true nor false")
    return given


def _wrong(message: str) -> Invalid:
    return Invalid(message, _DOCS)
