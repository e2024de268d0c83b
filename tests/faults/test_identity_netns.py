"""Four machines of one mesh and a stranger, on a network where anybody can talk to anybody.

One mesh serves all tests, in this order; its nodes' certificates live for a few seconds, so they are
renewed all the time.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from nova_client import Client, NovaError
from nova_proto.identity import certificates, folder, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.trust import stored_trust
from support import netns
from support.machines import Machine, Machines
from support.mesh import NODE, NOVA, eventually, met, run, wait_for
from support.queue_check import Ledger

from nova_node.core.policy import METHODS

if (why := netns.missing()) and not (os.environ.get("CI") == "true" and os.geteuid() == 0):
    pytest.skip(why, allow_module_level=True)

pytestmark = pytest.mark.netns

MODULE = ("--slots", "2", "--capability", "support.mesh_capabilities")
MESH = "lab"
MEMBERS = range(4)
STRANGER = 4
LEAF_S = 12.0
CUT_S = 5.0
SPREAD_S = 10.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Made as a person makes it: init, then a token and a join for each other machine."""
    home = tmp_path_factory.mktemp("machines")
    with (
        netns.Network(5) as network,
        Machines(network, home, NOVA_NODE_CERTIFICATE_S=str(LEAF_S)) as machines,
    ):
        first = machines[0]
        first.nova_node("init", "--mesh", MESH)
        first.start(*MODULE)
        for host in MEMBERS[1:]:
            token = first.nova_node("token", "create", "--role", "worker")
            where = ["--peer", first.ip] if host == 3 else []
            said = machines[host].nova_node("join", *where, given=token)
            assert said.splitlines()[-1] == "next: nova-node start"
            machines[host].start(*MODULE)
        yield machines


@pytest.fixture
def admin(lab: Machines) -> Credentials:
    """As the person is now: what `nova` renewed lies in a folder."""
    return lab[0].person(MESH)


async def all_met(lab: Machines, admin: Credentials) -> None:
    for host in MEMBERS:
        async with lab[host].client(admin) as client:
            await met(client, len(MEMBERS))


# ---------------------------------------------------------------- members


def test_all_see_each_other_and_work_for_each_other(lab: Machines, admin: Credentials) -> None:
    async def scene() -> None:
        await all_met(lab, admin)
        async with lab[0].client(admin) as client:
            tasks = await client.submit_many([("core.sleep", {"seconds": 0.2})] * 24)
            for task in tasks:
                await task.result(30)
            nodes = {task.outcome.node for task in tasks if task.outcome}
            assert len(nodes) == len(MEMBERS)

    run(scene())


def test_a_person_needs_no_flag_on_the_first_machine(lab: Machines) -> None:
    nodes = json.loads(lab[0].nova("nodes", "--json"))
    assert nodes["mesh"] == MESH
    assert {node["state"] for node in nodes["nodes"]} == {"alive"}
    assert json.loads(lab[0].nova("run", "core.echo", "--arg", "data=7")) == 7
    assert f"worker/{lab[3].node}" in lab[0].nova_node("members")


def test_a_person_logs_in_where_no_node_runs(lab: Machines) -> None:
    """The stranger's machine, before it makes a mesh of its own; any node can be asked then."""
    laptop = lab[STRANGER]
    token = lab[0].nova_node("token", "create", "--role", "submitter", "--id", "bob")
    assert "submitter/bob of mesh lab" in laptop.nova("login", "--node", lab[0].ip, given=token)
    assert len(json.loads(laptop.nova("nodes", "--json"))["nodes"]) == len(MEMBERS)
    assert laptop.nova("--node", lab[2].address, "run", "core.echo", "--arg", "data=8") == "8\n"
    again = laptop.run(NOVA, "login", "--node", lab[0].ip, given=token)
    assert again.returncode == 5
    assert "was used" in again.stderr
    assert laptop.run(NOVA, "run", "core.echo", "--arg", "data=8").returncode == 0
    lab[0].nova_node("revoke", "bob")

    def cut() -> bool:
        return laptop.run(NOVA, "nodes").returncode == 5

    wait_for(cut, "bob to be refused", CUT_S)
    (laptop.home / "identity" / MESH).rename(laptop.home / "was-bob")


# ---------------------------------------------------------------- strangers


