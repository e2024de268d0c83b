"""What the client sends and reads of money and models."""

from __future__ import annotations

from typing import Any

import pytest
from nova_client import decode, encode, model
from nova_client.errors import Invalid
from nova_proto.v1 import mesh_pb2, nodes_pb2, task_pb2, tasks_pb2
from support.lone import Lone, done, only

from nova_node.adapters.wire_models import model_to_pb
from nova_node.core.effects import Assign, Confirm
from nova_node.core.model import Call, Demand, Group, Model, Usage
from nova_node.core.signals import Confirmed, Submit
from nova_node.server.views import task_view

PAID = model.Options(prefers=(("b", "2"), ("a", "1")), allowance_uusd=5, budget_uusd=20)


def sent(count: int, options: model.Options) -> list[tasks_pb2.SubmitRequest]:
    specs: list[Any] = [("a.run", {})] * count
    return [r.message.submit for r in encode.requests(specs, options, {}, None)]


def test_a_submit_says_what_it_prefers_and_may_spend() -> None:
    (submit,) = sent(2, PAID)
    assert submit.budget_uusd == 20
    (group,) = submit.groups
    assert [(label.name, label.value) for label in group.demand.prefers] == [("b", "2"), ("a", "1")]
    options = decode.options(group.demand)
    assert (options.prefers, options.allowance_uusd) == (PAID.prefers, 5)


def test_a_budget_is_of_one_request() -> None:
    assert len(sent(encode.CALLS_MAX + 1, model.Options())) == 2
    with pytest.raises(Invalid, match="budget"):
        sent(encode.CALLS_MAX + 1, PAID)
    with pytest.raises(Invalid):
        sent(1, model.Options(budget_uusd=-1))


def test_a_task_shows_what_it_used_and_what_is_left() -> None:
    lone = Lone(())
    lone.peer()
    group = Group(Demand("a.run", allowance_uusd=5), (Call(b"{}"), Call(b"{}")))
    (waits,) = only(lone.tell(Submit("t", "r", (group,), None, 20)), Confirm)
    (assign,) = only(lone.tell(Confirmed(waits.number)), Assign)
    lone.report(done(assign.attempts[0])._replace(usage=Usage("m", 1, 2, None, "exact")))
    view = decode.task_view(task_view("a" * 16, lone.task(1), full=True))
    used = model.Usage("m", 1, 2, None, "exact")
    assert (view.usage, view.attempts[0].usage) == (used, used)
    assert view.budget == model.Budget(20, 5, 5)
    assert decode.outcome("a" * 16, task_pb2.Outcome()).usage is None


def test_a_node_shows_its_models() -> None:
    known = Model("m", "chat", True, 8_192, 1_024, None, 3, False, True, 12.5, 80.0)
    card = mesh_pb2.Card()
    model_to_pb(known, card.models.add())
    (read,) = decode.node_view(nodes_pb2.NodeView(card=card)).models
    assert read == model.Model(*known)
