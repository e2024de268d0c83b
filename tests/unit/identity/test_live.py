"""What a running node makes of the certificates that callers show, and of news about its mesh."""

from __future__ import annotations

from pathlib import Path

import pytest
from nova_proto.identity import certificates, folder
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from support import forge

from nova_node.core.errors import Refused
from nova_node.identity.authority import Authority
from nova_node.identity.live import Identity
from nova_node.identity.upkeep import renew_here

MESH, NODE = "example", "node-a"
NOW = 1_800_000_000.0
DAY_S = 86_400.0
OTHER = Name(MESH, "worker", "node-b")


class Story:
    """One node that holds the authority, at a time that the test sets."""

    def __init__(self, where: Path) -> None:
        self.now = NOW
        self.where = where
        self.authority = Authority.create(where / "authority", MESH, NODE, lambda: self.now)
        folder.save(where / "identity", self.credentials(Name(MESH, "worker", NODE)))
        self.identity = Identity(where / "identity", lambda: self.now)
        self.changes = 0
        self.identity.on_change(self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def credentials(self, name: Name, lifetime_s: float = DAY_S) -> Credentials:
        key = certificates.new_key()
        chain = self.authority.issue(certificates.request(key), name, lifetime_s)
        trust = self.authority.signed_trust().SerializeToString()
        return Credentials(name, certificates.key_to_pem(key), chain, trust)

    def shows(self, credentials: Credentials) -> Name:
        return self.shows_chain(credentials.chain)

    def shows_chain(self, chain: tuple[bytes, ...]) -> Name:
        leaf, rest = chain[:1], chain[1:]
        return self.identity.check(
            certificates.der_to_pem(leaf), certificates.der_to_pem(rest) if rest else b""
        )

    def refusal(self, chain: tuple[bytes, ...]) -> str:
        with pytest.raises(Refused) as raised:
            self.shows_chain(chain)
        assert raised.value.message
        return raised.value.code


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_a_member_is_known_by_its_name(story: Story) -> None:
    assert story.shows(story.credentials(OTHER)) == OTHER
    assert story.identity.name == Name(MESH, "worker", NODE)


def test_the_time_is_looked_at_on_each_call(story: Story) -> None:
    brief = story.credentials(OTHER, 10.0)
    story.shows(brief)
    story.now += 10.0
    assert story.refusal(brief.chain) == "identity_expired"
    story.now -= 5.0  # the clock was set right
    assert story.shows(brief) == OTHER
    fresh = story.credentials(OTHER)
    story.now -= 3_600.0
    assert story.refusal(fresh.chain) == "identity_not_yet_valid"


def test_strangers_are_refused_each_time(story: Story) -> None:
    other = forge.Mesh(MESH, now=NOW)
    for _ in range(2):
        assert story.refusal(other.chain()) == "identity_untrusted"
        assert (
            story.refusal(
                forge.Mesh("elsewhere", now=NOW).chain(Name("elsewhere", "worker", "node-b"))
            )
            == "identity_wrong_mesh"
        )
        assert story.refusal(other.forged(ca=True)) == "identity_malformed"
    with pytest.raises(Refused) as junk:
        story.identity.check(b"no certificate")
    assert junk.value.code == "identity_malformed"


def test_a_leaf_alone_leads_nowhere(story: Story) -> None:
    assert story.refusal(story.credentials(OTHER).chain[:1]) == "identity_untrusted"


def test_who_was_revoked_is_refused_until_it_comes_with_a_newer_certificate(story: Story) -> None:
    former = story.credentials(OTHER)
    story.shows(former)
    story.authority.revoke(OTHER)
    assert story.identity.take_trust(story.authority.signed_trust())
    assert story.changes == 1
    assert story.refusal(former.chain) == "identity_revoked"
    assert story.identity.is_revoked(OTHER.id)
    assert not story.identity.is_revoked("node-c")
    story.now += 2.0
    again = story.credentials(OTHER)
    assert story.shows(again) == OTHER
    assert not story.identity.is_revoked(OTHER.id)
    assert story.refusal(former.chain) == "identity_revoked"


def test_trust_is_taken_once_and_kept(story: Story, tmp_path: Path) -> None:
    old = story.authority.signed_trust()
    story.authority.rotate()
    new = story.authority.signed_trust()
    assert story.identity.take_trust(new)
    assert not story.identity.take_trust(new)
    assert not story.identity.take_trust(old)
    assert story.changes == 1
    kept = Identity(tmp_path / "identity", lambda: story.now)
    assert kept.trust == story.identity.trust
    assert len(kept.trust.roots) == 2


def test_trust_of_somebody_else_changes_nothing(story: Story, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "foreign", MESH, NODE, lambda: NOW)
    foreign.rotate()
    with pytest.raises(IdentityError):
        story.identity.take_trust(foreign.signed_trust())
    assert (story.identity.trust.version, story.changes) == (1, 0)


def test_a_new_root_is_followed_by_a_certificate_below_it(story: Story) -> None:
    identity = story.identity
    before = identity.facts.serial
    assert identity.under_newest_root
    story.now += 3_600.0
    story.authority.rotate()
    identity.take_trust(story.authority.signed_trust())
    assert not identity.under_newest_root
    story.now += 120.0
    identity.enrolled(renew_here(identity.credentials, story.authority))
    assert identity.under_newest_root
    assert identity.facts.serial != before
    old_root = story.credentials(OTHER)
    assert story.authority.drop_old_roots() == ()
    identity.take_trust(story.authority.signed_trust())
    assert len(identity.trust.roots) == 1
    assert story.shows(old_root) == OTHER


def test_an_answer_that_was_on_its_way_brings_no_older_trust(story: Story) -> None:
    late = renew_here(story.identity.credentials, story.authority)
    story.authority.revoke(story.credentials(OTHER).name)
    story.identity.take_trust(story.authority.signed_trust())
    story.identity.enrolled(late)
    assert story.identity.trust.version == 2


def test_data_keys_come_with_a_renewal(story: Story) -> None:
    assert story.identity.data_keys.current == 0
    story.identity.enrolled(renew_here(story.identity.credentials, story.authority))
    story.authority.rotate_data_key()
    story.identity.add_data_keys(story.authority.data_keys())
    assert story.identity.data_keys.numbers() == (1, 2)
