"""Tasks and nodes as people see them."""

from __future__ import annotations

from nova_proto.v1 import nodes_pb2, tasks_pb2

from nova_node.adapters.wire import call_to_pb, failure_to_pb, value_to_pb
from nova_node.adapters.wire_demand import demand_to_pb
from nova_node.adapters.wire_members import card_to_pb, member_to_pb
from nova_node.adapters.wire_models import usage_to_pb
from nova_node.core.explain import Explanation, words
from nova_node.core.lifecycle import ENDED
from nova_node.core.model import Card, Member, Outcome, Status, task_id
from nova_node.core.tasks import Task, usage_of

CHILDREN_SHOWN_MAX = 1_000


def task_view(owner: str, task: Task, full: bool) -> tasks_pb2.TaskView:
    """Without `full`: no arguments, value or children, for lists."""
    view = tasks_pb2.TaskView(
        id=task_id(owner, task.no),
        owner=owner,
        accepted_at=task.batch.accepted_at,
        node=task.node,
        submitter=task.batch.submitter,
        request_id=task.batch.request_id,
    )
    view.status = task.status  # pyright: ignore[reportAttributeAccessIssue]
    view.phase = task.phase  # pyright: ignore[reportAttributeAccessIssue]
    demand_to_pb(task.demand, view.demand)
    if task.parent is not None:
        view.parent = task_id(owner, task.parent.no)
        view.parts.extend([task_id(owner, no) for no in task.parts])
    if task.children is not None:
        view.children_total = len(task.children)
        view.children_done = sum(1 for c in task.children if c.status is Status.DONE)
    for outcome in task.history or ():
        _attempt(outcome, view)
    outcome = task.outcome
    if outcome is not None:
        view.node = outcome.node
        view.ended_at = outcome.started_at + outcome.elapsed_us / 1e6 if outcome.started_at else 0.0
        if outcome.failure is not None:
            failure_to_pb(outcome.failure, view.error)
        if outcome.attempt:
            _attempt(outcome, view)
    elif task.status is Status.RUNNING and task.attempt and task.children is None:
        running = Outcome(
            task.no, task.attempt, Status.RUNNING, None, None, task.node, task.started_at
        )
        _attempt(running, view)
    usage, purse = usage_of(task), task.batch.purse
    if usage is not None:
        usage_to_pb(usage, view.usage)
    if purse is not None:
        view.budget.limit_uusd = purse.limit_uusd
        view.budget.spent_uusd = purse.spent_uusd
        view.budget.reserved_uusd = purse.reserved_uusd
    if full:
        _add_rest(owner, task, view)
    return view


def _add_rest(owner: str, task: Task, view: tasks_pb2.TaskView) -> None:
    call_to_pb(task.call, view.call)
    if task.outcome is not None and task.outcome.value is not None:
        value_to_pb(task.outcome.value, view.value)
    shown = (task.children or ())[:CHILDREN_SHOWN_MAX]
    view.children.extend([task_id(owner, child.no) for child in shown])


def _attempt(outcome: Outcome, view: tasks_pb2.TaskView) -> None:
    pb = view.attempts.add()
    pb.attempt = outcome.attempt
    pb.node = outcome.node
    pb.status = outcome.status  # pyright: ignore[reportAttributeAccessIssue]
    pb.started_at = outcome.started_at
    if outcome.status in ENDED:
        pb.ended_at = outcome.started_at + outcome.elapsed_us / 1e6
    if outcome.failure is not None:
        failure_to_pb(outcome.failure, pb.error)
    if outcome.usage is not None:
        usage_to_pb(outcome.usage, pb.usage)


def explanation_view(
    id_: str, explanation: Explanation, names: dict[str, str]
) -> tasks_pb2.Explanation:
    view = tasks_pb2.Explanation(
        id=id_,
        waits_for=explanation.waits_for,
        unblock=explanation.unblock,
        ranked_at=explanation.ranked_at,
        durability=explanation.durability,
    )
    view.status = explanation.status  # pyright: ignore[reportAttributeAccessIssue]
    for rank in explanation.ranking:
        view.ranking.add(
            node=rank.node,
            name=names.get(rank.node, ""),
            fits=not rank.unfit,
            score=0.0 if rank.unfit else rank.score,
            reasons=words(rank),
        )
    return view


def node_view(
    member: Member, card: Card | None, age_s: float, rtt_ms: float, is_self: bool, skew: str
) -> nodes_pb2.NodeView:
    view = nodes_pb2.NodeView(age_s=age_s, rtt_ms=rtt_ms, self=is_self, skew=skew)
    member_to_pb(member, view.member)
    if card is not None:
        card_to_pb(card, view.card)
    return view
