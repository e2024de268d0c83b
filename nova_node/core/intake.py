"""Which submits an owner does not take."""

from __future__ import annotations

from nova_node.core.errors import Draining, Invalid, NovaError, Overloaded, Refused
from nova_node.core.signals import Submit
from nova_node.core.tasks import Batch


def refuse(
    submit: Submit, taken: Batch | None, unended: int, unended_max: int, draining: bool
) -> NovaError | None:
    """The reason to refuse a submit, or None. `taken` has its request id already; `unended` counts
    root tasks that have not ended."""
    count = sum(len(group.calls) for group in submit.groups)
    if taken is not None:
        return Refused(
            f"the request {submit.request_id} is of another submitter",
            "make a new request id for each submit",
        )
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
