"""While a client is open its person stays a member; a command that is over soon looks once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nova_client import Unreachable, identity, renewal
from nova_client.find import Access
from nova_client.identity import News
from nova_client.renewal import Renewal
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.v1 import identity_pb2, nodes_pb2

FAR, AUTHORITY = "192.0.2.7:7600", "192.0.2.8:7600"


def credentials(which: str) -> Credentials:
    return Credentials(Name("lab", "admin", which), b"", (), b"")


OLD, TRUSTING, NEW = map(credentials, ("old", "trusting", "new"))


class Wires:
    """In the place of a client's channels."""

    def __init__(self, answers: bool = True) -> None:
        self.home: Any = self
        self.identity: Any = self
        self.nodes: Any = self
        self.GetTrust = "GetTrust"
        self.List = "List"
        self.renewed: list[Access] = []
        self._answers = answers

    async def call(self, method: str, request: Any, timeout_s: float) -> Any:
        await asyncio.sleep(0)
        if not self._answers:
            raise Unreachable("no")
        if method == "GetTrust":
            return identity_pb2.SignedTrust()
        reply = nodes_pb2.ListNodesReply()
        member = reply.nodes.add().member
        member.node, member.address = "holder", AUTHORITY
        return reply

    async def renew(self, way: Access) -> None:
        self.renewed.append(way)


def after_one_look(
    monkeypatch: pytest.MonkeyPatch, news: News | None, answers: bool = True
) -> tuple[Wires, list[tuple[Credentials | None, str, str]]]:
    """What a client did that was closed at once, and what it asked to be renewed."""
    wires: Any = Wires(answers)
    asked: list[tuple[Credentials | None, str, str]] = []

    def renew(way: Access, address: str, authority: str) -> Credentials:
        asked.append((way.identity, address, authority))
        return NEW

    def take_trust(way: Access, signed: identity_pb2.SignedTrust) -> News | None:
        return news

    monkeypatch.setattr(identity, "renew", renew)
    monkeypatch.setattr(identity, "take_trust", take_trust)

    async def scene() -> None:
        await Renewal(Access(FAR, "n", OLD), wires).stop()

    asyncio.run(scene())
    return wires, asked


def test_nothing_new_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wires, asked = after_one_look(monkeypatch, None)
    assert (wires.renewed, asked) == ([], [])


def test_what_is_due_is_renewed_at_the_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    wires, asked = after_one_look(monkeypatch, News(TRUSTING, True, False, "holder"))
    assert asked == [(TRUSTING, AUTHORITY, "holder")]
    assert [way.identity for way in wires.renewed] == [NEW]


def test_an_authority_that_is_away_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    wires, asked = after_one_look(monkeypatch, News(TRUSTING, True, False, "elsewhere"))
    assert asked == []
    assert wires.renewed == []


@pytest.mark.parametrize("roots", [False, True])
def test_a_channel_is_made_anew_for_other_roots_only(
    monkeypatch: pytest.MonkeyPatch, roots: bool
) -> None:
    wires, _ = after_one_look(monkeypatch, News(TRUSTING, False, roots, "holder"))
    assert len(wires.renewed) == roots


def test_other_roots_do_not_wait_for_the_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    wires, asked = after_one_look(monkeypatch, News(TRUSTING, True, True, "elsewhere"))
    assert asked == []
    assert [way.identity for way in wires.renewed] == [TRUSTING]


def test_a_node_without_an_answer_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    wires, asked = after_one_look(monkeypatch, None, answers=False)
    assert (wires.renewed, asked) == ([], [])


def test_closing_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "FIRST_LOOK_S", 0.01)
    wires: Any = Wires()

    async def never(*_: object) -> Any:
        await asyncio.get_running_loop().create_future()

    wires.call = never

    async def scene() -> None:
        async with asyncio.timeout(5):
            await Renewal(Access(FAR, "n", OLD), wires).stop()

    asyncio.run(scene())
