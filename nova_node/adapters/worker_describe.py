"""What a worker process tells of the capabilities of its modules, for its node's card.

Rule: card by card and module by module, so that the node knows which one ended the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_node.adapters.worker_calls import load
from nova_node.answer import NotOffered, Offer
from nova_node.capability import Capability

Tell = Callable[[dict[str, Any]], None]


def describe(modules: Iterable[str], tell: Tell) -> None:
    for module in modules:
        tell({"loading": module})
        try:
            tell({"loaded": module, **_offered(load(module))})
        except BaseException as error:
            tell({"loaded": module, "error": f"{type(error).__name__}: {error}"})
    tell({"described": True})


def _offered(found: Iterable[Capability[..., Any]]) -> dict[str, Any]:
    """Cards, and for each thing that is missing the names of those that lack it."""
    cards: list[list[Any]] = []
    withheld: dict[str, list[str]] = {}
    models: list[Mapping[str, object]] = []
    for each in found:
        try:
            offer = each.check()
            cards.append(_card(each, offer))
            models.extend(offer.models)
            why = offer.lacks
        except NotOffered as error:
            why = f"not offered, {error}" if str(error) else ""
            why += f" (fix: {error.fix})" if why and error.fix else ""
        if why:
            withheld.setdefault(why, []).append(each.name)
    return {"cards": cards, "withheld": withheld, "models": models}


def _card(found: Capability[..., Any], offer: Offer) -> list[Any]:
    params = [
        [p.name, p.type, p.required, "" if p.required else json.dumps(_plain(p.default)), p.doc]
        for p in found.params
    ]
    splits, merges = found.splitter is not None, found.merger is not None
    what = [found.name, found.version, found.doc, params, splits, merges, list(found.limits)]
    return [*what, sorted(offer.labels.items()), offer.local, found.waits]


def _plain(default: object) -> object:
    return None if isinstance(default, bytes) or hasattr(default, "size_bytes") else default
