"""Results of llm.chat and llm.embed as a client of OpenAI expects them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from nova_client.models import CHEAPEST, FASTEST, Offer

Result = Mapping[str, Any]

DONE = b"data: [DONE]\n\n"


class Reply:
    """Of one chat; `created` is in unix seconds."""

    def __init__(self, task_id: str, model: str, created: float) -> None:
        self._id = f"chatcmpl-{task_id}"
        self._model = model
        self._created = int(created)

    def whole(self, result: Result) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": result["text"] or None}
        if result.get("tool_calls"):
            message["tool_calls"] = result["tool_calls"]
        else:
            message["content"] = result["text"]
        choice = {"index": 0, "message": message, "finish_reason": _finish(result)}
        return self._frame("chat.completion", [choice], result) | {
            "usage": usage(result),
            "nova": extras(result),
        }

    def piece(self, text: str, first: bool) -> bytes:
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return event(self._frame("chat.completion.chunk", [_delta(delta, None)]))

    def last(self, result: Result, first: bool, include_usage: bool) -> bytes:
        """What a stream ends with: tool calls, why it ended, and what it took."""
        delta: dict[str, Any] = {"role": "assistant"} if first else {}
        calls = cast("Sequence[Mapping[str, Any]]", result.get("tool_calls") or ())
        if calls:
            delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls)]
        ending = self._frame("chat.completion.chunk", [_delta(delta, _finish(result))], result)
        sent = event(ending | {"nova": extras(result)})
        if include_usage:
            frame = self._frame("chat.completion.chunk", [], result)
            sent += event(frame | {"usage": usage(result)})
        return sent + DONE

    def _frame(self, kind: str, choices: Sequence[Any], result: Result = {}) -> dict[str, Any]:  # noqa: B006
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": result.get("model") or self._model,
            "choices": choices,
        }


def event(body: Mapping[str, Any]) -> bytes:
    """Of a stream."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def usage(result: Result) -> dict[str, int]:
    used = cast("Mapping[str, int]", result["usage"])
    taken, made = used["input_tokens"], used["output_tokens"]
    return {"prompt_tokens": taken, "completion_tokens": made, "total_tokens": taken + made}


def extras(result: Result) -> dict[str, Any]:
    """What OpenAI has no word for."""
    return {"cost_usd": result.get("cost_usd"), "cache": result.get("cache") or ""}


def models(found: Iterable[Offer]) -> dict[str, Any]:
    """`cheapest` and `fastest` are names, too."""
    owners: dict[str, str] = {CHEAPEST: "mesh", FASTEST: "mesh"}
    for offer in found:
        owners.setdefault(offer.model.name, "local" if offer.model.local else "cloud")
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": owner}
        for name, owner in owners.items()
    ]
    return {"object": "list", "data": data}


def embeddings(result: Result, as_base64: bool) -> dict[str, Any]:
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _floats_in_base64(vector) if as_base64 else vector,
        }
        for index, vector in enumerate(cast("Sequence[Sequence[float]]", result["vectors"]))
    ]
    took = cast("Mapping[str, int]", result["usage"])["input_tokens"]
    return {
        "object": "list",
        "data": data,
        "model": result["model"],
        "usage": {"prompt_tokens": took, "total_tokens": took},
    }


def _floats_in_base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _delta(delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _finish(result: Result) -> str:
    return result.get("finish") or ("tool_calls" if result.get("tool_calls") else "stop")
