"""Who may do what: every role, every call, and capabilities by role and label, written out."""

from __future__ import annotations

import itertools
import string

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from nova_proto.identity.names import ROLES
from nova_proto.v1 import (
    blobs_pb2,
    identity_pb2,
    mesh_pb2,
    metrics_pb2,
    nodes_pb2,
    tasks_pb2,
)

from nova_node.core.errors import Invalid
from nova_node.core.policy import (
    DEFAULT_RULES,
    METHODS,
    RIGHTS,
    CapabilityRule,
    Labels,
    Right,
    may,
    may_run,
    parse_rule,
)

SERVED = (
    tasks_pb2,
    blobs_pb2,
    nodes_pb2,
    mesh_pb2,
    metrics_pb2,
    identity_pb2,
    health_pb2,
    reflection_pb2,
)

#: who may make each call: Admin, Submitter, Worker, Observer
CALLS = """
    A S - -  /nova.v1.Tasks/Submit
    A S - -  /nova.v1.Tasks/Session
    A S W O  /nova.v1.Tasks/Watch
    A S W O  /nova.v1.Tasks/Get
    A S W O  /nova.v1.Tasks/List
    A S W O  /nova.v1.Tasks/Explain
    A S W O  /nova.v1.Tasks/Logs
    A S - -  /nova.v1.Tasks/Cancel
    A S - -  /nova.v1.Tasks/Requeue
    A S - -  /nova.v1.Blobs/Put
    A S W O  /nova.v1.Blobs/Get
    A S W O  /nova.v1.Metrics/Query
    A S W O  /nova.v1.Metrics/Top
    A S W O  /nova.v1.Metrics/Stats
    A S W O  /nova.v1.Metrics/Series
    A S W O  /nova.v1.Nodes/List
    A S W O  /nova.v1.Nodes/Capabilities
    A S W O  /nova.v1.Nodes/Status
    A - - -  /nova.v1.Nodes/Drain
    A - - -  /nova.v1.Nodes/Resume
    - - W -  /nova.v1.Mesh/Probe
    - - W -  /nova.v1.Mesh/ProbeVia
    - - W -  /nova.v1.Mesh/Sync
    - - W -  /nova.v1.Mesh/GetCard
    - - W -  /nova.v1.Mesh/Work
    A S W O  /nova.v1.Identity/Renew
    A S W O  /nova.v1.Identity/GetTrust
    - - W -  /nova.v1.Identity/PutTrust
    - - W -  /nova.v1.Identity/PutHead
    - - - -  /nova.v1.Join/Roots
    - - - -  /nova.v1.Join/Enroll
    A S W O  /grpc.health.v1.Health/Check
    A S W O  /grpc.health.v1.Health/List
    A S W O  /grpc.health.v1.Health/Watch
    A S W O  /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo
"""

RULES = tuple(
    parse_rule(text) for text in ("admin *", "submitter text.*", "submitter core.echo zone=lab")
)
NOWHERE: Labels = ()
LAB: Labels = (("disk", "ssd"), ("zone", "lab"))
ATTIC: Labels = (("zone", "attic"),)

#: whose task may run: on a node without labels, in the lab, in the attic
RUNS = """
    admin      text.count   yes yes yes
    admin      core.echo    yes yes yes
    admin      core.sleep   yes yes yes
    submitter  text.count   yes yes yes
    submitter  core.echo    no  yes no
    submitter  core.sleep   no  no  no
    worker     text.count   no  no  no
    worker     core.echo    no  no  no
    worker     core.sleep   no  no  no
    observer   text.count   no  no  no
    observer   core.echo    no  no  no
    observer   core.sleep   no  no  no
"""


def served() -> set[str]:
    return {
        f"/{service.full_name}/{method.name}"
        for module in SERVED
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_role_call_and_capability() -> None:
    rows = [line.split() for line in CALLS.strip().splitlines()]
    assert {row[-1] for row in rows} == served() == set(METHODS)
    for *marks, method in rows:
        for role, mark in zip(ROLES, marks, strict=True):
            assert may(role, METHODS[method]) is (mark == role[0].upper()), (role, method)

    asked: set[tuple[str, str]] = set()
    for line in RUNS.strip().splitlines():
        role, capability, *verdicts = line.split()
        asked.add((role, capability))
        for labels, verdict in zip((NOWHERE, LAB, ATTIC), verdicts, strict=True):
            where = (role, capability, labels)
            assert may_run(RULES, role, capability, labels) is (verdict == "yes"), where
    capabilities = ("text.count", "core.echo", "core.sleep")
    assert asked == set(itertools.product(ROLES, capabilities))


def test_by_default_who_may_submit_may_run_everything_everywhere() -> None:
    for role, labels in itertools.product(ROLES, (NOWHERE, LAB)):
        allowed = role in ("admin", "submitter")
        assert may_run(DEFAULT_RULES, role, "any.thing", labels) is allowed


def test_what_is_unknown_is_denied() -> None:
    assert set(RIGHTS) == set(ROLES)
    for right in Right:
        assert not may("", right)
        assert not may("root", right)
        assert not may("Admin", right)
    assert not may_run(RULES, "root", "text.count", LAB)
    assert not may_run((), "admin", "text.count", LAB)
    assert not may_run((CapabilityRule("worker", "*"),), "worker", "text.count", LAB)


def test_a_rule_needs_all_of_its_labels() -> None:
    rule = parse_rule("submitter core.* zone=lab disk=ssd")
    assert may_run([rule], "submitter", "core.echo", LAB)
    assert not may_run([rule], "submitter", "core.echo", (("zone", "lab"),))
    assert not may_run([rule], "submitter", "core.echo", (("disk", "ssd"), ("zone", "lab2")))


def test_a_pattern_knows_no_sign_but_the_star() -> None:
    with pytest.raises(Invalid):
        parse_rule("submitter text.[a-z]*")
    with pytest.raises(Invalid):
        parse_rule("submitter text.?")
    assert not may_run([parse_rule("submitter text.a")], "submitter", "text.ab", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "admin",
        "worker *",
        "observer text.*",
        "root *",
        "admin TEXT.*",
        "admin * zone",
        "admin * =lab",
        "admin * zone=a=b",
        "admin *****",
        "admin * " + " ".join(f"k{n}=v" for n in range(17)),
        "admin " + "a" * 200,
        "admin \u202etext.*",
    ],
)
def test_what_is_no_rule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_rule(text)
    assert "as in:" in caught.value.fix
    assert caught.value.message.isascii()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=60) | st.text(string.ascii_lowercase + " .*=-", max_size=60))
def test_any_text_is_a_rule_that_reads_back_or_is_invalid(text: str) -> None:
    try:
        rule = parse_rule(text)
    except Invalid:
        return
    assert parse_rule(str(rule)) == rule
    assert rule.role in ("admin", "submitter")
