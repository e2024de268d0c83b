"""One prompt, asked of the models of this node: which of them, within what may be spent, and what came.

Rule: a model that fails before it said a word gives way to the next; what was said cannot be taken back,
so a failure after that is the attempt's, and the mesh tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nova_node.capability import Usage
from nova_node.models import schema
from nova_node.models.allowance import fit, worst_input_tokens
from nova_node.models.catalogue import Entry, matching
from nova_node.models.cooldowns import Cooldowns
from nova_node.models.failing import ModelFailed
from nova_node.models.flights import Flights
from nova_node.models.gateway import Gateway, Question, Reply, Tell
from nova_node.models.keys import key_of
from nova_node.models.measured import Measured
from nova_node.models.messages import images_in, with_schema, without_images
from nova_node.models.spec import Kind

Spend = Callable[[Usage], None]
EMBED_AT_ONCE = 64
"""Texts of one request to a provider."""


class Asked(NamedTuple):
    """What came of a prompt, and of which model. `spent_uusd` is None where the price is unknown."""

    entry: Entry
    reply: Reply
    spent_uusd: int | None
    #: where a schema was asked for
    parsed: Any


class Embedded(NamedTuple):
    entry: Entry
    vectors: list[list[float]]
    input_tokens: int
    spent_uusd: int | None


class Asker:
    """Of one process. `spend` gets what each try used, also of those that fail or are cancelled."""

    def __init__(self, gateway: Gateway, timeout_s: float) -> None:
        self.gateway = gateway
        self.cooldowns, self.measured, self.flights = Cooldowns(), Measured(), Flights()
        self._timeout_s = timeout_s

    def choose(
        self, here: Sequence[Entry], names: Sequence[str], local_only: bool, kind: Kind = "chat"
    ) -> list[Entry]:
        """Those that may be asked now, best first. Raises ModelFailed: there is none."""
        found = matching(here, names, kind)
        if not found:
            has = ", ".join(entry.name for entry in here if entry.kind == kind) or "none"
            raise ModelFailed(
                "model_unavailable",
                f"this node has no {kind} model {' or '.join(names)[:200]}; it has {has[:300]}",
                "see what the mesh has: nova models; or start a node with --model NAME",
            )
        if local_only:
            found = [entry for entry in found if entry.spec.local]
            if not found:
                raise ModelFailed(
                    "model_refused_local",
                    "the prompt may reach local models alone, and this node has none of those asked",
                    "name a local model, or start a node with one",
                )
        now = _now()
        ready = [entry for entry in found if not self.cooldowns.left_s(entry.name, now)]
        if not ready:
            raise self._all_cool(found, now)
        return ready

    async def chat(
        self, entries: Sequence[Entry], question: Question, left_uusd: int, tell: Tell, spend: Spend
    ) -> Asked:
        """Asks one after the other. `left_uusd` is the most that may be spent; 0: no bound.

        Raises ModelFailed: that of the last one."""
        purse = _Purse(left_uusd)
        failed: ModelFailed | None = None
        for entry in entries:
            hearing = _Heard(tell)
            try:
                return await self._chat(entry, question, purse, hearing, spend)
            except ModelFailed as failure:
                self.cooldowns.after(entry.name, failure, _now())
                if hearing.heard or failure.code in ("model_bad_request", "model_bad_output"):
                    raise
                failed = failure if failed is None or failure.retryable else failed
        assert failed is not None
        raise failed

    async def embed(
        self, entries: Sequence[Entry], texts: Sequence[str], left_uusd: int, spend: Spend
    ) -> Embedded:
        """A vector for each text, of one model. Raises ModelFailed."""
        failed: ModelFailed | None = None
        for entry in entries:
            try:
                return await self._embed(entry, texts, left_uusd, spend)
            except ModelFailed as failure:
                self.cooldowns.after(entry.name, failure, _now())
                failed = failure
        assert failed is not None
        raise failed

    async def count(self, entry: Entry, question: Question) -> int:
        """Tokens of the question as litellm counts them, pictures aside."""
        plain = question._replace(messages=without_images(question.messages))
        return await self.gateway.count(entry.spec, plain)

    async def _chat(
        self, entry: Entry, question: Question, purse: _Purse, hearing: _Heard, spend: Spend
    ) -> Asked:
        key, form = key_of(entry.spec), question.schema
        question = _for_it(entry, question)
        worst: int | None = None
        if purse.bound:
            counted = await self.count(entry, question)
            taken = worst_input_tokens(counted, images_in(question.messages))
            tokens, worst = fit(entry, taken, question.max_tokens, purse.left_uusd)
            question = question._replace(max_tokens=tokens)
        try:
            reply = await self.gateway.chat(
                entry.spec, key, question, self._timeout_s, hearing.hear
            )
        except (ModelFailed, asyncio.CancelledError) as error:
            if not isinstance(error, ModelFailed) or error.maybe_billed:
                purse.take(worst)
                spend(Usage(entry.name, 0, 0, 0 if entry.prices.free else None))
            raise
        spent = entry.prices.cost_uusd(reply.input_tokens, reply.output_tokens, reply.cached_tokens)
        spend(Usage(entry.name, reply.input_tokens, reply.output_tokens, spent))
        now = _now()
        self.cooldowns.well(entry.name)
        self.measured.note(entry.name, reply.ttft_s, reply.output_tokens, reply.elapsed_s, now)
        return Asked(entry, reply, spent, _parsed(entry, form, question.max_tokens, reply))

    async def _embed(
        self, entry: Entry, texts: Sequence[str], left_uusd: int, spend: Spend
    ) -> Embedded:
        key = key_of(entry.spec)
        if left_uusd:
            counted = await self.gateway.count(
                entry.spec, Question([{"role": "user", "content": "\n".join(texts)}], 0)
            )
            fit(entry, worst_input_tokens(counted), 0, left_uusd)
        vectors: list[list[float]] = []
        tokens, spent = 0, entry.prices.cost_uusd(0, 0)
        for start in range(0, len(texts), EMBED_AT_ONCE):
            part = texts[start : start + EMBED_AT_ONCE]
            found = await self.gateway.embed(entry.spec, key, part, self._timeout_s)
            cost = entry.prices.cost_uusd(found.input_tokens, 0)
            spend(Usage(entry.name, found.input_tokens, 0, cost))
            vectors += found.vectors
            tokens += found.input_tokens
            spent = None if spent is None or cost is None else spent + cost
        self.cooldowns.well(entry.name)
        return Embedded(entry, vectors, tokens, spent)

    def _all_cool(self, found: Sequence[Entry], now: float) -> ModelFailed:
        left_s, entry = min((self.cooldowns.left_s(each.name, now), each) for each in found)
        failure = self.cooldowns.failure(entry.name)
        return ModelFailed(
            failure.code,
            f"{entry.name} is left alone on this node for another {left_s:.1f} s, after: {failure}",
            failure.fix,
            retry_after_s=0.0 if failure.own_fault else left_s,
        )


class _Purse:
    """What one attempt may still spend, over all the models it tries."""

    def __init__(self, uusd: int) -> None:
        self.bound = uusd > 0
        self.left_uusd = uusd

    def take(self, uusd: int | None) -> None:
        self.left_uusd = max(0, self.left_uusd - (uusd or 0))


class _Heard:
    def __init__(self, tell: Tell) -> None:
        self._tell, self.heard = tell, False

    def hear(self, text: str) -> None:
        self.heard = True
        self._tell(text)


def _for_it(entry: Entry, question: Question) -> Question:
    """Within what the model is known to take."""
    if entry.output_tokens and question.max_tokens > entry.output_tokens:
        question = question._replace(max_tokens=entry.output_tokens)
    if question.schema is not None and not entry.takes_schema:
        messages = with_schema(question.messages, question.schema)
        question = question._replace(messages=messages, schema=None)
    return question


def _parsed(entry: Entry, form: object, max_tokens: int, reply: Reply) -> Any:
    if form is None or reply.tool_calls:
        return None
    try:
        value = schema.parse(reply.text)
        schema.check(value, form)
    except schema.Unfit as error:
        cut = reply.finish == "length"
        why = f"it was cut off at {max_tokens} tokens" if cut else str(error)
        raise ModelFailed(
            "model_bad_output",
            f"the answer of {entry.name} is not of the form asked for: {why}",
            "raise max_tokens" if cut else "ask a stronger model, or simplify the schema",
            retryable=not cut,
        ) from None
    return value


def _now() -> float:
    return asyncio.get_running_loop().time()


def figures(asked: Asked) -> Mapping[str, Any]:
    """How an answer came about, for its caller."""
    reply, spent = asked.reply, asked.spent_uusd
    return {
        "model": asked.entry.name,
        "finish": reply.finish,
        "usage": {
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "cached_tokens": reply.cached_tokens,
        },
        "cost_usd": None if spent is None else spent / 1e6,
        "ttft_ms": round(reply.ttft_s * 1000, 1),
    }
