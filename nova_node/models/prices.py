"""What a model costs and can do, by litellm's price map, read from disk without litellm itself.

Prices are integers: millionths of a US dollar for a million tokens. An unknown price is None, never 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

MAP_FILE = "model_prices_and_context_window_backup.json"
_MILLION = 1_000_000
_TIER = re.compile(r"(input|output)_cost_per_token_above_([0-9]+)k_tokens")
_KINDS = {"chat": "chat", "completion": "chat", "responses": "chat", "embedding": "embed"}

PriceMap = Mapping[str, Mapping[str, Any]]


class Tier(NamedTuple):
    """Prices of a call with more input than `above_tokens`."""

    above_tokens: int
    input: int
    output: int


class Prices(NamedTuple):
    """`tiers` begin at 0 and rise; none: the price is unknown."""

    tiers: tuple[Tier, ...] = ()
    #: input that the provider had cached
    cached: int | None = None

    @property
    def known(self) -> bool:
        return bool(self.tiers)

    @property
    def free(self) -> bool:
        return self.known and not any(tier.input or tier.output for tier in self.tiers)

    def cost_uusd(
        self, input_tokens: int, output_tokens: int, cached_tokens: int = 0
    ) -> int | None:
        """Rounded up; None where the price is unknown."""
        if not self.tiers:
            return None
        tier = [t for t in self.tiers if input_tokens > t.above_tokens or not t.above_tokens][-1]
        cached = min(cached_tokens, input_tokens) if self.cached is not None else 0
        total = (input_tokens - cached) * tier.input + output_tokens * tier.output
        return ceil((total + cached * min(self.cached or 0, tier.input)) / _MILLION)

    def output_tokens_for(self, uusd: int, input_tokens: int) -> int:
        """The most output that surely costs no more, beside so much input. The price is known."""
        left = uusd - (self.cost_uusd(input_tokens, 0) or 0)
        if left < 0:
            return 0
        price = max(tier.output for tier in self.tiers)
        return left * _MILLION // price if price else 1 << 31


UNKNOWN = Prices()
FREE = Prices((Tier(0, 0, 0),))


def flat(price_in: int, price_out: int) -> Prices:
    return Prices((Tier(0, price_in, price_out),))


class Facts(NamedTuple):
    """Of a model; 0 and False: not known of it."""

    kind: str = ""
    context_tokens: int = 0
    output_tokens: int = 0
    prices: Prices = UNKNOWN
    takes_images: bool = False
    calls_tools: bool = False
    #: answers with JSON of a given schema
    takes_schema: bool = False


NO_FACTS = Facts()


def load_price_map() -> PriceMap:
    """litellm's own, as installed; empty without litellm."""
    found = find_spec("litellm")
    if found is None or not found.submodule_search_locations:
        return {}
    path = Path(found.submodule_search_locations[0]) / MAP_FILE
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def facts_of(model: str, prices: PriceMap) -> Facts:
    """Of a model by litellm's name for it, with or without its provider in front."""
    row = prices.get(model)
    if row is None:
        provider, _, name = model.partition("/")
        row = prices.get(name, {})
        if not str(row.get("litellm_provider", "")).startswith(provider):
            return NO_FACTS
    return Facts(
        _KINDS.get(row.get("mode") or "", ""),
        _count(row.get("max_input_tokens")),
        _count(row.get("max_output_tokens")),
        _prices(row),
        bool(row.get("supports_vision")),
        bool(row.get("supports_function_calling")),
        bool(row.get("supports_response_schema")),
    )


def _prices(row: Mapping[str, Any]) -> Prices:
    first = _rate(row.get("input_cost_per_token"))
    out = [row.get("output_cost_per_token"), row.get("output_cost_per_reasoning_token")]
    if row.get("mode") == "embedding":
        out = [out[0] or 0]
    rates = [_rate(each) for each in out if each is not None]
    dearest = max((rate for rate in rates if rate is not None), default=None)
    if first is None or dearest is None:
        return UNKNOWN
    tiers = [Tier(0, first, dearest)]
    for above in sorted(_thresholds(row)):
        kinds = [_rate(row.get(f"{k}_cost_per_token_above_{above}k_tokens")) for k in _BOTH]
        tiers.append(Tier(above * 1000, kinds[0] or tiers[-1].input, kinds[1] or tiers[-1].output))
    return Prices(tuple(tiers), _rate(row.get("cache_read_input_token_cost")))


_BOTH = ("input", "output")


def _thresholds(keys: Iterable[str]) -> set[int]:
    return {int(found[2]) for key in keys if (found := _TIER.fullmatch(key))}


def _rate(usd_per_token: object) -> int | None:
    if not isinstance(usd_per_token, int | float) or isinstance(usd_per_token, bool):
        return None
    return ceil(usd_per_token * _MILLION * _MILLION - 1e-6)


def _count(raw: object) -> int:
    try:
        return max(0, int(raw or 0))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return 0
