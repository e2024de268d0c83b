"""What nodes with an identity do by themselves, while they work: renew, change over to a new root, and
part with whoever was revoked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nova_client import Client, Task
from nova_proto.identity import certificates, folder
from nova_proto.identity.errors import IdentityError
from nova_proto.v1 import identity_pb2
from support.mesh import Node, eventually, met, run, wait_for
from support.secure import SecureMesh

CUT_S = 5.0


def trusted(mesh: SecureMesh, name: str) -> identity_pb2.Trust:
    own = folder.load(mesh.folder / name / "identity")
    return identity_pb2.Trust.FromString(identity_pb2.SignedTrust.FromString(own.trust).trust)


def serial(mesh: SecureMesh, name: str) -> str:
    own = folder.load(mesh.folder / name / "identity")
    return certificates.read_leaf(own.chain[0]).serial


def start(mesh: SecureMesh, *names: str) -> list[Node]:
    """One slot each; the first one holds the authority."""
    first = mesh.start(names[0], "--no-mdns", "--slots", "1")
    options = ("--no-mdns", "--slots", "1", "--peer", first.address)
    return [first, *(mesh.start(name, *options) for name in names[1:])]


def leads_to(chain: tuple[bytes, ...], root: bytes) -> bool:
    try:
        certificates.verify_chain(chain, [root], time.time())
    except IdentityError:
        return False
    return True


async def work_until(client: Client, enough: Callable[[], bool], patience_s: float) -> int:
    """Keep the mesh busy until `enough`; the number of tasks, of which no attempt was lost."""
    end, tasks = time.monotonic() + patience_s, list[Task]()
    while not enough():
        assert time.monotonic() < end
        tasks += (batch := await client.submit_many([("core.sleep", {"seconds": 0.02})] * 40))
        for task in batch:
            assert await task.result(20.0) == 0.02
    for task in tasks:
        assert [attempt.failure for attempt in (await task.show()).attempts] == [None]
    return len(tasks)


def test_certificates_are_renewed_while_tasks_run(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        mesh.node_s = 12.0
        _, worker = start(mesh, "first", "second")
        mine = mesh.credentials("submitter", "ada")
        before = {name: {serial(mesh, name)} for name in ("first", "second")}

        def renewed() -> bool:
            for name, seen in before.items():
                seen.add(serial(mesh, name))
            return all(len(seen) > 1 for seen in before.values())

        async def scene() -> None:
            async with Client(worker.address, identity=mine) as client:
                await met(client, 2)
                assert await work_until(client, renewed, 60.0) >= 40

        run(scene())
        assert "broke" not in worker.said()


def test_a_revoked_node_is_cut_off_and_its_work_done_elsewhere(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        owner, _, former = start(mesh, "first", "second", "former")
        mine = mesh.credentials("submitter", "ada")

        async def scene() -> None:
            async with Client(owner.address, identity=mine) as client:
                await met(client, 3)
                tasks = await client.submit_many([("core.sleep", {"seconds": 0.5})] * 12)
                own = folder.load(mesh.folder / "former" / "identity")
                mesh.authority.revoke(own.name)
                began = time.monotonic()

                async def gone() -> bool:
                    nodes = (await client.nodes()).nodes
                    return all(n.state != "alive" for n in nodes if n.name == "former")

                await eventually(gone, "the mesh to part with it")
                assert time.monotonic() - began < CUT_S
                for task in tasks:
                    assert await task.result(20.0) == 0.5
            async with Client(former.address, identity=mine) as client:

                async def alone() -> bool:
                    nodes = (await client.nodes()).nodes
                    return all(n.state != "alive" for n in nodes if n.name != "former")

                await eventually(alone, "it to see nobody", 30.0)

        run(scene())


def test_a_node_that_was_away_until_its_certificate_ran_out_comes_back(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        first = mesh.start("first", "--slots", "1")
        mesh.admit("away", node_s=1.0)
        before = serial(mesh, "away")
        ends = certificates.read_leaf(
            folder.load(tmp_path / "away" / "identity").chain[0]
        ).not_after
        wait_for(lambda: time.time() > ends, "the certificate to run out")
        mine = mesh.credentials("submitter", "ada")
        away = mesh.start("away", "--slots", "1")

        async def scene() -> None:
            async with Client(first.address, identity=mine) as client:
                await met(client, 2)

        run(scene())
        assert serial(mesh, "away") != before
        assert "has expired" in away.said()


@pytest.mark.long
def test_the_root_is_rotated_while_tasks_run(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        _, worker, _ = start(mesh, "first", "second", "third")
        mine = mesh.credentials("submitter", "ada", lifetime_s=240.0)
        names = ("first", "second", "third")

        async def scene() -> None:
            async with Client(worker.address, identity=mine) as client:
                await met(client, 3)
                mesh.authority.rotate()
                signed = mesh.authority.signed_trust()
                newest = identity_pb2.Trust.FromString(signed.trust).roots[-1]

                def changed_over() -> bool:
                    own = [folder.load(mesh.folder / name / "identity").chain for name in names]
                    return all(leads_to(chain, newest) for chain in own)

                assert not changed_over()
                await work_until(client, changed_over, 200.0)

        run(scene(), 230.0)


def test_a_new_root_is_known_everywhere_at_once(tmp_path: Path) -> None:
    with SecureMesh(tmp_path) as mesh:
        first, _ = start(mesh, "first", "second")
        mine = mesh.credentials("submitter", "ada")

        async def scene() -> None:
            async with Client(first.address, identity=mine) as client:
                await met(client, 2)
                mesh.authority.rotate()

                async def known() -> bool:
                    return all(len(trusted(mesh, n).roots) == 2 for n in ("first", "second"))

                await eventually(known, "both to trust both roots", CUT_S)
                (task,) = await client.submit_many([("core.sleep", {"seconds": 0.0})])
                await task.result(10.0)

        run(scene())
