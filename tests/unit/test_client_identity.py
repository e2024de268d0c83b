"""As whom a client talks to a node, when it may do so in plaintext, and how it stays a member."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import grpc.aio
import pytest
from nova_client import Refused, Unreachable, find, identity
from nova_client.channel import Wire
from nova_client.find import Access, Place
from nova_proto.identity import certificates, enrol, folder, person, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.identity.trust import stored_trust
from nova_proto.v1 import task_pb2

from nova_node.identity.authority import Authority

DAY_S = 86_400.0
NODE = "a" * 16
FAR, NEAR = "192.0.2.7:7600", "127.0.0.1:7600"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOVA_IDENTITY_DIR", str(tmp_path / "me"))
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("NOVA_NODE", raising=False)
    monkeypatch.delenv("NOVA_TEST_ALLOW_INSECURE_BIND", raising=False)
    return tmp_path / "me"


class World:
    """An authority with a clock of its own, and a person of its mesh."""

    def __init__(self, where: Path, mesh: str) -> None:
        self.mesh = mesh
        self.later_s = 0.0
        self.authority = Authority.create(where / mesh, mesh, NODE, self.now)
        key = certificates.new_key()
        chain = self.authority.issue(certificates.request(key), Name(mesh, "admin", "ada"))
        self.person = Credentials(
            Name(mesh, "admin", "ada"), certificates.key_to_pem(key), chain, self.trust()
        )

    def now(self) -> float:
        return time.time() + self.later_s

    def trust(self) -> bytes:
        return self.authority.signed_trust().SerializeToString()

    def kept(self) -> Path:
        where = person.folder_of(self.mesh)
        folder.save(where, self.person)
        return where


@pytest.fixture
def lab(tmp_path: Path) -> World:
    return World(tmp_path, "lab")


def answers(monkeypatch: pytest.MonkeyPatch, **by_mesh: str) -> None:
    """What a node says to whom: an id, or the code of an error."""

    def node_at(host: str, port: int, credentials: Credentials, timeout_s: float) -> str:
        said = by_mesh[credentials.name.mesh]
        if "_" in said or said == "unavailable":
            raise IdentityError(said, f"{host}:{port} said {said}", "a fix")
        return said

    monkeypatch.setattr(tls, "node_at", node_at)


# ---------------------------------------------------------------- which way


@pytest.mark.parametrize(
    ("place", "plain"),
    [
        (Place(NEAR), True),
        (Place("localhost:1"), True),
        (Place("[::1]:1"), True),
        (Place(NEAR, NODE, "lab", False), True),
        (Place(NEAR, NODE, "lab", True), False),
        (Place(FAR), False),
        (Place("node-b.local:7600"), False),
    ],
)
def test_plaintext_is_for_this_machine(place: Place, plain: bool) -> None:
    assert (find.plain_access(place) is not None) is plain
    if not plain:
        with pytest.raises(Refused, match="members only") as refused:
            identity.access(place)
        assert refused.value.code == "identity_missing"
        assert "nova login" in refused.value.fix


def test_a_member_asks_what_an_address_on_this_machine_is(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = lab.kept()
    assert find.plain_access(Place(NEAR)) is None
    answers(monkeypatch, lab=NODE)
    assert identity.access(Place(NEAR)) == Access(NEAR, NODE, lab.person, kept)
    answers(monkeypatch, lab="identity_missing")
    assert identity.access(Place(NEAR)) == Access(NEAR)
    assert find.plain_access(Place(NEAR, NODE, "nova", False)) == Access(NEAR)


def test_nothing_goes_out_in_plaintext(lab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.kept()
    answers(monkeypatch, lab="identity_missing")
    with pytest.raises(Refused) as refused:
        identity.access(Place(FAR))
    assert refused.value.code == "identity_missing"


def test_of_several_meshes_the_one_of_the_node_is_taken(
    lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = World(tmp_path, "home")
    lab.kept()
    home.kept()
    answers(monkeypatch, lab="identity_untrusted", home=NODE)
    assert identity.access(Place(FAR)).identity == home.person
    answers(monkeypatch, lab="identity_expired", home="identity_expired")
    with pytest.raises(Refused, match="said identity_expired"):
        identity.access(Place(FAR))
    answers(monkeypatch, lab="unavailable", home="unavailable")
    with pytest.raises(Unreachable, match="no node answers"):
        identity.access(Place(FAR))


def test_a_node_that_is_known_is_not_asked_first(lab: World) -> None:
    kept = lab.kept()
    place = Place(FAR, NODE, "lab", True)
    assert identity.access(place) == Access(FAR, NODE, lab.person, kept)
    assert identity.access(place, lab.person) == Access(FAR, NODE, lab.person, None)
    with pytest.raises(Refused, match="of mesh other"):
        identity.access(Place(FAR, NODE, "other", True))


def test_the_node_of_the_last_login_is_the_default(lab: World) -> None:
    assert find.find_place() == Place(find.DEFAULT_ADDRESS)
    person.remember(lab.kept(), person.Remembered(FAR, NODE))
    assert find.find_place() == Place(FAR, NODE, "lab", True)


def test_an_identity_that_cannot_be_used_says_so(lab: World) -> None:
    kept = lab.kept()
    (kept / "key.pem").chmod(0o644)
    with pytest.raises(Refused, match="others can read"):
        identity.access(Place(FAR, NODE, "lab", True))


# ---------------------------------------------------------------- staying a member


def test_newer_trust_is_kept_and_older_is_not(lab: World) -> None:
    way = Access(FAR, NODE, lab.person, lab.kept())
    old = lab.authority.signed_trust()
    assert identity.take_trust(way, old) is None
    lab.authority.rotate()
    news = identity.take_trust(way, lab.authority.signed_trust())
    assert news is not None
    assert (news.is_due, news.has_other_roots, news.authority) == (False, True, NODE)
    assert folder.load(person.folder_of("lab")).trust == lab.trust()
    assert identity.take_trust(way._replace(identity=news.identity), old) is None


def test_trust_of_another_authority_is_not_taken(lab: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = World(tmp_path / "elsewhere", "lab")
    other.authority.rotate()
    way = Access(FAR, NODE, lab.person, lab.kept())
    assert identity.take_trust(way, other.authority.signed_trust()) is None


@pytest.mark.parametrize(("age_s", "due"), [(19 * DAY_S, False), (21 * DAY_S, True)])
def test_a_certificate_is_due_at_two_thirds(
    lab: World, monkeypatch: pytest.MonkeyPatch, age_s: float, due: bool
) -> None:
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + age_s)
    news = identity.take_trust(Access(FAR, NODE, lab.person), lab.authority.signed_trust())
    assert (news is not None and news.is_due) is due


def test_a_new_root_makes_it_due_once_that_signs(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.authority.rotate()
    began = time.time()
    way = Access(FAR, NODE, lab.person)
    for age_s, due in ((30.0, False), (120.0, True)):
        monkeypatch.setattr(time, "time", lambda age_s=age_s: began + age_s)
        news = identity.take_trust(way, lab.authority.signed_trust())
        assert news is not None
        assert news.is_due is due


def test_what_is_renewed_is_kept(lab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    way = Access(FAR, NODE, lab.person, lab.kept())
    key = certificates.key_from_pem(lab.person.key_pem)
    chain = lab.authority.renew(certificates.request(key), lab.person.name)
    fresh = Credentials(lab.person.name, lab.person.key_pem, chain, lab.person.trust)

    def renewed(*_: object) -> enrol.Enrolled:
        return fresh, []

    monkeypatch.setattr(enrol, "renew", renewed)
    assert identity.renew(way, FAR, NODE) == fresh
    assert folder.load(person.folder_of("lab")) == fresh
    assert stored_trust(fresh.trust).mesh == "lab"


def test_an_old_certificate_is_excused_once_it_was_renewed(lab: World) -> None:
    said = task_pb2.Error(code="identity_expired", message="it has expired", fix="join")
    trailer = grpc.aio.Metadata(("nova-error-bin", said.SerializeToString()))
    expired = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), trailer, "it has expired"
    )

    async def scene() -> None:
        wire = Wire(FAR, NODE, lab.person)
        age = wire.age
        assert isinstance(wire.error(expired, age), Refused)
        await wire.renew(lab.person)
        assert isinstance(wire.error(expired, age), Unreachable)
        assert isinstance(wire.error(expired, wire.age), Refused)
        await wire.close()

    asyncio.run(scene())


def test_a_node_of_this_machine_is_reached_here_by_either_of_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path))
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    note = {"address": FAR, "local": "127.0.0.1:7600", "pid": os.getpid(), "node": NODE}
    (nodes / f"{NODE}.json").write_text(json.dumps({**note, "mesh": "lab", "secure": True}))
    here = Place("127.0.0.1:7600", NODE, "lab", True, FAR)
    assert find.find_place() == find.find_place("127.0.0.1:7600") == here
    assert find.find_place(FAR) == here._replace(address=FAR)
