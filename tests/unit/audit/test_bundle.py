"""The bundle: canaries are planted wherever a node keeps what is secret, and none is in it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from nova_proto import local_key
from support.data_keys import one_key

from nova_node.adapters.blobs_disk import DiskBlobs
from nova_node.adapters.journal_sqlite import SqliteJournal
from nova_node.adapters.local_nodes import local_key_in, nodes_dir
from nova_node.audit.log import AuditLog
from nova_node.cli import main
from nova_node.cli.bundle import redacted
from nova_node.core.events import Accepted, Event
from nova_node.core.model import Call, Demand, Group
from nova_node.secrets.store import Secret, Store

CANARY = "canary-5d1f0be7"
PARTS = {
    "README.txt",
    "about.json",
    "config.json",
    "status.json",
    "members.json",
    "doctor.json",
    "sizes.json",
    "audit.jsonl",
}


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("NOVA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("NOVA_IDENTITY_DIR", str(tmp_path / "me"))
    monkeypatch.setenv("NOVA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NOVA_CONFIG", os.devnull)
    monkeypatch.setenv("NOVA_SECRET_THING", CANARY)
    monkeypatch.setenv("HOME_MADE_TOKEN", CANARY)


def nova_node(*words: str, given: str | None = None) -> str:
    result = CliRunner().invoke(main, words, input=given)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def bundled(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "out.tar.gz"
    nova_node("bundle", "--no-mdns", "--listen", "127.0.0.1:0", "--out", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        found = {name: archive.extractfile(name) for name in archive.getnames()}
    with tarfile.open(path) as archive:
        texts = {
            Path(name).name: (archive.extractfile(name) or io.BytesIO()).read().decode()
            for name in found
        }
    path.unlink()
    return texts


def plant(data: Path) -> Mapping[str, str]:
    """What must not be found, by where it is."""
    nova_node("init", "--mesh", "lab")
    token = nova_node("token", "create", "--role", "worker").strip()
    Store(data / "secrets").set(Secret("db", CANARY + "-stored"))
    journal, ended = SqliteJournal(data / "journal"), threading.Event()
    journal.open()
    call = Call(f'{{"text":"{CANARY}"}}'.encode())
    groups = (Group(Demand("a.run"), (call,)),)
    journal.append([Event(1, 1, 1.0, Accepted("r1", groups))], lambda error: ended.set())
    assert ended.wait(20)
    journal.close()
    blobs = DiskBlobs(data / "blobs", 1 << 30, one_key(data / "other"))
    blobs.put([CANARY.encode()])
    blobs.put([CANARY.encode() + b"!"], sensitive=True)
    (data / "spool").mkdir()
    (data / "spool" / "1-1").write_text(CANARY)
    (data / "quarantine").mkdir()
    (data / "quarantine" / "rows.jsonl").write_text(CANARY)
    log = AuditLog(data)
    log.note("submitter/ada", "192.0.2.7:5", "submit", "r1", arguments=CANARY, count=7)
    log.note("submitter/ada", "192.0.2.7:5", "submit", token)
    log.close()
    keys = (data / "identity" / "data_keys").read_text().split()
    pem = (data / "identity" / "key.pem").read_text().splitlines()
    return {
        "canary": CANARY,
        "token": token,
        "token's secret": token.rpartition(".")[2],
        "data key": keys[1],
        "node's key": pem[1],
        "local key": local_key_in(nodes_dir()),
        "secret store's key": (data / "secrets" / "key").read_bytes().hex(),
    }


def test_nothing_secret_is_in_a_bundle(tmp_path: Path) -> None:
    planted = plant(tmp_path / "data")
    assert all(len(value) > 10 for value in planted.values())
    files = bundled(tmp_path)
    assert files.keys() == PARTS
    for where, value in planted.items():
        assert [name for name, text in files.items() if value in text] == [], where
    assert local_key.FILE not in files


def test_what_helps_is_in_a_bundle(tmp_path: Path) -> None:
    plant(tmp_path / "data")
    files = bundled(tmp_path)
    settings = json.loads(files["config.json"])["settings"]
    assert {each["origin"] for each in settings} >= {"flag", "default", "environment NOVA_DATA_DIR"}
    assert json.loads(files["sizes.json"])["folders"]["blobs"]["files"] > 0
    assert "grpcio" in json.loads(files["about.json"])["versions"]
    assert json.loads(files["doctor.json"])["findings"]
    lines = [json.loads(line) for line in files["audit.jsonl"].splitlines()]
    submit = next(line for line in lines if line["what"] == "submit")
    assert (submit["who"], submit["count"]) == ("submitter/ada", 7)


def test_a_part_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr("nova_node.audit.log.tail", fail)
    files = bundled(tmp_path)
    assert json.loads(files["audit.jsonl"]) == {"error": "ValueError: broken"}
    assert files.keys() == PARTS


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("mine")
    result = CliRunner().invoke(main, ["bundle", "--no-mdns", "--out", str(path)])
    assert result.exit_code == 3
    assert "--out" in result.stderr
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "nova1.00ff.abc.c2VjcmV0",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0",
        "http://me:c2VjcmV0@proxy.example:3128/",
    ],
)
def test_what_looks_secret_is_cut_from_texts(text: str) -> None:
    cut = redacted(f"before {text} after")
    assert "c2VjcmV0" not in cut
    assert cut.startswith("before ")
