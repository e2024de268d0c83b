"""Which models a mesh has, and in what order a prompt may try them. Pure.

A want is the name of a model, several with commas (the first that is there), `cheapest` or
`fastest`; "" is `cheapest`. An unknown price or speed comes last: unknown is not nothing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from nova_proto.model_names import model_label

from nova_client.errors import NotFound
from nova_client.model import Model, NodeView

CHEAPEST, FASTEST = "cheapest", "fastest"
LOCAL_LABEL = ("models.local", "yes")
PREFERS_MAX = 8

# an ordinary call, to compare prices and speeds by
_INPUT_TOKENS, _OUTPUT_TOKENS = 1_000, 300


class Offer(NamedTuple):
    """A model as one node offers it."""

    node: str
    #: of the node
    name: str
    model: Model


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model must be, and what it had better be able to do: a model that does not say that it
    can (few local ones do) is asked only when named, or when none says so."""

    kind: Literal["chat", "embed"] = "chat"
    local_only: bool = False
    images: bool = False
    tools: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Names for `models` of llm.chat, and `prefers` and `labels` of its submit, best first."""

    models: tuple[str, ...]
    prefers: tuple[tuple[str, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def offers(nodes: Iterable[NodeView]) -> tuple[Offer, ...]:
    """Of the nodes that take work now, by name of model and node."""
    found = [
        Offer(node.node, node.name, model)
        for node in nodes
        if node.state == "alive" and not node.skew and not node.draining
        for model in node.models
    ]
    return tuple(sorted(found, key=lambda offer: (offer.model.name, offer.name, offer.node)))


def choose(found: Iterable[Offer], want: str = "", needs: Needs = Needs()) -> Choice:
    """Raises NotFound: nothing of what is offered will do."""
    offered = tuple(found)
    fit = [offer for offer in offered if _fits(offer.model, needs)]
    able = [offer for offer in fit if _is_able(offer.model, needs)] or fit
    match want:
        case "" | "cheapest":
            names = _ranked(able, _price)
        case "fastest":
            names = _ranked(able, _seconds)
        case _:
            names = _named(fit, want)
    if not names:
        raise _nothing(offered, fit, want, needs)
    del names[PREFERS_MAX:]
    prefers = tuple((model_label(name), "yes") for name in names)
    return Choice(tuple(names), prefers, dict([LOCAL_LABEL]) if needs.local_only else {})


def price_uusd(model: Model, input_tokens: int, output_tokens: int) -> float | None:
    """None: not known."""
    if model.input_uusd_per_mtok is None or model.output_uusd_per_mtok is None:
        return None
    spent = input_tokens * model.input_uusd_per_mtok + output_tokens * model.output_uusd_per_mtok
    return spent / 1e6


def _fits(model: Model, needs: Needs) -> bool:
    return model.kind == needs.kind and (model.local or not needs.local_only)


def _is_able(model: Model, needs: Needs) -> bool:
    return (model.takes_images or not needs.images) and (model.calls_tools or not needs.tools)


def _ranked(fit: list[Offer], measure: Callable[[Model], float]) -> list[str]:
    """Names, by the best offer of each."""
    best: dict[str, tuple[float, bool]] = {}
    for offer in fit:
        name, rank = offer.model.name, (measure(offer.model), not offer.model.local)
        best[name] = min(best.get(name, rank), rank)
    return sorted(best, key=lambda name: (best[name], name))


def _price(model: Model) -> float:
    known = price_uusd(model, _INPUT_TOKENS, _OUTPUT_TOKENS)
    return math.inf if known is None else known


def _seconds(model: Model) -> float:
    if not model.tokens_per_s:
        return math.inf
    return model.ttft_ms / 1000 + _OUTPUT_TOKENS / model.tokens_per_s


def _named(fit: list[Offer], want: str) -> list[str]:
    """A name may leave out the provider before its slash."""
    names = sorted({offer.model.name for offer in fit})
    found: dict[str, None] = {}
    for wanted in (part.strip() for part in want.split(",")):
        exact = [name for name in names if name == wanted]
        found.update(
            dict.fromkeys(exact or [n for n in names if n.partition("/")[2] == wanted and wanted])
        )
    return list(found)


def _nothing(offered: tuple[Offer, ...], fit: list[Offer], want: str, needs: Needs) -> NotFound:
    if not offered:
        return NotFound(
            "no node of the mesh has a model", "give one a model: nova-node start --model NAME"
        )
    where = " that is local" if needs.local_only else ""
    known = list(dict.fromkeys(offer.model.name for offer in fit))
    if want in ("", CHEAPEST, FASTEST) or not known:
        return NotFound(f"no {needs.kind} model{where} is here", "see what there is: nova models")
    alike = difflib.get_close_matches(want, known, n=3)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    return NotFound(
        f"no {needs.kind} model{where} is called {want[:100]}",
        f"{hint}see what there is: nova models",
    )
