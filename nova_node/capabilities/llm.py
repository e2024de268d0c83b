"""Prompts: llm.chat, llm.embed, llm.estimate. They wait for a model, and run in the node's host.

Rule: what a model says is data. It names no capability, and nothing here acts on it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from nova_node.capability import (
    BadArgument,
    Files,
    Limits,
    Usage,
    allowance_uusd,
    capability,
    say,
    spend,
)
from nova_node.models.offer import offer_chat, offer_embed

NO_FILES = Files()
WALL_S = 3600.0
TEXTS_MAX = 2048
TEXT_MAX_BYTES = 8 << 20

Text = Annotated[str, "what is asked"]
Messages = Annotated[list[Any], 'what was said before, [{"role": "user", "content": "..."}, ...]']
System = Annotated[str, "what the model is told first"]
Model = Annotated[str, "name of a model; any if empty"]
Models = Annotated[list[Any], "names of others, best first, should that one fail"]
LocalOnly = Annotated[bool, "the prompt may reach local models alone"]
MaxTokens = Annotated[int, "of the answer at most"]


@capability("llm.chat", check=offer_chat, waits=True, limits=Limits(wall_s=WALL_S))
async def chat(
    prompt: Text = "",
    messages: Messages = [],  # noqa: B006
    system: System = "",
    model: Model = "",
    models: Models = [],  # noqa: B006
    local_only: LocalOnly = False,
    json_schema: Annotated[object, "JSON Schema that the answer has to fit"] = None,
    tools: Annotated[list[Any], "functions that it may ask for, as OpenAI has them"] = [],  # noqa: B006
    tool_choice: Annotated[object, "which of them, as OpenAI has it"] = None,
    images: Annotated[Files, "pictures that belong to the prompt"] = NO_FILES,
    temperature: Annotated[float | None, "0 for the likeliest words"] = None,
    top_p: Annotated[float | None, "another bound on unlikely words"] = None,
    max_tokens: MaxTokens = 1024,
    seed: Annotated[int | None, "for answers that can be had again, where a model can"] = None,
    stop: Annotated[list[Any], "texts at which the answer ends"] = [],  # noqa: B006
    fresh: Annotated[bool, "whether nothing that was answered before will do"] = False,
    aside: Annotated[str, "helps the model, and does not change what is asked"] = "",
) -> dict[str, Any]:
    """Asks a model. Its text comes as output while it is made.

    Returns the text, the model, why it ended, the tokens, the cost, and what the text holds as JSON."""
    from nova_node.models import cache
    from nova_node.models.asking import figures
    from nova_node.models.gateway import Question
    from nova_node.models.messages import beside, compose
    from nova_node.models.service import service

    spend(Usage())
    question = Question(
        compose(prompt, messages, system, images),
        _tokens(max_tokens),
        temperature,
        top_p,
        seed,
        _texts(stop, "stop"),
        _object(json_schema, "json_schema"),
        [_function(tool) for tool in tools],
        tool_choice,
    )
    names = _names(model, models)
    here = service()
    ready = here.asker.choose(await here.here(names), names, local_only)

    async def ask(left_uusd: int) -> dict[str, Any]:
        await here.warm()
        whole = question._replace(messages=beside(question.messages, aside))
        asked = await here.asker.chat(ready, whole, left_uusd, say, spend)
        return {
            "text": asked.reply.text,
            "tool_calls": [dict(call) for call in asked.reply.tool_calls],
            "parsed": asked.parsed,
            "cache": "",
            **figures(asked),
        }

    return await cache.answer(question, ready, fresh, here.embedders, here.asker, ask)


@capability("llm.embed", check=offer_embed, waits=True, limits=Limits(wall_s=WALL_S))
async def embed(
    texts: Annotated[list[Any], "each gets a vector"],
    model: Model = "",
    models: Models = [],  # noqa: B006
    local_only: LocalOnly = False,
) -> dict[str, Any]:
    """Turns texts into vectors: those of like meaning are near each other.

    Returns the vectors in order, all of one model, and what they took."""
    from nova_node.models.service import service

    spend(Usage())
    given = _texts(texts, "texts")
    size = sum(len(text) for text in given)
    if not 1 <= len(given) <= TEXTS_MAX or size > TEXT_MAX_BYTES or not all(given):
        raise BadArgument(
            f"{len(given):,} texts of {size:,} characters",
            f"give 1 to {TEXTS_MAX:,} texts that are not empty, {TEXT_MAX_BYTES:,} characters at most",
        )
    names = _names(model, models)
    here = service()
    ready = here.asker.choose(await here.here(names, "embed"), names, local_only, "embed")
    await here.warm()
    found = await here.asker.embed(ready, given, allowance_uusd(), spend)
    return {
        "vectors": found.vectors,
        "model": found.entry.name,
        "usage": {"input_tokens": found.input_tokens, "output_tokens": 0},
        "cost_usd": None if found.spent_uusd is None else found.spent_uusd / 1e6,
    }


@capability("llm.estimate", check=offer_chat, waits=True, limits=Limits(wall_s=WALL_S))
async def estimate(
    prompt: Text = "",
    messages: Messages = [],  # noqa: B006
    system: System = "",
    model: Model = "",
    models: Models = [],  # noqa: B006
    local_only: LocalOnly = False,
    tools: Annotated[list[Any], "as for llm.chat"] = [],  # noqa: B006
    images: Annotated[Files, "pictures that belong to the prompt"] = NO_FILES,
    max_tokens: MaxTokens = 1024,
    prompts: Annotated[int, "how many such prompts"] = 1,
    usual: Annotated[object, "of answers so far: {MODEL: {count, output_tokens}}"] = None,
) -> dict[str, Any]:
    """Says what prompts would cost, and asks no model.

    Returns low, expected and worst in millionths of a US dollar, for each model of this node that could
    be asked; null where the price is unknown. What is expected rests on `answers_known` answers: those of
    `usual`, or of this node since it began if they are more."""
    from nova_node.models.estimate import row, total, usual_of
    from nova_node.models.gateway import Question
    from nova_node.models.messages import compose, images_in
    from nova_node.models.service import service

    made = compose(prompt, messages, system, images)
    question = Question(made, _tokens(max_tokens), tools=[_function(tool) for tool in tools])
    if not 1 <= prompts <= 1_000_000:
        raise BadArgument(f"prompts is {prompts}", "give 1 to 1,000,000")
    told = usual_of(_object(usual, "usual") or {})
    names = _names(model, models)
    here = service()
    ready = here.asker.choose(await here.here(names), names, local_only)
    await here.warm()
    rows: list[dict[str, Any]] = []
    for entry in ready:
        counted = await here.asker.count(entry, question)
        own = here.asker.measured.of(entry.name)
        known = max(own, told.get(entry.name, own), key=lambda each: each.answers)
        rows.append(row(entry, counted, images_in(made), max_tokens, prompts, known))
    return {"models": rows, **total(rows)}


def _names(model: str, models: list[Any]) -> list[str]:
    return list(dict.fromkeys(([model] if model else []) + _texts(models, "models")))


def _texts(given: list[Any], what: str) -> list[str]:
    if not all(isinstance(text, str) for text in given):
        raise BadArgument(f"{what} holds more than texts", f"give {what} as a list of texts")
    return given


def _object(given: object, what: str) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or len(json.dumps(given)) > 1 << 18:
        raise BadArgument(f"{what} is no JSON object of 256 KiB at most", "see docs/models.md")
    return given  # pyright: ignore[reportUnknownVariableType]


def _function(tool: object) -> dict[str, Any]:
    """Other kinds of tools would have a provider reach for what the caller names."""
    found = _object(tool, "a tool")
    if not found or found.get("type") != "function" or not isinstance(found.get("function"), dict):
        raise BadArgument(
            "a tool is no function",
            'give tools as [{"type": "function", "function": {"name": ..., "parameters": ...}}]',
        )
    return found


def _tokens(max_tokens: int) -> int:
    if not 1 <= max_tokens <= 1_000_000:
        raise BadArgument(f"max_tokens is {max_tokens}", "give 1 to 1,000,000")
    return max_tokens
