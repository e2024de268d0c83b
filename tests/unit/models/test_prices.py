"""Prices are exact, and unknown is not zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_node.models.catalogue import entries, matching
from nova_node.models.prices import (
    FREE,
    UNKNOWN,
    Prices,
    Tier,
    facts_of,
    flat,
    load_price_map,
)
from nova_node.models.spec import parse_spec

MAP = {
    "plain": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "max_input_tokens": 128000,
        "max_output_tokens": 16384,
        "supports_vision": True,
        "cache_read_input_token_cost": 1e-06,
    },
    "acme/tiered": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        "output_cost_per_reasoning_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 2e-06,
        "output_cost_per_token_above_200k_tokens": 4e-06,
    },
    "acme/vectors": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": 1e-7},
    "acme/by-the-second": {"litellm_provider": "acme", "mode": "chat", "cost_per_second": 1},
}


def test_costs_are_rounded_up() -> None:
    assert flat(1_000_000, 2_000_000).cost_uusd(7, 3) == 13
    assert flat(1, 1).cost_uusd(1, 0) == 1
    assert FREE.cost_uusd(10**9, 10**9) == 0
    assert UNKNOWN.cost_uusd(1, 1) is None
    assert FREE.free
    assert not flat(1, 0).free
    assert not UNKNOWN.free


def test_long_prompts_cost_the_dearer_tier() -> None:
    prices = facts_of("acme/tiered", MAP).prices
    assert prices.tiers == (Tier(0, 1_000_000, 3_000_000), Tier(200_000, 2_000_000, 4_000_000))
    assert prices.cost_uusd(200_000, 1) == 200_003
    assert prices.cost_uusd(200_001, 1) == 400_006


def test_cached_input_costs_less_and_never_more() -> None:
    prices = facts_of("plain", MAP).prices
    assert prices.cost_uusd(100, 0) == 250
    assert prices.cost_uusd(100, 0, cached_tokens=100) == 100
    assert prices.cost_uusd(100, 0, cached_tokens=10**9) == 100


def test_facts_come_by_any_name_of_a_model() -> None:
    facts = facts_of("acme/plain", MAP)
    assert facts == facts_of("plain", MAP)
    assert (facts.kind, facts.context_tokens, facts.output_tokens) == ("chat", 128000, 16384)
    assert facts.takes_images
    assert not facts.calls_tools
    assert facts_of("other/plain", MAP).prices == UNKNOWN
    assert facts_of("nothing", MAP).prices == UNKNOWN
    assert facts_of("acme/by-the-second", MAP).prices == UNKNOWN
    assert facts_of("acme/vectors", MAP).prices.cost_uusd(10, 0) == 1


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**6), st.integers(0, 10**9))
def test_what_output_fits_costs_no_more(
    price_in: int, price_out: int, input_tokens: int, left: int
) -> None:
    prices = Prices((Tier(0, price_in, price_out), Tier(1000, price_in * 2, price_out * 2)))
    tokens = prices.output_tokens_for(left, input_tokens)
    cost = prices.cost_uusd(input_tokens, tokens)
    assert cost is not None
    assert tokens == 0 or cost <= left


def test_litellms_own_map_is_read_without_it() -> None:
    import sys

    had = "litellm" in sys.modules
    prices = load_price_map()
    assert facts_of("gpt-4o", prices).prices.known
    assert facts_of("openai/gpt-4o", prices) == facts_of("gpt-4o", prices)
    assert ("litellm" in sys.modules) is had


def test_the_catalogue_joins_what_is_told_and_what_is_known() -> None:
    texts = (
        "acme/plain",
        "acme/plain,price_in=1,price_out=1",
        "acme/vectors",
        "near,url=http://127.0.0.1:1/v1",
        "far,url=https://models.example/v1",
        "told,url=https://models.example/v1,price_in=1,price_out=2",
    )
    here = entries([parse_spec(text) for text in texts], MAP)
    known = {entry.name: entry.prices.known for entry in here}
    assert known == {
        "acme/plain": True,
        "acme/vectors": True,
        "near": True,
        "far": False,
        "told": True,
    }
    assert here[0].prices.cost_uusd(2, 0) == 5, "the first of a name counts"
    assert [entry.name for entry in matching(here, (), "embed")] == ["acme/vectors"]
    assert [e.name for e in matching(here, ("told", "plain", "vectors"), "chat")] == [
        "told",
        "acme/plain",
    ]


@pytest.mark.parametrize("url", ["https://models.example/v1", "http://10.0.0.1/v1"])
def test_a_known_name_elsewhere_has_no_known_price(url: str) -> None:
    (entry,) = entries([parse_spec(f"plain,url={url}")], MAP)
    assert not entry.prices.known
