"""`nova-node audit`, in a data directory of an identity that `init` made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from nova_proto.identity import certificates
from nova_proto.identity import folder as disk

from nova_node.audit.heads import FOLDER, Head, Heads, sign
from nova_node.audit.log import AuditLog
from nova_node.cli import main
from nova_node.cli.noted import noted


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("NOVA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("NOVA_IDENTITY_DIR", str(tmp_path / "me"))
    monkeypatch.setenv("NOVA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NOVA_CONFIG", os.devnull)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    assert nova_node("init", "--mesh", "lab").exit_code == 0
    for n in range(3):
        noted(data, "x", f"subject-{n}\x1b[31m", count=n)
    return data


def nova_node(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def signed_head(data: Path, ahead: int = 0, sha256: str = "") -> Head:
    own = disk.load(data / "identity")
    log = AuditLog(data)
    tip = log.tip()
    log.close()
    head = Head(own.name.id, tip.no + ahead, sha256 or tip.sha256, 5.0)
    return sign(head, certificates.key_from_pem(own.key_pem), own.chain)


def keep(folder: Path, head: Head) -> Path:
    Heads(folder, lambda chain, at: "").keep(head)
    return folder / FOLDER / f"{head.node}.json"


def test_a_sound_log(data: Path) -> None:
    said = nova_node("audit", "verify")
    assert said.exit_code == 0
    assert "no signed head" in said.stderr
    keep(data, signed_head(data))
    said = nova_node("audit", "verify")
    assert (said.exit_code, said.stderr) == (0, "")
    assert "1 signed heads agree" in said.stdout
    document = json.loads(nova_node("audit", "verify", "--json").stdout)
    assert document["schema"] == 1
    assert document["sound"]
    assert document["findings"] == []


def test_an_edited_log(data: Path) -> None:
    path = data / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"subject-1", b"subject-7"))
    said = nova_node("audit", "verify")
    assert said.exit_code == 1
    assert said.stdout.startswith("edited: line ")
    assert "next:" in said.stderr
    assert json.loads(nova_node("audit", "verify", "--json").stdout)["sound"] is False


def test_a_log_that_was_put_back_with_its_own_head(data: Path, tmp_path: Path) -> None:
    """Only what a peer keeps shows it."""
    kept = keep(tmp_path / "peer", signed_head(data, ahead=4))
    keep(data, signed_head(data))
    assert nova_node("audit", "verify").exit_code == 0
    said = nova_node("audit", "verify", "--head", str(kept))
    assert said.exit_code == 1
    assert "put back" in said.stdout


def test_a_head_of_somebody_else_says_nothing(data: Path, tmp_path: Path) -> None:
    own = disk.load(data / "identity")
    forged = sign(signed_head(data, ahead=4), certificates.new_key(), own.chain)
    said = nova_node("audit", "verify", "--head", str(keep(tmp_path / "peer", forged)))
    assert said.exit_code == 5
    assert "not signed" in said.stderr


def test_no_log_is_told() -> None:
    for words in (("verify",), ("tail",)):
        said = nova_node("audit", *words)
        assert said.exit_code == 1
        assert "there is no audit log" in said.stderr
        assert "fix:" in said.stderr


def test_the_tail_shows_who_did_what(data: Path) -> None:
    lines = nova_node("audit", "tail", "-n", "2").stdout.splitlines()
    assert len(lines) == 2
    assert "local/" in lines[1]
    assert "subject-2" in lines[1]
    assert "count=2" in lines[1]
    assert "\x1b" not in lines[1]
    shown = [json.loads(line) for line in nova_node("audit", "tail", "--json").stdout.splitlines()]
    assert [each["count"] for each in shown if each["what"] == "x"] == [0, 1, 2]
    assert nova_node("audit", "tail", "-n", "0").stdout == ""


def test_commands_note_what_they_change_and_nothing_secret(data: Path) -> None:
    def done(*words: str, given: str | None = None) -> str:
        result = CliRunner().invoke(main, words, input=given)
        assert result.exit_code == 0, result.stderr
        return result.stdout.strip()

    token = done("token", "create", "--role", "worker")
    done("token", "revoke", token.split(".")[2])
    done("secret", "set", "db", given="canary-91be3c\n")
    done("secret", "rotate", "db", given="canary-91be3c-2\n")
    done("secret", "rm", "db")
    done("user", "add", "ada", "--out", str(data.parent / "ada"))
    done("revoke", "submitter/ada")
    done("rotate", "--data-key")
    done("rotate")
    lines = [json.loads(line) for line in done("audit", "tail", "--json").splitlines()]
    assert [(each["what"], each["subject"]) for each in lines if each["what"] != "x"] == [
        ("init", "lab"),
        ("token.create", token.split(".")[2]),
        ("token.revoke", token.split(".")[2]),
        ("secret.set", "db"),
        ("secret.rotate", "db"),
        ("secret.rm", "db"),
        ("user.add", "submitter/ada"),
        ("revoke", "submitter/ada"),
        ("rotate", "data key"),
        ("rotate", "root"),
    ]
    assert all(each["who"].startswith("local/") and each["from"] == "cli" for each in lines)
    written = (data / "audit.jsonl").read_text()
    assert "canary" not in written
    assert token.split(".")[3] not in written
    assert nova_node("audit", "verify").exit_code == 0