def test_a_stranger_gets_nothing(lab: Machines, admin: Credentials) -> None:
    """It runs a mesh of the same name on the same network, with a certificate of its own."""
    stranger = lab[STRANGER]
    stranger.nova_node("init", "--mesh", MESH)
    stranger.start(*MODULE)
    theirs = stranger.person(MESH)

    async def scene() -> None:
        async with stranger.client(theirs) as client:
            await met(client, 1)
        await all_met(lab, admin)

    run(scene())
    for host in MEMBERS:
        for channel in _strange_channels(lab[host], theirs):
            for method in METHODS:
                with pytest.raises(grpc.RpcError) as refused:
                    channel.unary_unary(method)(b"", timeout=5)
                code = refused.value.code()  # pyright: ignore
                assert code in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.UNAUTHENTICATED,
                ), (method, code)
            channel.close()
    doctor = stranger.run(NODE, "doctor", "--peer", lab[0].address)
    assert doctor.returncode == 1
    assert "none of the roots known here" in doctor.stdout


def _strange_channels(machine: Machine, theirs: Credentials) -> Iterator[grpc.Channel]:
    """In plaintext, in TLS without a certificate, and with one of another mesh of that name."""
    pin = tls.pin(MESH, machine.node)
    roots = certificates.der_to_pem(stored_trust(machine.identity.trust).roots)
    yield grpc.insecure_channel(machine.address)
    yield grpc.secure_channel(machine.address, grpc.ssl_channel_credentials(roots), pin)
    shown = grpc.ssl_channel_credentials(
        roots, theirs.key_pem, certificates.der_to_pem(theirs.chain)
    )
    yield grpc.secure_channel(machine.address, shown, pin)


# ---------------------------------------------------------------- under load


class Load:
    """Tasks stream to a node that had none of them before; in the end none may be lost."""

    def __init__(self, client: Client, marks: Path) -> None:
        self.ledger = Ledger(client, marks)

    async def more(self, count: int) -> None:
        """So many tasks begin from now on."""
        goal = len(self.ledger.tasks) + count

        async def submitted() -> bool:
            return len(self.ledger.tasks) >= goal

        await eventually(submitted, f"{count} more tasks")

    async def __aenter__(self) -> Self:
        self.ledger.watch()
        self._over = asyncio.Event()
        self._submitting = asyncio.create_task(self.ledger.keep_submitting(self._over, 24))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if kind is not None:
            self._submitting.cancel()
            return
        await self._submitting
        verdict = await self.ledger.settle()
        assert verdict.clean, verdict


def test_certificates_are_renewed_under_load(
    lab: Machines, admin: Credentials, tmp_path: Path
) -> None:
    def serials() -> list[str]:
        return [certificates.read_leaf(lab[h].identity.chain[0]).serial for h in MEMBERS]

    async def scene() -> None:
        async with lab[1].client(admin) as client, Load(client, tmp_path / "marks") as load:
            await load.more(20)
            before = serials()

            async def renewed() -> bool:
                return not set(before) & set(serials())

            await eventually(renewed, "every node to have another certificate", 2 * LEAF_S)
            before = serials()
            await eventually(renewed, "that once more", 2 * LEAF_S)
            await load.more(20)

    run(scene())


def test_who_moves_to_another_network_stays_a_member(lab: Machines, admin: Credentials) -> None:
    """A worker, and then the machine that holds the authority: renewals go on."""

    async def at_its_place(client: Client, machine: Machine) -> bool:
        seen = {n.address: n.state for n in (await client.nodes()).nodes}
        return seen.get(machine.address) == "alive"

    async def scene() -> None:
        async with lab[1].client(admin) as client:
            for mover in (lab[3], lab[0]):
                tasks = await client.submit_many([("core.sleep", {"seconds": 0.05})] * 200)
                await asyncio.to_thread(mover.move)
                await eventually(lambda m=mover: at_its_place(client, m), "it to be found", CUT_S)
                for task in tasks:
                    await task.result(60.0)
        await all_met(lab, admin)
        before = certificates.read_leaf(lab[3].identity.chain[0]).serial

        async def renewed() -> bool:
            return certificates.read_leaf(lab[3].identity.chain[0]).serial != before

        await eventually(renewed, "the worker to have another certificate", 2 * LEAF_S)

    run(scene())
    assert json.loads(lab[0].nova("nodes", "--json"))["mesh"] == MESH


