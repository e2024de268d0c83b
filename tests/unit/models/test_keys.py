"""Keys of models: found on the node, by what its config names, and by nobody else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nova_node.models.key_ring import KeyRing
from nova_node.secrets.store import Secret, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "secrets")
    store.set(Secret("lab", "sk-of-the-lab"))
    return store


def test_finds_each_where_it_is_kept(store: Store, tmp_path: Path) -> None:
    kept = tmp_path / "key.txt"
    kept.write_text("sk-of-a-file\n")
    environ = {"ACME_KEY": "sk-of-the-environment", "OTHER_KEY": "sk-other"}
    uses = ["a,key=secret:lab", "b,key=env:ACME_KEY", f"c,key=file:{kept}", "d", "e,key=secret:lab"]
    ring = KeyRing(uses, store, environ)
    assert ring.reveal() == {
        "secret:lab": "sk-of-the-lab",
        "env:ACME_KEY": "sk-of-the-environment",
        f"file:{kept}": "sk-of-a-file",
    }
    assert environ == {"OTHER_KEY": "sk-other"}, "no process that is started inherits it"
    assert "sk-" not in repr(ring.reveal())


def test_what_is_missing_is_said_and_harms_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    uses = ["a,key=secret:none", "b,key=env:NONE", "c,key=file:/no/such/file", "d,key=secret:lab"]
    with caplog.at_level(logging.WARNING):
        assert KeyRing(uses, store, {}).reveal() == {"secret:lab": "sk-of-the-lab"}
    assert len(caplog.records) == 3
    assert "secret:none" in caplog.text
    assert "sk-of-the-lab" not in caplog.text
