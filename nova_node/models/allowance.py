"""What one prompt may cost, before it is sent: its worst case against what may be spent. Pure.

Rule: an unknown price is never within an allowance.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from nova_node.models.catalogue import Entry
from nova_node.models.failing import ModelFailed

INPUT_MARGIN = 1.2
"""Providers count tokens otherwise than litellm, which knows their tokenizers only roughly."""

INPUT_EXTRA_TOKENS = 16
IMAGE_TOKENS = 2000
CUT_MAX = 4
"""An answer may be cut to a quarter of what was asked for, and no further."""


class Fit(NamedTuple):
    """`worst_uusd` is None where no bound was asked for and the price is unknown."""

    max_tokens: int
    worst_uusd: int | None


def worst_input_tokens(counted: int, images: int = 0) -> int:
    return ceil(counted * INPUT_MARGIN) + INPUT_EXTRA_TOKENS + images * IMAGE_TOKENS


def fit(entry: Entry, input_tokens: int, max_tokens: int, left_uusd: int) -> Fit:
    """How much may be asked of a model when `left_uusd` may be spent; `input_tokens` is the worst case.

    Raises ModelFailed: model_price_unknown, model_over_allowance."""
    worst = entry.prices.cost_uusd(input_tokens, max_tokens)
    if worst is None:
        raise ModelFailed(
            "model_price_unknown",
            f"the price of {entry.name} is unknown, and this task may spend {usd(left_uusd)}",
            "name it on its node: --model NAME,price_in=USD,price_out=USD (for a million tokens);"
            " or ask without a budget",
            False,
        )
    if worst <= left_uusd:
        return Fit(max_tokens, worst)
    fewer = min(max_tokens, entry.prices.output_tokens_for(left_uusd, input_tokens))
    if fewer * CUT_MAX < max_tokens or fewer < 1:
        raise ModelFailed(
            "model_over_allowance",
            f"{entry.name} may cost {usd(worst)} for this, and the task may spend {usd(left_uusd)}",
            "raise the budget, lower max_tokens, shorten the prompt, or name a cheaper model",
            False,
        )
    return Fit(fewer, entry.prices.cost_uusd(input_tokens, fewer))


def usd(uusd: int) -> str:
    return f"${uusd / 1e6:.6f}".rstrip("0").rstrip(".")
