"""What prompts would cost, by model: the least, what is to be expected, and the most. Pure.

Unknown is None: a price that nobody told, and what to expect of a model that has not answered yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nova_node.answer import BadArgument
from nova_node.models.allowance import worst_input_tokens
from nova_node.models.catalogue import Entry
from nova_node.models.measured import Figures

LEAST_OUTPUT_TOKENS = 1
OUTPUT_TOKENS_MAX = 1_000_000
_USUAL = '{"count": ANSWERS, "output_tokens": MEAN}'


def row(
    entry: Entry, input_tokens: int, images: int, max_tokens: int, prompts: int, known: Figures
) -> dict[str, Any]:
    """In millionths of a US dollar, for so many prompts."""
    if entry.output_tokens:
        max_tokens = min(max_tokens, entry.output_tokens)
    usual = min(max_tokens, round(known.output_tokens)) if known.answers else None
    worst_input = worst_input_tokens(input_tokens, images)
    return {
        "model": entry.name,
        "local": entry.spec.local,
        "input_tokens": input_tokens * prompts,
        "output_tokens_max": max_tokens * prompts,
        "answers_known": known.answers,
        "low_uusd": _cost(entry, input_tokens, LEAST_OUTPUT_TOKENS, prompts),
        "expected_uusd": None if usual is None else _cost(entry, input_tokens, usual, prompts),
        "worst_uusd": _cost(entry, worst_input, max_tokens, prompts),
    }


def usual_of(told: Mapping[str, Any]) -> dict[str, Figures]:
    """What a caller knows of answers elsewhere: by model, {"count", "output_tokens"}. Raises BadArgument."""
    found: dict[str, Figures] = {}
    for name, each in told.items():
        try:
            count, tokens = int(each["count"]), float(each["output_tokens"])
        except (TypeError, ValueError, KeyError, OverflowError):
            count = tokens = -1
        if count < 0 or not 0 <= tokens <= OUTPUT_TOKENS_MAX:
            raise BadArgument(f"usual of {name[:100]!r} is no {_USUAL}", f"give {_USUAL}")
        found[name] = Figures(output_tokens=tokens, answers=count)
    return found


def _cost(entry: Entry, given: int, made: int, prompts: int) -> int | None:
    one = entry.prices.cost_uusd(given, made)
    return None if one is None else one * prompts


def total(rows: Iterable[dict[str, Any]]) -> dict[str, int | None]:
    """Over the models that may be asked: from the cheapest to the dearest. None: of one, nobody knows."""
    found = list(rows)
    return {
        "low_uusd": _of(min, [each["low_uusd"] for each in found]),
        "expected_uusd": found[0]["expected_uusd"] if found else None,
        "worst_uusd": _of(max, [each["worst_uusd"] for each in found]),
    }


def _of(pick: Any, numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return pick(known) if known and len(known) == len(numbers) else None
