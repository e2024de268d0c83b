"""Who becomes a member, by which token, and who is one no more."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from nova_proto.identity import certificates, trust
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.names import Name
from nova_proto.identity.token import Token, new_secret, parse_token
from nova_proto.v1.identity_pb2 import Trust

from nova_node.core.errors import (
    Corrupt,
    InUse,
    Invalid,
    NotFound,
    Overloaded,
    Refused,
    Unavailable,
)
from nova_node.identity import authority_files
from nova_node.identity.authority import (
    MEMBERS_MAX,
    NODE_S,
    PERSON_S,
    RETURN_S,
    SIGNERS_MAX,
    TOKEN_S,
    TOKENS_MAX,
    Authority,
)
from nova_node.identity.issuing import DAY_S
from nova_node.identity.signers import NEW_ROOT_WAITS_S

NOW = 1_800_000_000.25
NODE_B = Name("example", "worker", "node-b")
ADA = Name("example", "admin", "ada")


class World:
    """An authority, a clock to turn, and the keys of those who come."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.folder = folder
        self.authority = Authority.create(folder, "example", "node-a", self.clock)
        self.key = certificates.new_key()
        self.csr = certificates.request(self.key)

    def clock(self) -> float:
        return self.now

    def again(self) -> Authority:
        """As another process sees it."""
        return Authority.open(self.folder, self.clock)

    def trust(self, previous: Trust | None = None) -> Trust:
        return trust.read_trust(self.authority.signed_trust(), self.now, previous)

    def facts(self, chain: tuple[bytes, ...]) -> Facts:
        """Of a chain that a member accepts now."""
        known = self.trust()
        facts = certificates.verify_chain(chain, known.roots, self.now, "example")
        trust.check_not_revoked(facts, trust.revocations(known))
        return facts

    def join(self, node: str = "node-b", key: ec.EllipticCurvePrivateKey | None = None) -> Facts:
        token = self.authority.create_token("worker")
        csr = certificates.request(key) if key else self.csr
        return self.facts(self.authority.enroll(token.text, csr, node))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "authority")


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(IdentityError) as refusal:
        call()
    assert refusal.value.fix
    return refusal.value.code


def request() -> bytes:
    return certificates.request(certificates.new_key())


# ------------------------------------------------------------ a new mesh


def test_a_new_mesh_trusts_its_root_and_has_a_data_key(world: World) -> None:
    known = world.trust()
    assert (known.mesh, known.authority, known.version) == ("example", "node-a", 1)
    assert len(known.roots) == known.data_key == 1
    (key,) = world.authority.data_keys()
    assert (key.no, len(key.key)) == (1, 32)
    assert (world.again().mesh, world.again().node) == ("example", "node-a")
    assert world.authority.issued() == world.authority.tokens() == ()


def test_its_keys_are_for_nobody_else(world: World) -> None:
    assert stat.S_IMODE(world.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in world.folder.iterdir()} == {0o600}
    (world.folder / "authority.json").chmod(0o644)
    with pytest.raises(Refused, match="others can read"):
        world.again()


def test_one_folder_holds_one_mesh(world: World) -> None:
    before = world.trust()
    with pytest.raises(InUse):
        Authority.create(world.folder, "other", "node-z")
    assert world.trust() == before


def test_no_authority_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no authority"):
        Authority.open(tmp_path / "nothing")


def test_names_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    for mesh, node in (("Example", "node-a"), ("example", "../a"), ("", "")):
        assert code_of(lambda m=mesh, n=node: Authority.create(tmp_path / "a", m, n))
    assert not (tmp_path / "a").exists()


# ------------------------------------------------------------ tokens


def test_a_token_lets_a_node_in_for_a_day(world: World) -> None:
    token = world.authority.create_token("worker")
    assert parse_token(token.text) == token
    assert token.root_sha256 == trust.root_key_sha256(world.trust().roots[0])
    facts = world.facts(world.again().enroll(token.text, world.csr, "node-b"))
    assert facts.name == NODE_B
    assert facts.public_key_sha256 == certificates.public_key_sha256(world.key.public_key())
    assert (facts.issued_at, facts.not_after) == (int(NOW), int(NOW) + NODE_S)
    (member,) = world.authority.issued()
    assert (member.name, member.serial) == ("worker/node-b", facts.serial)
    assert (member.issued_at, member.expires_at) == (facts.issued_at, facts.not_after)
    assert member.revoked_at is None


