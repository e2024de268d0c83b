"""What is sent to a model, from what the caller gave: checked, and bounded.

Rule: a picture travels with the prompt. A link to one is refused, for whoever follows it, this node or
the provider, would fetch what the caller names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from nova_node.capability import BadArgument, Files

MESSAGES_MAX = 4096
TEXT_MAX_BYTES = 16 << 20
IMAGES_MAX_BYTES = 32 << 20
ROLES = ("system", "developer", "user", "assistant", "tool")
_KEPT = ("role", "content", "name", "tool_calls", "tool_call_id")
_DATA_IMAGE = "data:image/"

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
)

Message = Mapping[str, Any]


def compose(
    prompt: str, messages: Sequence[Any], system: str = "", images: Files | None = None
) -> list[Message]:
    """`system` first, then the messages, then the prompt, to which the images belong.

    Raises BadArgument."""
    made: list[Message] = [{"role": "system", "content": system}] if system else []
    made += [_checked(each) for each in messages]
    pictures = [_picture(piece.name, piece.read()) for piece in _bounded(images or Files())]
    if pictures:
        made.append({"role": "user", "content": [{"type": "text", "text": prompt}, *pictures]})
    elif prompt:
        made.append({"role": "user", "content": prompt})
    if not any(each["role"] != "system" for each in made):
        raise BadArgument("there is nothing to ask", "give `prompt` or `messages`")
    if len(made) > MESSAGES_MAX or _size(made) > TEXT_MAX_BYTES + IMAGES_MAX_BYTES * 4 // 3:
        raise BadArgument("that is too much for one prompt", "send less")
    return made


def beside(messages: Sequence[Message], aside: str) -> Sequence[Message]:
    """With a text that the model is told after what it is told first."""
    if not aside:
        return messages
    first = next((i for i, each in enumerate(messages) if each["role"] != "system"), 0)
    return [*messages[:first], {"role": "system", "content": aside}, *messages[first:]]


def with_schema(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """For a model that has no other way to be told of the form of its answer."""
    text = f"Answer with JSON alone, of this JSON Schema: {json.dumps(schema)}"
    return [{"role": "system", "content": text}, *messages]


def images_in(messages: Sequence[Message]) -> int:
    return sum(
        part.get("type") == "image_url"
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


def without_images(messages: Sequence[Message]) -> list[Message]:
    return [
        {**message, "content": [p for p in message["content"] if p["type"] == "text"]}
        if isinstance(message.get("content"), list)
        else message
        for message in messages
    ]


def _checked(given: Any) -> Message:
    message = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    if message.get("role") not in ROLES:
        raise BadArgument(
            f"a message is no object with a role of {', '.join(ROLES)}",
            'give messages as [{"role": "user", "content": "..."}]',
        )
    content = message.get("content")
    if isinstance(content, list):
        for part in cast("list[Any]", content):
            _check_part(part)
    elif content is not None and not isinstance(content, str):
        raise BadArgument(
            "the content of a message is neither text nor a list of parts", "give it as text"
        )
    return {key: message[key] for key in _KEPT if key in message}


def _check_part(given: Any) -> None:
    part = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    match part:
        case {"type": "text", "text": str()}:
            return
        case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith(_DATA_IMAGE):
            return
        case {"type": "image_url"}:
            raise BadArgument(
                "an image is not fetched from a link",
                "send the image itself: as a file in `images`, or as a data:image/ URL",
            )
        case _:
            raise BadArgument(
                f"a part of a message is of type {str(part.get('type'))[:40]!r}",
                "give parts of type text or image_url",
            )


def _bounded(images: Files) -> Files:
    if images.size_bytes > IMAGES_MAX_BYTES:
        raise BadArgument(
            f"{images.size_bytes:,} bytes of images, more than {IMAGES_MAX_BYTES:,}", "send less"
        )
    return images


def _picture(name: str, data: bytes) -> Message:
    kind = next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)
    if kind is None:
        raise BadArgument(f"{name[:100]} is no PNG, JPEG, GIF or WebP", "convert it")
    url = f"{_DATA_IMAGE}{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _size(messages: Sequence[Message]) -> int:
    return len(json.dumps(messages, ensure_ascii=False))
