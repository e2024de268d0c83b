"""Which models this node has, and what is known of each: as configured, found, and by the price map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nova_node.models.discover import NEARBY, discover, seen
from nova_node.models.prices import FREE, UNKNOWN, Facts, PriceMap, Prices, facts_of, flat
from nova_node.models.prices import load_price_map as _load_price_map
from nova_node.models.spec import OPENAI, Kind, Spec, parse_spec

MODELS_MAX = 256


class Entry(NamedTuple):
    """A model of this node; 0 tokens: not known."""

    spec: Spec
    kind: Kind
    prices: Prices
    context_tokens: int = 0
    output_tokens: int = 0
    takes_images: bool = False
    calls_tools: bool = False
    takes_schema: bool = True

    @property
    def name(self) -> str:
        return self.spec.name

    def row(self) -> dict[str, object]:
        """For the node's card: fields of Model by name. Of prices in tiers the first."""
        tier = self.prices.tiers[0] if self.prices.tiers else None
        return {
            "name": self.name,
            "kind": self.kind,
            "local": self.spec.local,
            "context_tokens": self.context_tokens,
            "output_tokens_max": self.output_tokens,
            "input_uusd_per_mtok": tier.input if tier else None,
            "output_uusd_per_mtok": tier.output if tier else None,
            "takes_images": self.takes_images,
            "calls_tools": self.calls_tools,
        }


def models_here(settings: Mapping[str, Any]) -> tuple[Entry, ...]:
    """By the settings `models.use` and `models.discover`, or what the node saw of late. Blocks, for a
    fraction of a second."""
    specs = [parse_spec(text) for text in settings["models.use"]]
    prices: PriceMap = _load_price_map() if specs else {}
    nearby = settings.get(NEARBY)
    if nearby is not None:
        return entries(seen(specs, nearby), prices)
    found = discover() if settings["models.discover"] else []
    return entries([*specs, *found], prices)


def entries(specs: Iterable[Spec], prices: PriceMap) -> tuple[Entry, ...]:
    """The first of each name."""
    by_name: dict[str, Entry] = {}
    for spec in specs:
        by_name.setdefault(spec.name, _entry(spec, prices))
    return tuple(by_name.values())[:MODELS_MAX]


def matching(here: Sequence[Entry], names: Sequence[str], kind: Kind) -> list[Entry]:
    """Those that are named, in that order, or all of the kind; a name may leave its provider out."""
    fit = [entry for entry in here if entry.kind == kind]
    if not names:
        return fit
    found: dict[str, Entry] = {}
    for name in names:
        exact = [entry for entry in fit if entry.name == name]
        short = [entry for entry in fit if entry.name.partition("/")[2] == name]
        found.update({entry.name: entry for entry in exact or short})
    return list(found.values())


def _entry(spec: Spec, prices: PriceMap) -> Entry:
    own_server = spec.provider == OPENAI
    facts = Facts() if own_server else facts_of(spec.model, prices)
    kind: Kind = spec.kind or ("embed" if facts.kind == "embed" else "chat")
    return Entry(
        spec,
        kind,
        _prices(spec, facts),
        spec.context_tokens or facts.context_tokens,
        spec.output_tokens or facts.output_tokens,
        facts.takes_images,
        facts.calls_tools,
        own_server or facts.takes_schema,
    )


def _prices(spec: Spec, facts: Facts) -> Prices:
    """A server of one's own costs nothing by the token; one far away costs what nobody said."""
    if spec.price_in is not None:
        return flat(spec.price_in, spec.price_out or 0)
    if spec.provider == OPENAI:
        return FREE if spec.local else UNKNOWN
    return facts.prices