def test_a_new_root_reaches_everybody_under_load(
    lab: Machines, admin: Credentials, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with lab[2].client(admin) as client, Load(client, tmp_path / "marks") as load:
            await load.more(20)
            lab[0].nova_node("rotate")

            async def spread() -> bool:
                return all(len(_roots(lab[host])) == 2 for host in MEMBERS)

            await eventually(spread, "all to trust both roots", SPREAD_S)
            await load.more(40)

    run(scene())


def _roots(machine: Machine) -> list[bytes]:
    return list(stored_trust(machine.identity.trust).roots)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_everybody_changes_over_to_a_new_root_under_load(lab: Machines, tmp_path: Path) -> None:
    """A new root signs a minute after it was made; the old one goes when nobody needs it. A person
    who was away meanwhile is a member still."""
    lab[0].nova_node("user", "add", "loader", "--out", str(tmp_path / "loader"))
    loader = folder.load(tmp_path / "loader")

    async def scene() -> None:
        before = _roots(lab[1])
        async with lab[3].client(loader) as client, Load(client, tmp_path / "marks") as load:
            lab[0].nova_node("rotate")

            async def changed() -> bool:
                newest = [_roots(lab[host])[-1:] for host in MEMBERS]
                return all(
                    _is_below(lab[h], roots) for h, roots in zip(MEMBERS, newest, strict=True)
                )

            await eventually(changed, "all nodes to be below the new root", 200.0)

            async def dropped() -> bool:
                await asyncio.to_thread(lab[0].nova, "nodes")
                return all(not set(before) & set(_roots(lab[host])) for host in MEMBERS)

            await eventually(dropped, "the old roots to be dropped", 120.0)
            await load.more(40)
        async with lab[1].client(lab[0].person(MESH)) as client:
            await met(client, len(MEMBERS))

    run(scene(), 380.0)


def _is_below(machine: Machine, roots: list[bytes]) -> bool:
    try:
        certificates.verify_chain(machine.identity.chain, roots, time.time())
    except IdentityError:
        return False
    return True


# ---------------------------------------------------------------- revoked


def test_a_revoked_node_is_cut_and_its_work_goes_elsewhere(
    lab: Machines, admin: Credentials, tmp_path: Path
) -> None:
    gone = lab[3]

    def fresh() -> bool:
        return certificates.read_leaf(gone.identity.chain[0]).issued_at > time.time() - 2.0

    async def scene() -> None:
        async with (
            lab[0].client(admin) as client,
            gone.client(admin) as inside,
            Load(client, tmp_path / "marks") as load,
        ):
            await load.more(20)
            await inside.nodes()
            await asyncio.to_thread(wait_for, fresh, "a certificate that lasts for the test")
            theirs = gone.identity
            began = time.monotonic()
            lab[0].nova_node("revoke", gone.node)

            async def cut() -> bool:
                nodes: dict[str, Any] = {n.node: n.state for n in (await client.nodes()).nodes}
                return nodes.get(gone.node) != "alive"

            await eventually(cut, "it to be out", CUT_S)
            for host in MEMBERS[:3]:
                await eventually(lambda h=host: _refuses(lab[h], theirs), "a refusal", CUT_S)
            assert time.monotonic() - began <= CUT_S
            peer = lab[0].address
            doctor = await asyncio.to_thread(gone.run, NODE, "doctor", "--peer", peer)
            assert doctor.returncode == 1
            assert f"worker/{gone.node} was revoked" in doctor.stdout

    run(scene())


async def _refuses(machine: Machine, theirs: Credentials) -> bool:
    client = machine.client(theirs)
    try:
        await client.connect()
    except NovaError as error:
        return error.code == "identity_revoked"
    await client.close()
    return False


def test_who_was_revoked_can_be_let_in_again(lab: Machines, admin: Credentials) -> None:
    gone = lab[3]
    gone.end()
    token = lab[0].nova_node("token", "create", "--role", "worker", "--id", gone.node)
    gone.nova_node("join", "--peer", lab[0].address, given=token)
    gone.start(*MODULE)
    run(all_met(lab, admin))


def test_a_node_is_stopped_by_whose_process_it_is(lab: Machines) -> None:
    """Nobody on that machine is an admin of the mesh."""
    mine = lab[3]
    assert "worker/" in mine.run(NODE, "drain", "--stay").stderr
    assert "stopping" in mine.nova_node("drain")
    assert mine.process is not None
    assert mine.process.wait(10) == 0
