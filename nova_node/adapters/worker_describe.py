"""What a worker process tells of the capabilities of its modules, for its node's card.

Rule: card by card and module by module, so that the node knows which one ended the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
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
    """Cards, and for each reason the names of those that are not offered."""
    cards: list[list[Any]] = []
    withheld: dict[str, list[str]] = {}
    for each in found:
        try:
            cards.append(_card(each, each.check()))
        except NotOffered as error:
            if why := str(error):
                why += f" (fix: {error.fix})" if error.fix else ""
                withheld.setdefault(why, []).append(each.name)
    return {"cards": cards, "withheld": withheld}


def _card(found: Capability[..., Any], offer: Offer) -> list[Any]:
    params = [
        [p.name, p.type, p.required, "" if p.required else json.dumps(_plain(p.default)), p.doc]
        for p in found.params
    ]
    splits, merges = found.splitter is not None, found.merger is not None
    what = [found.name, found.version, found.doc, params, splits, merges, list(found.limits)]
    return [*what, sorted(offer.labels.items()), offer.local]


def _plain(default: object) -> object:
    return None if isinstance(default, bytes) or hasattr(default, "size_bytes") else default
