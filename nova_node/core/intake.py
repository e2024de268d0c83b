"""Which submits an owner does not take."""

from __future__ import annotations

from nova_node.core.errors import Draining, Invalid, NovaError, Overloaded
from nova_node.core.signals import Submit


def refuse(submit: Submit, unended: int, unended_max: int, draining: bool) -> NovaError | None:
    """The reason to refuse a submit, or None. `unended` counts root tasks that have not ended."""
    count = sum(len(group.calls) for group in submit.groups)
    if draining:
        return Draining("this node is draining", "submit to another node")
    if not count:
        return Invalid("a submit holds at least one call", "add a call")
    if unended + count > unended_max:
        return Overloaded(
            f"{unended} tasks have not ended and at most {unended_max} may be open",
            "wait for some to end, or submit to another node",
        )
    return None
