"""Whether this node can ask models, and which: for its card, asked while the node describes itself.

Rule: a node that has none loads next to nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from nova_node.capability import NotOffered, Offer, setting

if TYPE_CHECKING:
    from nova_node.models.catalogue import Entry

LOCAL, CLOUD = "models.local", "models.cloud"


def offer_chat() -> Offer:
    return _offer("chat")


def offer_embed() -> Offer:
    return _offer("embed")


def _offer(kind: str) -> Offer:
    """Raises NotOffered, in silence where no model was asked for."""
    here = [entry for entry in _here() if entry.kind == kind]
    if not here:
        raise NotOffered
    from nova_node.models.installed import missing

    why = missing()
    if why is not None:
        raise NotOffered(*why)
    return Offer(labels_of(here), models=tuple(entry.row() for entry in here))


def labels_of(here: Sequence[Entry]) -> dict[str, str]:
    from nova_proto.model_names import model_label

    labels = {model_label(entry.name): "yes" for entry in here}
    return labels | {LOCAL if entry.spec.local else CLOUD: "yes" for entry in here}


@cache
def _here() -> tuple[Entry, ...]:
    """Found out once a process."""
    from nova_node.models.catalogue import models_here
    from nova_node.models.discover import NEARBY

    try:
        given = {key: setting(key) for key in ("models.use", "models.discover")}
    except KeyError:  # whoever runs this process knows of no models
        return ()
    with suppress(KeyError):  # the node has not looked yet
        given[NEARBY] = setting(NEARBY)
    return models_here(given)
