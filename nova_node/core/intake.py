"""What an owner does not take: submits, and any task that there is no room for."""

from __future__ import annotations

from typing import NamedTuple

from nova_node.core.errors import Draining, Invalid, NovaError, Overloaded, Refused
from nova_node.core.signals import Submit
from nova_node.core.tasks import Batch


class Held(NamedTuple):
    """Arguments and results in memory, those of ended tasks included, and how much is the end."""

    size_bytes: int
    most_bytes: int


def refuse(
    submit: Submit,
    taken: Batch | None,
    unended: int,
    unended_max: int,
    held: Held,
    draining: bool,
) -> NovaError | None:
    """The reason to refuse a submit, or None. `taken` has its request id already; `unended` counts
    root tasks that have not ended."""
    count = sum(len(group.calls) for group in submit.groups)
    if taken is not None:
        return Refused(
            f"the request {submit.request_id} is of another submitter",
            "make a new request id for each submit",
        )
    if not count and not draining:
        return Invalid("a submit holds at least one call", "add a call")
    if submit.budget_uusd and not all(g.demand.allowance_uusd for g in submit.groups):
        return Invalid(
            "a budget was given, and some of the tasks may spend without limit",
            "give each of them an allowance: what one attempt may spend at most",
            "budget_needs_allowance",
        )
    if held.size_bytes > held.most_bytes:
        return Overloaded(
            f"tasks that have not ended hold {held.size_bytes >> 20} MiB of arguments and results",
            "wait for some to end; put what is large into blobs; or submit to another node",
        )
    return no_room(count, unended, unended_max, draining)


def no_room(count: int, unended: int, unended_max: int, draining: bool) -> NovaError | None:
    """Why so many tasks more cannot be open here, or None."""
    if draining:
        return Draining("this node is draining", "submit to another node")
    if unended + count > unended_max:
        return Overloaded(
            f"{unended} tasks have not ended and at most {unended_max} may be open",
            "wait for some to end, or submit to another node",
        )
    return None
