"""Keys of providers in the host, as its node gave them over their socket: see key_ring."""

from __future__ import annotations

from nova_node.capability import Fatal
from nova_node.given import node_secret
from nova_node.models.failing import ModelFailed
from nova_node.models.spec import Spec


def key_of(spec: Spec) -> str:
    """ "" where the model names none. Raises ModelFailed."""
    if not spec.key:
        return ""
    try:
        return node_secret(spec.key)
    except Fatal:
        raise ModelFailed(
            "model_auth",
            f"{spec.name}: this node has no {spec.key}",
            "on that node: nova-node secret set NAME, then restart it",
            own_fault=True,
        ) from None
