"""The client signs what it sends, each time anew, for the node it sends it to."""

from __future__ import annotations

import asyncio
import time

import pytest
from nova_client import Client, backoff
from nova_client.find import Access
from nova_client.wires import Wires
from nova_proto.identity import certificates
from nova_proto.identity.folder import Credentials
from nova_proto.identity.mandate import audience_of
from nova_proto.identity.trust import sign_trust
from nova_proto.v1 import tasks_pb2
from support.fake_node import NODE, FakeNode
from support.forge import PERSON, Mesh
from support.signed import OWNER, Signing, group, groups_of


def identity_of(signing: Signing) -> Credentials:
    trust = sign_trust(signing.trust(), signing.mesh.key, signing.mesh.intermediate)
    key_pem = certificates.key_to_pem(signing.key)
    return Credentials(signing.name, key_pem, signing.chain, trust.SerializeToString())


def test_what_the_client_signs_the_owner_takes() -> None:
    async def main() -> None:
        now = time.time()
        signing = Signing(Mesh(now=now), now=now)
        wires = Wires(Access("127.0.0.1:1", OWNER, identity_of(signing)))
        request = tasks_pb2.SubmitRequest(request_id="r1", groups=[group()])
        wires.sign(request, OWNER)
        assert signing.node().check_submit(request, groups_of(request), PERSON)
        wires.sign(request, "othernode")
        assert audience_of(request.mandate) == "othernode"
        await wires.close()

    asyncio.run(main())


def test_without_identity_nothing_is_signed() -> None:
    async def main() -> None:
        wires = Wires(Access("127.0.0.1:1"))
        request = tasks_pb2.SubmitRequest(request_id="r1")
        wires.sign(request, OWNER)
        assert not request.mandate
        await wires.close()

    asyncio.run(main())


def test_what_is_sent_again_is_signed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BASE_S", 0.001)
    monkeypatch.setattr(backoff, "CAP_S", 0.02)
    signed: list[tuple[str, str]] = []

    def sign(wires: Wires, submit: tasks_pb2.SubmitRequest, owner: str) -> None:
        signed.append((submit.request_id, owner))

    monkeypatch.setattr(Wires, "sign", sign)

    async def main() -> None:
        async with FakeNode() as node, Client(node.address) as client:
            node.breaks_before_answer = 1
            node.overloads = 1
            task = await client.submit("core.noop")
            await task.result(5)
            (request_id,) = node.submits
            assert set(signed) == {(request_id, NODE)}
            assert len(signed) >= 3

    asyncio.run(main())
