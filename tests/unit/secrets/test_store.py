"""The encrypted file of a node's secrets."""

import subprocess
import sys
from pathlib import Path

import pytest

from nova_node.core.errors import Corrupt, Invalid, NotFound, Overloaded, Refused, Unavailable
from nova_node.secrets import store as store_module
from nova_node.secrets.redact import forms
from nova_node.secrets.store import Secret, Store

CANARY = "correct-horse-battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def test_what_is_set_is_found_by_another_process_and_after_a_restart(folder: Path) -> None:
    ours, theirs = Store(folder), Store(folder)
    assert theirs.get("db") is None
    secret = Secret("db", CANARY, ("db.*",), ("admin",), 12.5)
    ours.set(secret)
    assert theirs.get("db") == secret
    assert Store(folder).secrets() == [secret]


def test_a_new_value_is_seen_at_once_and_keeps_the_rules(folder: Path) -> None:
    ours, theirs = Store(folder), Store(folder)
    ours.set(Secret("db", CANARY, ("db.*",), (), 1.0))
    assert theirs.get("db")
    ours.rotate("db", "another-value", 2.0)
    assert theirs.get("db") == Secret("db", "another-value", ("db.*",), (), 2.0)
    ours.remove("db")
    assert theirs.get("db") is None
    for act in (lambda: ours.remove("db"), lambda: ours.rotate("db", "value", 1.0)):
        with pytest.raises(NotFound):
            act()


def test_files_are_private_and_hold_no_form_of_a_value(folder: Path) -> None:
    Store(folder).set(Secret("db", CANARY))
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        data = file.read_bytes()
        assert not [form for form in forms(CANARY) if form.encode() in data]
    assert {file.name for file in folder.iterdir()} == {"store", "key", "lock"}


@pytest.mark.parametrize("name", ["store", "key"])
def test_files_that_others_may_read_are_refused(folder: Path, name: str) -> None:
    Store(folder).set(Secret("db", CANARY))
    (folder / name).chmod(0o640)
    with pytest.raises(Refused, match="read by others"):
        Store(folder).get("db")


@pytest.mark.parametrize("name", ["store", "key"])
def test_a_changed_byte_is_noticed_and_nothing_is_overwritten(folder: Path, name: str) -> None:
    Store(folder).set(Secret("db", CANARY))
    file = folder / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for act in (lambda: Store(folder).get("db"), lambda: Store(folder).set(Secret("x", CANARY))):
        with pytest.raises(Corrupt, match="do not fit together"):
            act()
    assert file.read_bytes() == data


def test_a_lost_key_is_not_made_anew(folder: Path) -> None:
    Store(folder).set(Secret("db", CANARY))
    (folder / "key").unlink()
    with pytest.raises(Corrupt):
        Store(folder).set(Secret("x", CANARY))


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 64, "a\n"])
def test_names_are_plain(folder: Path, name: str) -> None:
    with pytest.raises(Invalid):
        Store(folder).set(Secret(name, CANARY))


@pytest.mark.parametrize("value", ["", "abc", "x" * 16_385])
def test_values_are_neither_too_short_to_redact_nor_too_long(folder: Path, value: str) -> None:
    Store(folder).set(Secret("db", CANARY))
    for act in (
        lambda: Store(folder).set(Secret("db", value)),
        lambda: Store(folder).rotate("db", value, 1.0),
    ):
        with pytest.raises(Invalid) as caught:
            act()
        assert not value or value not in caught.value.message


def test_the_number_of_secrets_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SECRETS_MAX", 1)
    Store(folder).set(Secret("a", CANARY))
    Store(folder).set(Secret("a", CANARY))
    with pytest.raises(Overloaded):
        Store(folder).set(Secret("b", CANARY))


def test_writers_do_not_lose_what_others_wrote(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nova_node.secrets.store import Secret, Store\n"
        "for n in range(5): Store(Path(sys.argv[1])).set(Secret(f'{sys.argv[2]}{n}', 'value'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(folder), name]) for name in "ab"]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert [secret.name for secret in Store(folder).secrets()] == [
        f"{name}{n}" for name in "ab" for n in range(5)
    ]


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        Store(tmp_path / "file" / "secrets").set(Secret("db", CANARY))


def test_a_secret_does_not_show_its_value() -> None:
    assert CANARY not in f"{Secret('db', CANARY)}"
