from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from nova_proto.identity import certificates
from nova_proto.identity.names import Name
from nova_proto.identity.trust import stored_trust
from nova_proto.v1.identity_pb2 import AuditHead

from nova_node.audit import heads as heads_of
from nova_node.audit.heads import FOLDER, Head, Heads, head_from_pb, head_to_pb, read_head, sign
from nova_node.audit.log import AuditLog
from nova_node.audit.telling import Telling
from nova_node.core.errors import Corrupt, Invalid, NovaError, Refused, Terminal, Unavailable
from nova_node.core.model import Member
from nova_node.identity.authority import Authority

KEY = certificates.new_key()
NODE = "abcdefghijklmnop"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("mesh") / "authority", "lab", NODE)


@pytest.fixture(scope="module")
def chain(authority: Authority) -> tuple[bytes, ...]:
    return issued(authority, NODE)


def issued(authority: Authority, node: str) -> tuple[bytes, ...]:
    name = Name("lab", "worker", node)
    return authority.issue(certificates.request(KEY), name)


@pytest.fixture
def heads(tmp_path: Path) -> Heads:
    return Heads(tmp_path, lambda chain, at: f"worker/{NODE}")


def head(count: int = 1, sha256: str = "a" * 64, node: str = NODE) -> Head:
    return Head(node, count, sha256, 5.0)


def as_pb(head: Head) -> AuditHead:
    pb = AuditHead()
    head_to_pb(head, pb)
    return pb


def test_a_signed_head_is_kept(tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]) -> None:
    signed = sign(head(), KEY, chain)
    assert head_from_pb(as_pb(signed)) == signed
    heads.put_head(as_pb(signed))
    assert read_head(tmp_path / FOLDER / f"{NODE}.json") == signed
    assert heads.all() == [signed]


def test_only_the_nodes_own_signature_counts(
    tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]
) -> None:
    signed = sign(head(3), KEY, chain)
    for other in (
        replace(signed, count=4),
        replace(signed, sha256="b" * 64),
        replace(signed, time=6.0),
        replace(signed, node="qrstuvwxyz234567"),
        replace(signed, signature=b"x" * 70),
        sign(head(3), certificates.new_key(), chain),
    ):
        with pytest.raises(Refused, match="not signed"):
            heads.put_head(as_pb(other))
    assert not (tmp_path / FOLDER).exists()


def test_the_chain_is_that_of_a_member(
    tmp_path: Path, authority: Authority, chain: tuple[bytes, ...]
) -> None:
    trust = stored_trust(authority.signed_trust().SerializeToString())
    facts = certificates.read_leaf(chain[0])
    heads = Heads(tmp_path, heads_of.member_of("lab", lambda: trust.roots))
    now = facts.issued_at + 1
    heads.put_head(as_pb(sign(replace(head(), time=now), KEY, chain)))
    with pytest.raises(Refused) as caught:
        heads.put_head(as_pb(sign(replace(head(), time=now + 10 * 86_400), KEY, chain)))
    assert caught.value.code == "identity_expired"
    with pytest.raises(Refused):
        heads.put_head(as_pb(sign(replace(head(), time=now), KEY, chain[:1])))
    other = issued(authority, "qrstuvwxyz234567")
    with pytest.raises(Refused, match="not signed"):
        heads.put_head(as_pb(sign(replace(head(), time=now), KEY, other)))


def test_a_head_only_goes_forward(heads: Heads, chain: tuple[bytes, ...]) -> None:
    def put(count: int, sha256: str) -> None:
        heads.put_head(as_pb(sign(head(count, sha256), KEY, chain)))

    put(5, "a" * 64)
    put(5, "a" * 64)
    put(7, "b" * 64)
    with pytest.raises(Refused, match="went back from line 7 to 6") as caught:
        put(6, "c" * 64)
    assert "audit verify --head" in caught.value.fix
    with pytest.raises(Refused, match="rewritten"):
        put(7, "c" * 64)
    assert [(each.count, each.sha256) for each in heads.all()] == [(7, "b" * 64)]


