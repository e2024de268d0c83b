from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nova_proto.identity.names import Name

from nova_node.audit.log import AuditLog
from nova_node.core.errors import Overloaded, Refused
from nova_node.core.model import Call, Demand, Group
from nova_node.core.owner import SubmitAnswer
from nova_node.core.policy import METHODS
from nova_node.server.audited import CHANGING, UNAUDITED, Audited, AuditedGate, origin
from nova_node.server.caller import set_caller
from nova_node.server.gate import Shown


class Context:
    def __init__(self, peer: str = "ipv4:192.0.2.7:5123", uri: str = "") -> None:
        self._peer = peer
        self._uri = uri

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"peer_spiffe_id": [self._uri.encode()]} if self._uri else {}

    def peer(self) -> str:
        return self._peer


CONTEXT = Context()
GROUPS = (Group(Demand("b.run"), (Call(b'{"x":"canary"}'),)), Group(Demand("a.run"), ()))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path, gather_s=0.0)
    yield log
    log.close()
    set_caller(None)


def lines(log: AuditLog, folder: Path) -> list[dict[str, Any]]:
    assert log.flush()
    return [json.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]


def test_a_submit_is_noted_when_it_is_accepted(log: AuditLog, tmp_path: Path) -> None:
    set_caller(Name("lab", "submitter", "ada"))
    submitted = Audited(log).submits(CONTEXT)
    submitted(GROUPS, SubmitAnswer("r1", 5, 9))
    (line,) = lines(log, tmp_path)
    assert {key: line[key] for key in list(line)[2:-1]} == {
        "who": "submitter/ada",
        "from": "192.0.2.7:5123",
        "what": "submit",
        "subject": "r1",
        "first": 5,
        "count": 9,
        "capability": "a.run, b.run",
    }


def test_without_identity_it_is_the_local_user(log: AuditLog, tmp_path: Path) -> None:
    Audited(log).note(CONTEXT, "drain")
    assert lines(log, tmp_path)[0]["who"] == "local"


def test_who_joins_is_named(log: AuditLog, tmp_path: Path) -> None:
    Audited(log).joined(CONTEXT, "worker/n1")
    UNAUDITED.joined(CONTEXT, "worker/n1")
    (line,) = lines(log, tmp_path)
    assert (line["who"], line["what"], line["subject"]) == ("worker/n1", "join", "worker/n1")


def test_refusals_are_counted(log: AuditLog, tmp_path: Path) -> None:
    audited = Audited(log)
    for _ in range(50):
        audited.refused(CONTEXT, "/nova.v1.Tasks/Submit", Refused("no", "", "forbidden"))
    (line,) = lines(log, tmp_path)
    assert (line["who"], line["what"], line["code"]) == ("", "refused", "forbidden")


def test_only_what_is_not_allowed_is_a_refusal(log: AuditLog, tmp_path: Path) -> None:
    Audited(log).refused(CONTEXT, "/nova.v1.Tasks/Submit", Overloaded("full"))
    log.note("", "", "x")
    assert [line["what"] for line in lines(log, tmp_path)] == ["x"]


class Shut:
    def enter(self, method: str, context: Any) -> Shown:
        raise Refused("no", "", "forbidden")

    def check(self, shown: Shown) -> None:
        raise Refused("no")


class Open:
    def enter(self, method: str, context: Any) -> Shown:
        return Shown(method)

    def check(self, shown: Shown) -> None:
        raise Refused("now no more")


def test_whom_the_gate_refuses_is_noted(log: AuditLog, tmp_path: Path) -> None:
    gate = AuditedGate(Shut(), Audited(log))
    with pytest.raises(Refused):
        gate.enter("/nova.v1.Nodes/Drain", Context(uri="spiffe://lab/observer/eve"))
    with pytest.raises(Refused):
        gate.enter("/nova.v1.Nodes/Drain", CONTEXT)
    found = lines(log, tmp_path)
    assert [(each["who"], each["subject"]) for each in found] == [
        ("observer/eve", "/nova.v1.Nodes/Drain"),
        ("", "/nova.v1.Nodes/Drain"),
    ]


def test_the_gate_is_shut_to_changes_while_the_log_cannot_be_written(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = AuditedGate(Open(), Audited(log))
    shown = gate.enter("/nova.v1.Nodes/Drain", CONTEXT)
    with pytest.raises(Refused, match="now no more"):
        gate.check(shown)

    def fail() -> None:
        raise Overloaded("the disk is full")

    monkeypatch.setattr(log, "check", fail)
    with pytest.raises(Overloaded):
        gate.enter("/nova.v1.Nodes/Drain", CONTEXT)
    assert gate.enter("/nova.v1.Nodes/Status", CONTEXT).method == "/nova.v1.Nodes/Status"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_changes_anything_waits_for_the_log(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail() -> None:
        raise Overloaded("the disk is full")

    audited = Audited(log)
    audited.check(method)
    monkeypatch.setattr(log, "check", fail)
    if METHODS[method] in CHANGING and method != "/nova.v1.Join/Roots":
        with pytest.raises(Overloaded):
            audited.check(method)
    else:
        audited.check(method)
    UNAUDITED.check(method)


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("ipv4:192.0.2.7:5123", "192.0.2.7:5123"),
        ("ipv6:%5B2001:db8::1%5D:5123", "[2001:db8::1]:5123"),
        ("ipv6:[::1]:5123", "[::1]:5123"),
        ("unix:", "unix"),
    ],
)
def test_where_a_call_came_from(peer: str, shown: str) -> None:
    assert origin(Context(peer)) == shown


def test_nothing_is_noted_without_a_log() -> None:
    UNAUDITED.note(CONTEXT, "drain")
    UNAUDITED.refused(CONTEXT, "/x", Refused("no"))
    UNAUDITED.submits(CONTEXT)(GROUPS, SubmitAnswer("r1", 5, 9))
