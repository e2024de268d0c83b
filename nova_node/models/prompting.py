"""One prompt to a model of the mesh, for the capabilities that are made of prompts.

Rule: which model and which nodes come from the caller's route alone, never from any text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from nova_proto.model_names import model_label

from nova_node.answer import Usage
from nova_node.capability import AskFailed, Failed, ask
from nova_node.models.cache import asked_before, was_told
from nova_node.models.memory import memory

T = TypeVar("T")

DRAINING = "draining"
"""This node stops: what runs on it ends, and goes on elsewhere."""

LOCAL = {"models.local": "yes"}


@dataclass(frozen=True, slots=True)
class Route:
    """Where prompts may go: to these models, best first (none: to any); to local ones only."""

    models: tuple[str, ...] = ()
    local_only: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """Of every node that a part of this work may reach, sandboxes included."""
        return LOCAL if self.local_only else {}

    def turned(self, by: int) -> Route:
        """Another of the models first: how several answers are spread."""
        cut = by % len(self.models) if self.models else 0
        return Route(self.models[cut:] + self.models[:cut], self.local_only)


def route_of(model: str, models: Sequence[Any], local_only: bool) -> Route:
    """From the arguments that all these capabilities share."""
    named = ([model] if model else []) + [str(each) for each in models]
    return Route(tuple(dict.fromkeys(named)), local_only)


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: tuple[Mapping[str, str], ...]
    system: str = ""
    max_tokens: int = 1024
    #: None: the model's own
    temperature: float | None = None
    seed: int | None = None
    json_schema: Mapping[str, Any] | None = None
    #: whether nothing that was answered before will do
    fresh: bool = False
    #: helps the model, and does not change what is asked
    aside: str = ""
    #: 0: as much as the attempt that asks
    allowance_uusd: int = 0
    #: waiting for a node that has such a model included
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one prompt: text, or the failure in place of it."""

    text: str = ""
    #: what the text holds as JSON, where a schema was asked for
    parsed: Any = None
    model: str = ""
    node: str = ""
    #: why it ended, such as stop, or length: cut off
    finish: str = ""
    failure: Failed | None = None
    usage: Usage | None = None
    #: the most it may have cost, charged where its price is unknown
    allowance_uusd: int = 0

    @property
    def failed(self) -> str:
        """The code of the failure; empty where there is none."""
        return self.failure.code if self.failure else ""

    @property
    def charged_uusd(self) -> int:
        spent = self.usage.spent_uusd if self.usage else 0
        return self.allowance_uusd if spent is None else spent


async def send(prompt: Prompt, route: Route) -> Reply:
    """What an earlier attempt of this task was told is not asked for again. Raises AskFailed where this
    node drains, and the whole has to go elsewhere; any other failure is a reply."""
    args: dict[str, Any] = {
        "messages": [dict(each) for each in prompt.messages],
        "system": prompt.system,
        "max_tokens": prompt.max_tokens,
        "models": [*route.models],
        "local_only": route.local_only,
        "fresh": prompt.fresh,
    }
    optional: dict[str, Any] = {"temperature": prompt.temperature, "seed": prompt.seed}
    optional["json_schema"] = prompt.json_schema
    args |= {name: value for name, value in optional.items() if value is not None}
    kept, asked = memory(), dict(args)
    if before := await asked_before(kept, asked):
        return _reply(before, Usage(before["told"].get("model") or "", cache=before["cache"]), 0)
    if prompt.aside:
        args["aside"] = prompt.aside
    try:
        answer = await ask(
            "llm.chat",
            args,
            labels=route.labels,
            prefers=[(model_label(each), "yes") for each in route.models],
            allowance_uusd=prompt.allowance_uusd,
            timeout_s=prompt.timeout_s,
        )
    except AskFailed as failure:
        if failure.code == DRAINING:
            raise
        return Reply(failure=final(failure), allowance_uusd=prompt.allowance_uusd)
    cached = answer.usage.cache if answer.usage else ""
    record = {"told": answer.value, "node": answer.node, "cache": cached}
    was_told(kept, asked, record)
    return _reply(record, answer.usage, prompt.allowance_uusd)


def _reply(record: Mapping[str, Any], usage: Usage | None, allowance_uusd: int) -> Reply:
    told: Mapping[str, Any] = record["told"]
    return Reply(
        str(told.get("text") or ""),
        told.get("parsed"),
        str(told.get("model") or ""),
        record["node"],
        str(told.get("finish") or ""),
        None,
        usage,
        allowance_uusd,
    )


def final(failure: Failed) -> Failed:
    """The mesh tried what was asked for as often as it should: the whole is not to be tried again."""
    return Failed(failure.code, str(failure), failure.fix, False, failure.traceback)


def fenced(name: str, text: str) -> str:
    """Between marks made of a digest of the text, which no text can hold of itself."""
    mark = sha256(text.encode(errors="replace")).hexdigest()[:12]
    return f"<<<{name}-{mark}>>>\n{text.strip()}\n<<<end-{mark}>>>"


def cost_usd(usage: Usage) -> float | None:
    """None: some price is unknown."""
    return None if usage.spent_uusd is None else usage.spent_uusd / 1e6


def dollars(uusd: int | None) -> str:
    return "price unknown" if uusd is None else f"${uusd / 1e6:.6f}"


def told_usage(usage: Usage) -> dict[str, int]:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


def total(replies: Sequence[Reply]) -> Usage:
    used = Usage()
    for each in replies:
        used = used.plus(each.usage) if each.usage else used
    return used


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them at once, in order. The first that raises ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except* Failed as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]  # type: ignore
        raise first from None
    return [task.result() for task in tasks]