@pytest.mark.parametrize("role", ["admin", "submitter", "observer"])
def test_a_person_has_the_id_of_the_token_for_thirty_days(world: World, role: str) -> None:
    named = world.authority.create_token(role, id="ada")
    unnamed = world.authority.create_token(role)
    for token in (named, unnamed):
        facts = world.facts(world.authority.enroll(token.text, request()))
        assert facts.name == Name("example", role, token.id)
        assert facts.not_after - facts.issued_at == PERSON_S
    assert named.id == "ada"


def test_a_token_is_for_one_use_also_of_the_same_key(world: World) -> None:
    token = world.authority.create_token("worker")
    world.authority.enroll(token.text, world.csr, "node-b")
    for csr, node in ((world.csr, "node-b"), (request(), "node-c")):
        assert code_of(lambda c=csr, n=node: world.again().enroll(token.text, c, n)) == "token_used"
    assert len(world.authority.issued()) == 1


def test_of_two_who_come_at_once_one_is_let_in(world: World) -> None:
    token = world.authority.create_token("worker")
    results: list[str] = []

    def come(node: str) -> None:
        try:
            world.again().enroll(token.text, request(), node)
            results.append("in")
        except IdentityError as error:
            results.append(error.code)

    threads = [threading.Thread(target=come, args=(f"node-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["in", *["token_used"] * 5]
    assert len(world.authority.issued()) == 1


def test_a_token_expires(world: World) -> None:
    token = world.authority.create_token("worker")
    world.now += TOKEN_S
    assert (
        code_of(lambda: world.authority.enroll(token.text, world.csr, "node-b")) == "token_expired"
    )
    world.now -= 1
    assert world.facts(world.authority.enroll(token.text, world.csr, "node-b"))


def test_a_token_that_is_none_of_this_mesh(world: World) -> None:
    good = world.authority.create_token("worker")
    for text in (
        Token(good.root_sha256, good.id, new_secret()).text,
        Token(good.root_sha256, "unknown", good.secret).text,
        Token(good.root_sha256, "unknown", bytes(32)).text,
        good.text[:-1],
        good.text.rpartition(".")[0],
        "x" * 1_000_000,
    ):
        refusal = code_of(lambda t=text: world.authority.enroll(t, world.csr, "node-b"))
        assert refusal == "token_invalid"
    assert world.facts(world.authority.enroll(good.text, world.csr, "node-b"))


def test_a_token_for_another_role(world: World) -> None:
    for_person = world.authority.create_token("admin", id="ada")
    for_node = world.authority.create_token("worker")
    enroll = world.authority.enroll
    assert code_of(lambda: enroll(for_person.text, world.csr, "node-b")) == "token_invalid"
    assert code_of(lambda: enroll(for_node.text, world.csr)) == "token_invalid"
    assert world.authority.issued() == ()


def test_a_token_for_one_node_is_not_for_another(world: World) -> None:
    token = world.authority.create_token("worker", id="node-b")
    enroll = world.authority.enroll
    assert code_of(lambda: enroll(token.text, world.csr, "node-c")) == "token_invalid"
    assert world.facts(enroll(token.text, world.csr, "node-b")).name == NODE_B


def test_what_is_wrong_with_a_request_does_not_use_up_the_token(world: World) -> None:
    token = world.authority.create_token("worker")
    for csr, node in ((b"", "node-b"), (b"x" * 1_000_000, "node-b"), (world.csr, "../b")):
        assert (
            code_of(lambda c=csr, n=node: world.authority.enroll(token.text, c, n))
            == "identity_malformed"
        )
    assert world.facts(world.authority.enroll(token.text, world.csr, "node-b"))


def test_a_token_can_be_taken_back(world: World) -> None:
    token = world.authority.create_token("worker")
    world.again().revoke_token(token.id)
    assert code_of(lambda: world.authority.enroll(token.text, world.csr, "b")) == "token_invalid"
    with pytest.raises(NotFound):
        world.authority.revoke_token(token.id)


def test_the_list_of_tokens_tells_what_became_of_them(world: World) -> None:
    first = world.authority.create_token("worker", id="node-b")
    world.now += 10
    second = world.authority.create_token("admin", 60)
    world.authority.enroll(second.text, request())
    newest, oldest = world.again().tokens()
    assert (newest.id, newest.role, newest.used_at, newest.named) == (
        second.id,
        "admin",
        world.now,
        False,
    )
    assert (oldest.id, oldest.used_at, oldest.named) == (first.id, None, True)
    assert newest.expires_at - newest.created_at == 60
    text = (world.folder / "authority.json").read_text()
    assert first.secret.hex() not in text
    assert first.text.rpartition(".")[2] not in text
    world.now += 3 * DAY_S
    third = world.authority.create_token("worker")
    assert [t.id for t in world.authority.tokens()] == [third.id]


def test_a_second_token_for_an_id_replaces_the_first(world: World) -> None:
    first = world.authority.create_token("worker", id="node-b")
    second = world.authority.create_token("worker", id="node-b")
    assert code_of(lambda: world.authority.enroll(first.text, world.csr, "node-b"))
    assert world.facts(world.authority.enroll(second.text, world.csr, "node-b"))


def test_tokens_are_bounded_in_number_and_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ttl_s in (0, -1, 8 * DAY_S, float("nan"), float("inf")):
        with pytest.raises(Invalid):
            world.authority.create_token("worker", ttl_s)
    assert code_of(lambda: world.authority.create_token("root")) == "identity_malformed"
    assert code_of(lambda: world.authority.create_token("worker", id="A")) == "identity_malformed"
    assert TOKENS_MAX >= 100
    monkeypatch.setattr("nova_node.identity.authority.TOKENS_MAX", 2)
    world.authority.create_token("worker")
    world.authority.create_token("worker")
    with pytest.raises(Overloaded):
        world.authority.create_token("worker")


# ------------------------------------------------------------ an id and its key


def test_a_known_id_with_another_key_needs_a_token_made_for_it(world: World) -> None:
    world.join("node-b")
    thief = certificates.request(certificates.new_key())
    token = world.authority.create_token("worker")
    refused = code_of(lambda: world.authority.enroll(token.text, thief, "node-b"))
    assert refused == "token_invalid"
    made_for_it = world.authority.create_token("worker", id="node-b")
    assert world.facts(world.authority.enroll(made_for_it.text, thief, "node-b")).name == NODE_B


def test_a_known_id_with_its_own_key_may_join_again(world: World) -> None:
    assert world.join("node-b").serial != world.join("node-b").serial


def test_one_id_in_two_roles_is_two_members(world: World) -> None:
    world.join("ada")
    token = world.authority.create_token("admin", id="ada")
    world.facts(world.authority.enroll(token.text, request()))
    assert [m.name for m in world.authority.issued()] == ["admin/ada", "worker/ada"]


def test_a_member_renews_with_the_same_key(world: World) -> None:
    first = world.join()
    world.now += NODE_S * 2 / 3
    second = world.facts(world.authority.renew(world.csr, NODE_B))
    assert second.public_key_sha256 == first.public_key_sha256
    assert second.not_after == int(world.now) + NODE_S
    assert code_of(lambda: world.authority.renew(request(), NODE_B)) == "identity_wrong_name"


def test_a_member_unknown_to_a_restored_authority_may_renew(world: World) -> None:
    facts = world.facts(world.authority.renew(world.csr, NODE_B))
    assert facts.name == NODE_B
    assert [m.name for m in world.authority.issued()] == ["worker/node-b"]


def test_renewal_of_a_member_of_another_mesh(world: World) -> None:
    stranger = NODE_B._replace(mesh="elsewhere")
    assert code_of(lambda: world.authority.renew(world.csr, stranger)) == "identity_wrong_mesh"


def test_a_node_comes_back_without_a_token_after_its_certificate_ran_out(world: World) -> None:
    world.join()
    world.now += NODE_S + RETURN_S - 1
    assert world.facts(world.authority.enroll("", world.csr, "node-b")).name == NODE_B
    world.now += NODE_S + RETURN_S + 1
    enroll = world.authority.enroll
    assert code_of(lambda: enroll("", world.csr, "node-b")) == "identity_expired"


def test_nobody_else_comes_back_without_a_token(world: World) -> None:
    world.join()
    token = world.authority.create_token("admin", id="ada")
    world.authority.enroll(token.text, world.csr)
    enroll = world.authority.enroll
    assert code_of(lambda: enroll("", request(), "node-b")) == "identity_wrong_name"
    assert code_of(lambda: enroll("", world.csr, "node-c")) == "identity_untrusted"
    assert code_of(lambda: enroll("", world.csr, "ada")) == "identity_untrusted"
    assert code_of(lambda: enroll("", world.csr)) == "identity_malformed"
    world.authority.revoke(NODE_B)
    assert code_of(lambda: enroll("", world.csr, "node-b")) == "identity_revoked"


def test_the_person_at_the_machine_issues_at_will(world: World) -> None:
    facts = world.facts(world.authority.issue(world.csr, ADA))
    assert (facts.name, facts.not_after - facts.issued_at) == (ADA, PERSON_S)
    short = world.facts(world.authority.issue(world.csr, NODE_B, 30))
    assert short.not_after - short.issued_at == 30
    for lifetime_s in (0, -5, 1e9, float("nan")):
        with pytest.raises(Invalid):
            world.authority.issue(world.csr, ADA, lifetime_s)
    stranger = ADA._replace(mesh="elsewhere")
    assert code_of(lambda: world.authority.issue(world.csr, stranger)) == "identity_wrong_mesh"


def test_the_life_of_a_node_s_certificate_can_be_set(world: World) -> None:
    short = Authority.open(world.folder, world.clock, node_s=30)
    facts = world.facts(short.renew(world.csr, NODE_B))
    assert facts.not_after - facts.issued_at == 30


def test_members_are_bounded_and_forgotten_after_a_year(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MEMBERS_MAX >= 1_000
    monkeypatch.setattr("nova_node.identity.authority.MEMBERS_MAX", 1)
    world.join("node-b")
    token = world.authority.create_token("worker", 6 * DAY_S)
    with pytest.raises(Overloaded):
        world.authority.enroll(token.text, request(), "node-c")
    assert world.join("node-b").name == NODE_B
    world.now += 370 * DAY_S
    assert world.join("node-c").name.id == "node-c"
    assert [m.name for m in world.authority.issued()] == ["worker/node-c"]


# ------------------------------------------------------------ revocation


def test_who_is_revoked_counts_no_more(world: World) -> None:
    known = world.trust()
    token = world.authority.create_token("worker", id="node-b")
    chain = world.authority.enroll(token.text, world.csr, "node-b")
    left_over = world.authority.create_token("worker", id="node-b")
    world.again().revoke(NODE_B)
    assert world.trust(known).version == known.version + 1
    assert code_of(lambda: world.facts(chain)) == "identity_revoked"
    assert code_of(lambda: world.authority.renew(world.csr, NODE_B)) == "identity_revoked"
    enroll = world.authority.enroll
    assert code_of(lambda: enroll(left_over.text, world.csr, "node-b")) == "token_invalid"
    unnamed = world.authority.create_token("worker")
    assert code_of(lambda: enroll(unnamed.text, world.csr, "node-b")) == "token_invalid"
    (member,) = world.authority.issued()
    assert member.revoked_at is not None


def test_a_token_made_for_it_lets_it_in_again_at_once_but_not_with_the_old_certificate(
    world: World,
) -> None:
    token = world.authority.create_token("worker")
    old = world.authority.enroll(token.text, world.csr, "node-b")
    world.authority.revoke(NODE_B)
    again = world.authority.create_token("worker", id="node-b")
    new = world.authority.enroll(again.text, world.csr, "node-b")
    assert world.facts(new).name == NODE_B
    assert code_of(lambda: world.facts(old)) == "identity_revoked"
    assert world.authority.issued()[0].revoked_at is None


def test_whom_nobody_knows_cannot_be_revoked(world: World) -> None:
    world.join()
    for name in (NODE_B._replace(id="node-c"), NODE_B._replace(mesh="elsewhere"), ADA):
        with pytest.raises(NotFound):
            world.authority.revoke(name)


def test_the_authority_does_not_revoke_itself(world: World) -> None:
    world.join("node-a")
    with pytest.raises(Invalid):
        world.authority.revoke(Name("example", "worker", "node-a"))


def test_a_revocation_is_forgotten_when_nothing_is_left_to_revoke(world: World) -> None:
    world.join()
    world.authority.revoke(NODE_B)
    world.now += 91 * DAY_S
    world.authority.rotate_data_key()
    assert not world.trust().revoked
    assert code_of(lambda: world.authority.enroll("", world.csr, "node-b")) == "identity_revoked"


# ------------------------------------------------------------ rotation


def test_a_new_root_reaches_members_of_the_old_one_and_loses_nobody(world: World) -> None:
    first = world.trust()
    old = world.authority.enroll(world.authority.create_token("worker").text, world.csr, "node-b")
    world.now += 10
    world.authority.rotate()
    both = world.trust(first)
    assert both.roots[0] == first.roots[0]
    assert len(both.roots) == 2
    # for a while the old root signs on, for those who have not heard yet
    early = world.authority.renew(world.csr, NODE_B)
    assert certificates.verify_chain(early, first.roots, world.now)
    world.now += NEW_ROOT_WAITS_S + 1
    late = world.authority.renew(world.csr, NODE_B)
    assert certificates.verify_chain(late, both.roots[1:], world.now)
    assert world.facts(old).name == world.facts(late).name == NODE_B
    assert world.authority.drop_old_roots() == ()
    last = world.trust(both)
    assert list(last.roots) == [both.roots[1]]
    assert code_of(lambda: world.facts(old)) == "identity_untrusted"


def test_old_roots_stay_while_somebody_needs_them(world: World) -> None:
    world.join()
    world.authority.issue(request(), ADA)
    world.authority.rotate()
    assert {m.name for m in world.authority.drop_old_roots()} == {"worker/node-b", "admin/ada"}
    assert len(world.trust().roots) == 2
    world.authority.revoke(NODE_B)
    assert [m.name for m in world.authority.drop_old_roots()] == ["admin/ada"]
    world.now += PERSON_S + 1
    assert world.authority.drop_old_roots() == ()
    assert len(world.trust().roots) == 1
    version = world.trust().version
    assert world.authority.drop_old_roots() == ()
    assert world.trust().version == version


def test_old_roots_can_be_dropped_by_force(world: World) -> None:
    world.join()
    world.authority.rotate()
    assert len(world.authority.drop_old_roots(force=True)) == 1
    assert len(world.trust().roots) == 1


def test_what_changes_while_two_roots_are_trusted_reaches_those_who_know_one(world: World) -> None:
    world.join()
    first = world.trust()
    world.authority.rotate()
    world.authority.revoke(NODE_B)
    assert trust.revocations(world.trust(first)).keys() == {"worker/node-b"}
    token = world.authority.create_token("worker")
    signed = world.authority.signed_trust()
    assert trust.read_trust(signed, world.now, root_sha256=token.root_sha256)


def test_roots_are_bounded(world: World) -> None:
    for _ in range(SIGNERS_MAX - 1):
        world.authority.rotate()
    with pytest.raises(Overloaded):
        world.authority.rotate()


def test_an_intermediate_is_replaced_long_before_it_ends(world: World) -> None:
    first = world.trust()
    before = world.authority.renew(world.csr, NODE_B)
    world.now += 300 * DAY_S
    after = world.authority.renew(world.csr, NODE_B)
    assert after[1] != before[1]
    assert world.trust(first).version == first.version + 1
    assert world.facts(after).name == NODE_B
    assert world.authority.renew(world.csr, NODE_B)[1] == after[1]


def test_nothing_outlasts_the_root(world: World) -> None:
    world.now += 3_650 * DAY_S
    facts = world.facts(world.authority.issue(world.csr, ADA))
    assert facts.not_after <= int(NOW) + 3_652 * DAY_S


def test_data_keys_add_up(world: World) -> None:
    first = world.trust()
    world.again().rotate_data_key()
    one, two = world.authority.data_keys()
    assert (one.no, two.no) == (1, 2)
    assert one.key != two.key
    assert world.trust(first).data_key == 2


# ------------------------------------------------------------ its file


def test_each_change_shows_in_the_stamp(world: World) -> None:
    other = world.again()
    before = other.stamp()
    assert other.stamp() == before
    world.authority.create_token("worker")
    assert other.stamp() != before
    assert len(other.tokens()) == 1


def test_what_changes_nothing_is_not_written(world: World) -> None:
    before = world.authority.stamp()
    world.authority.drop_old_roots()
    assert world.authority.stamp() == before


def test_a_change_that_fails_changes_nothing(world: World) -> None:
    before = world.authority.stamp()
    with pytest.raises(NotFound):
        world.authority.revoke_token("unknown")
    assert world.authority.stamp() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"schema": 2}', b"\xff", b'{"schema":1'],
)
def test_a_damaged_file_is_told_so(world: World, content: bytes) -> None:
    (world.folder / "authority.json").write_bytes(content)
    for call in (world.again, world.authority.issued, world.authority.rotate):
        with pytest.raises(Corrupt) as refusal:
            call()
        assert refusal.value.fix


def test_a_process_that_holds_the_lock_is_not_waited_for_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority_files, "LOCK_WAIT_S", 0.02)
    files = authority_files.AuthorityFiles(world.folder)
    with files.changing(), pytest.raises(Unavailable, match="another process"):
        world.authority.rotate()
    world.authority.rotate()
