"""The commands of identity on the machine that holds the authority, and where that is elsewhere."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from nova_proto.identity import certificates, folder
from nova_proto.identity.token import parse_token
from nova_proto.identity.trust import root_key_sha256, stored_trust

from nova_node.cli import main
from nova_node.identity.authority import Authority


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("NOVA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("NOVA_IDENTITY_DIR", str(tmp_path / "me"))
    monkeypatch.setenv("NOVA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NOVA_CONFIG", os.devnull)
    monkeypatch.setenv("USER", "Ada.Smith")
    monkeypatch.setenv("LOGNAME", "Ada.Smith")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of the node that made the mesh."""
    done("init", "--mesh", "lab")
    return tmp_path / "data"


def nova_node(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, words, input=given)


def done(*words: str) -> str:
    result = nova_node(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def told(*words: str) -> dict[str, Any]:
    document = json.loads(done(*words, "--json"))
    assert document["schema"] == 1
    return document


def test_init_makes_a_mesh_a_node_and_an_admin(tmp_path: Path) -> None:
    said = told("init", "--mesh", "lab")
    node = folder.load(tmp_path / "data" / "identity")
    me = folder.load(tmp_path / "me" / "lab")
    assert node.name.short == f"worker/{said['node']}"
    assert me.name.short == said["you"] == "admin/ada-smith"
    roots = stored_trust(me.trust).roots
    for credentials in (node, me):
        facts = certificates.read_leaf(credentials.chain[0])
        assert certificates.verify_chain(credentials.chain, roots, facts.issued_at, "lab") == facts
    for path in [*(tmp_path / "data").rglob("*"), *(tmp_path / "me" / "lab").rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_each_step_names_the_next_one() -> None:
    assert done("init").splitlines()[-1] == "next: nova-node start"
    made = nova_node("token", "create", "--role", "worker")
    assert len(made.stdout.splitlines()) == 1
    assert "does not run: nova-node start" in made.stderr
    assert "next, on the other machine: nova-node join" in made.stderr
    made = nova_node("token", "create", "--role", "observer", "--id", "bob")
    assert "nova login --node" in made.stderr


def test_the_mesh_of_the_config_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVA_MESH", "of-config")
    monkeypatch.setenv("NOVA_LISTEN", "0.0.0.0:7600")
    assert told("init")["mesh"] == "of-config"


def test_a_token_is_printed_once_and_listed_without_its_secret(data: Path) -> None:
    made = told("token", "create", "--role", "worker", "--ttl", "2h")
    token = parse_token(made["token"])
    trust = stored_trust(Authority.open(data / "authority").signed_trust().SerializeToString())
    assert token.root_sha256 == root_key_sha256(trust.roots[0])
    (listed,) = told("token", "list")["tokens"]
    assert (listed["id"], listed["role"], listed["state"]) == (made["id"], "worker", "open")
    assert listed["expires_at"] - listed["created_at"] == 7_200
    assert made["token"].rpartition(".")[2] not in done("token", "list")
    done("token", "revoke", made["id"])
    assert told("token", "list")["tokens"] == []


def test_a_person_is_added_listed_and_revoked(tmp_path: Path, data: Path) -> None:
    said = told("user", "add", "bob", "--role", "observer", "--out", str(tmp_path / "bob"))
    assert said["name"] == folder.load(tmp_path / "bob").name.short == "observer/bob"
    members = {each["name"]: each for each in told("members")["members"]}
    assert members["observer/bob"]["state"] == "valid"
    assert [name for name, each in members.items() if each["authority"]] == [
        f"worker/{Authority.open(data / 'authority').node}"
    ]
    assert told("revoke", "bob")["revoked"] == "observer/bob"
    members = {each["name"]: each for each in told("members")["members"]}
    assert members["observer/bob"]["state"] == "revoked"
    trust = stored_trust(Authority.open(data / "authority").signed_trust().SerializeToString())
    assert [revoked.name for revoked in trust.revoked] == ["observer/bob"]


def test_a_member_is_named_by_the_first_letters_of_its_id(tmp_path: Path, data: Path) -> None:
    for name in ("robert", "roberta"):
        done("user", "add", name, "--out", str(tmp_path / name))
    assert nova_node("revoke", "rob").exit_code == 1
    ambiguous = nova_node("revoke", "robe")
    assert ambiguous.exit_code == 2
    assert "submitter/robert, submitter/roberta" in ambiguous.stderr
    assert told("revoke", "robert")["revoked"] == "submitter/robert"
    assert told("revoke", "robe")["revoked"] == "submitter/roberta"


def test_rotation_adds_a_root_or_a_data_key(data: Path) -> None:
    authority = Authority.open(data / "authority")
    before = stored_trust(authority.signed_trust().SerializeToString())
    done("rotate")
    after = stored_trust(authority.signed_trust().SerializeToString())
    assert len(after.roots) == len(before.roots) + 1
    assert told("rotate", "--data-key")["data_key"] == before.data_key + 1


def test_where_the_authority_is_elsewhere_its_node_is_named(tmp_path: Path, data: Path) -> None:
    other = tmp_path / "other"
    holder = Authority.open(data / "authority").node
    folder.save(other / "identity", folder.load(data / "identity"))
    for words in (
        ["members"],
        ["token", "list"],
        ["revoke", "x"],
        ["rotate"],
        ["user", "add", "x"],
    ):
        result = nova_node(*words, "--data-dir", str(other))
        assert result.exit_code == 5, words
        assert f"held by node {holder}" in result.stderr
    nothing = nova_node("members", "--data-dir", str(tmp_path / "nothing"))
    assert nothing.exit_code == 5
    assert "nova-node init" in nothing.stderr


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        (["init"], "", 5, "holds the authority"),
        (["init", "--mesh", "Not A Label", "--data-dir", "x"], "", 2, "mesh"),
        (["token", "create", "--role", "submitter"], "", 2, "--id ada"),
        (["token", "create", "--role", "worker", "--ttl", "soon"], "", 2, "30s, 15m, 2h or 7d"),
        (["token", "create", "--role", "worker", "--ttl", "99d"], "", 2, "--ttl"),
        (["token", "revoke", "nobody"], "", 1, "token list"),
        (["user", "add", "Bob Smith"], "", 5, "valid id"),
        (["user", "add", "bob"], "", 5, "--out"),
        (["user", "add", "ada-smith", "--role", "admin", "--out", "x"], "", 5, "member already"),
        (["revoke", "nobody"], "", 1, "nova-node members"),
        (["join"], "nova1.x", 5, "holds the authority"),
        (["join", "--data-dir", "x"], "", 2, "token create"),
        (["join", "--data-dir", "x"], "nova1.cut", 5, "copy all of the line"),
    ],
)
def test_a_refusal_names_the_fix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    words: list[str],
    given: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = nova_node(*words, given=given)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr
    assert "fix: " in result.stderr


def test_a_node_of_one_mesh_does_not_join_another(tmp_path: Path, data: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    folder.save(other / "identity", folder.load(data / "identity"))
    foreign = Authority.create(tmp_path / "foreign", "lab", "a" * 16)
    token = foreign.create_token("worker").text
    result = nova_node("join", "--data-dir", str(other), given=token)
    assert result.exit_code == 5
    assert "belongs to the mesh lab, and the token is of another" in result.stderr
