"""Answers given before, in place of asking a model again. See docs/models-cache.md.

Order: what this very task was answered before (whatever it wishes), what somebody is asking right now,
the exact question, one like it.
Rules: never across persons; nothing of a sensitive task is read or kept; every hit says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from nova_node.capability import (
    Usage,
    allowance_uusd,
    say,
    sensitive,
    setting,
    spend,
    submitter,
    task_id,
)
from nova_node.models import cache_keys as keys
from nova_node.models import vectors
from nova_node.models.asking import Asker
from nova_node.models.cache_store import BODY_MAX_CHARS, Answers
from nova_node.models.catalogue import Entry
from nova_node.models.failing import ModelFailed
from nova_node.models.flights import Found
from nova_node.models.gateway import Question
from nova_node.models.memory import Memory, memory
from nova_node.models.vectors import Packed

RECORD_TTL_S = 86_400.0
ENTRIES_MAX = 8
"""Models of one question that are looked for."""
EMBED_S = 5.0
"""An embedding model that takes longer would cost more than it saves."""
WHOLE = ("stop", "tool_calls", "function_call")
"""How an answer ends that is all of it."""

MISS, EXACT, SHARED, RECORDED = "miss", "exact", "shared", "recorded"

Result = dict[str, Any]
Ask = Callable[[int], Awaitable[Result]]
"""Asks the model; gets what it may spend."""


class Rules(NamedTuple):
    ttl_s: float
    similarity: float
    #: name of a model; "": exact matches alone
    embedder: str


def rules() -> Rules:
    """By the node's settings. Raises KeyError where there are none."""
    names = ("models.cache_ttl_s", "models.cache_similarity", "models.cache_embed")
    return Rules(*map(setting, names))


class Meant(NamedTuple):
    """What a question means, by one embedding model."""

    embedder: Entry
    vector: Packed


async def answer(
    question: Question,
    ready: Sequence[Entry],
    fresh: bool,
    embedders: Callable[[bool], Awaitable[Sequence[Entry]]],
    asker: Asker,
    ask: Ask,
) -> Result:
    """The result of llm.chat. `embedders` tells which models can be asked for vectors, given whether
    they have to be local. Raises what `ask` raises."""
    kept = None if sensitive() else memory()
    if kept is None:
        return await ask(allowance_uusd())
    call = _Call(kept.answers, question, ready)
    if body := await call.recorded():
        return _served(Found(body, RECORDED))
    looks = bool(call.rules.ttl_s) and keys.may_be_kept(question)
    if not looks or fresh:
        meant, spent_uusd = await _meant(call, embedders, asker) if looks else (None, 0)
        result, _ = await call.ask(ask, spent_uusd, looks, meant)
        return {**result, "cache": ""}
    key = call.key
    if found := await asker.flights.wait(key):
        return call.give(found)
    with asker.flights.asking(key) as land:
        meant, spent_uusd = None, 0
        found = await call.exact()
        if not found:
            meant, spent_uusd = await _meant(call, embedders, asker)
            found = await call.like(meant) if meant else None
        if found:
            land(found)
            return call.give(found)
        result, body = await call.ask(ask, spent_uusd, looks, meant)
        if body:
            land(Found(body, SHARED))
    return {**result, "cache": MISS}