@pytest.mark.parametrize(
    "change",
    [
        {"node": ""},
        {"node": "../../etc/passwd"},
        {"node": "a/b"},
        {"node": "x" * 99},
        {"hash": b"short"},
        {"signature": b""},
        {"signature": b"x" * 1000},
        {"chain": []},
        {"chain": [b"x"] * 9},
        {"chain": [b"x" * 20_000]},
        {"time": float("nan")},
        {"time": float("inf")},
    ],
    ids=str,
)
def test_what_is_no_head_is_refused(heads: Heads, change: dict[str, object]) -> None:
    given = {"node": NODE, "count": 1, "hash": b"h" * 32, "time": 1.0}
    pb = AuditHead(**(given | {"signature": b"s" * 70, "chain": [b"c"]} | change))  # pyright: ignore
    with pytest.raises(Invalid):
        heads.put_head(pb)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"node": 1}', "x" * 200_000, '{"time":1e999}'])
def test_a_damaged_file_of_a_head_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "head.json"
    with pytest.raises(Unavailable):
        read_head(path)
    path.write_text(text)
    with pytest.raises(Corrupt) as caught:
        read_head(path)
    assert caught.value.fix


def test_a_damaged_head_is_set_aside_and_the_next_one_kept(
    tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]
) -> None:
    signed = sign(head(), KEY, chain)
    heads.keep(signed)
    (tmp_path / FOLDER / f"{NODE}.json").write_text("{")
    heads.keep(signed)
    assert heads.all() == [signed]
    assert (tmp_path / FOLDER / f"{NODE}.damaged").read_text() == "{"


# ---------------------------------------------------------------- telling


class Peers:
    def __init__(self) -> None:
        self.put: list[tuple[str, int]] = []
        self.error: NovaError | None = None

    async def __call__(self, member: Member, pb: AuditHead) -> None:
        self.put.append((member.node, pb.count))
        if self.error is not None:
            raise self.error


def telling(
    audit: AuditLog, heads: Heads, chain: Sequence[bytes], peers: Peers, names: Sequence[str]
) -> Telling:
    rng = random.Random(1)
    members = [Member(name, name, f"{name}.example:7") for name in (NODE, *names)]
    return Telling(
        NODE, audit, heads, lambda head: sign(head, KEY, chain), lambda: members, peers, rng
    )


def test_two_peers_hear_how_far_the_log_has_come(
    tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]
) -> None:
    audit, peers = AuditLog(tmp_path, gather_s=0.0), Peers()

    async def scene() -> None:
        one = telling(audit, heads, chain, peers, ["a", "b", "c"])
        await one.tell()
        assert peers.put == []
        audit.note("a", "b", "x")
        await one.tell()
        assert [count for _, count in peers.put] == [1, 1]
        assert len({node for node, _ in peers.put} - {NODE}) == 2
        audit.note("a", "b", "x")
        await telling(audit, heads, chain, peers, ["a"]).tell()
        assert peers.put[2:] == [("a", 2)]
        await telling(audit, heads, chain, peers, []).tell()

    asyncio.run(scene())
    audit.close()
    assert [each.count for each in heads.all()] == [2]


def test_a_peer_that_knows_better_is_noted(
    tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]
) -> None:
    audit, peers = AuditLog(tmp_path, gather_s=0.0), Peers()
    peers.error = Terminal("the audit log of me went back", "", "refused")
    audit.note("a", "b", "x")
    asyncio.run(telling(audit, heads, chain, peers, ["a"]).tell())
    assert audit.flush()
    assert audit.tip().no == 2
    peers.error = Unavailable("gone")
    asyncio.run(telling(audit, heads, chain, peers, ["a"]).tell())
    assert audit.tip().no == 2
    audit.close()


def test_a_log_put_back_is_not_told_as_if_nothing_were(
    tmp_path: Path, heads: Heads, chain: tuple[bytes, ...]
) -> None:
    peers = Peers()
    heads.keep(sign(head(9), KEY, chain))
    audit = AuditLog(tmp_path, gather_s=0.0)
    audit.note("a", "b", "x")
    asyncio.run(telling(audit, heads, chain, peers, ["a"]).tell())
    audit.close()
    assert peers.put == []
    assert [each.count for each in heads.all()] == [9]