class _Call:
    """One question of the task that is running."""

    def __init__(self, answers: Answers, question: Question, ready: Sequence[Entry]) -> None:
        self._answers, self._question, self.ready = answers, question, ready
        self._person, self.rules, self._now = submitter(), rules(), time.time()
        answers.kept_s = max(RECORD_TTL_S, self.rules.ttl_s)
        self._record = keys.recorded(self._person, task_id(), question._asdict())

    async def recorded(self) -> str | None:
        return await self._answers.get([self._record], self._now - RECORD_TTL_S)

    async def exact(self) -> Found | None:
        wanted = [self._exact(entry) for entry in self.ready[:ENTRIES_MAX]]
        body = await self._answers.get(wanted, self._now - self.rules.ttl_s)
        return Found(body, EXACT) if body else None

    async def like(self, meant: Meant) -> Found | None:
        for entry in self.ready[:ENTRIES_MAX]:
            since = self._now - self.rules.ttl_s
            near = await self._answers.near(self._scope(entry, meant), meant.vector, since)
            if near and near.similarity >= self.rules.similarity:
                return Found(near.body, f"semantic {near.similarity:.2f}")
        return None

    def give(self, found: Found) -> Result:
        self._record_it(found.body)
        return _served(found)

    def _record_it(self, body: str) -> None:
        """For another attempt of this task, should this one come to nothing after all."""
        self._answers.put(self._record, "", body, self._now)

    async def ask(
        self, ask: Ask, spent_uusd: int, looks: bool, meant: Meant | None
    ) -> tuple[Result, str]:
        """What came of the model, and as a text where that may be given again."""
        allowed = allowance_uusd()
        result = await ask(max(1, allowed - spent_uusd) if allowed else 0)
        return result, self._keep(result, looks, meant)

    def _keep(self, result: Result, looks: bool, meant: Meant | None) -> str:
        """ "" where it may not be given to other tasks."""
        try:
            body = json.dumps(result)
        except (TypeError, ValueError):
            return ""
        self._record_it(body)
        entry = next((each for each in self.ready if each.name == result["model"]), None)
        said = result["text"] or result["tool_calls"]
        whole = result["finish"] in WHOLE and len(body) <= BODY_MAX_CHARS
        if not looks or entry is None or not whole or not said:
            return ""
        fits = meant is not None and not result["tool_calls"]
        scope = self._scope(entry, meant) if meant and fits else ""
        vector = meant.vector if meant and fits else None
        self._answers.put(self._exact(entry), scope, body, self._now, vector)
        return body

    @property
    def key(self) -> str:
        """Of all that decides what is answered, and by whom it may be."""
        return keys.digest(*map(self._exact, self.ready))

    def _exact(self, entry: Entry) -> str:
        return keys.exact(self._person, entry.spec, self._question)

    def _scope(self, entry: Entry, meant: Meant) -> str:
        return keys.scope(self._person, entry.spec, meant.embedder.spec, self._question)

    @property
    def text(self) -> str:
        return keys.meaning(self._question)


async def _meant(
    call: _Call, embedders: Callable[[bool], Awaitable[Sequence[Entry]]], asker: Asker
) -> tuple[Meant | None, int]:
    """And what that cost. Words for a local model are shown to no other that is not."""
    if not call.rules.embedder or not call.text:
        return None, 0
    try:
        found = await embedders(call.ready[0].spec.local)
    except ModelFailed:
        return None, 0
    return await embedded(asker, found, call.text, allowance_uusd())


async def embedded(
    asker: Asker, embedders: Sequence[Entry], text: str, left_uusd: int
) -> tuple[Meant | None, int]:
    """What a text means, and what it cost to find out; None when that cannot be had."""
    used: list[Usage] = []
    try:
        async with asyncio.timeout(EMBED_S):
            found = await asker.embed(embedders[:1], [text], left_uusd, used.append)
    except (ModelFailed, TimeoutError):
        found = None
    for each in used:  # the model of the attempt is the one that answers
        spend(Usage(spent_uusd=each.spent_uusd))
    vector = vectors.pack(found.vectors[0]) if found else None
    meant = Meant(found.entry, vector) if found and vector else None
    return meant, sum(each.spent_uusd or 0 for each in used)


def _served(found: Found) -> Result:
    body, how = found
    result: Result = json.loads(body)
    spend(Usage(result["model"], cache=how))
    say(result["text"])
    nothing = dict.fromkeys(result["usage"], 0)
    return {**result, "usage": nothing, "cost_usd": 0.0, "ttft_ms": 0.0, "cache": how}


async def asked_before(kept: Memory | None, what: object) -> Any:
    """What this task was told when it asked for `what` in an earlier attempt; None: it did not."""
    if kept is None or sensitive():
        return None
    key = keys.recorded(submitter(), task_id(), what)
    body = await kept.answers.get([key], time.time() - RECORD_TTL_S)
    return None if body is None else json.loads(body)


def was_told(kept: Memory | None, what: object, value: object) -> None:
    """Remembers it for another attempt of this task."""
    if kept is not None and not sensitive():
        key = keys.recorded(submitter(), task_id(), what)
        kept.answers.put(key, "", json.dumps(value), time.time())
