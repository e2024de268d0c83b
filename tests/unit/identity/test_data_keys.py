from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from nova_node.core.errors import Corrupt, Invalid, NovaError, Refused, Unavailable
from nova_node.identity.data_keys import KEY_BYTES, DataKeys
from nova_node.ports import SEALED, SEALED_EXTRA_BYTES


def key(no: int) -> bytes:
    return bytes([no]) * KEY_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity" / "data_keys"


@pytest.fixture
def keys(path: Path) -> DataKeys:
    keys = DataKeys(path)
    keys.add(1, key(1))
    return keys


@pytest.mark.parametrize("data", [b"", b"x", b"\x01" * 100, os.urandom(100_000)], ids=len)
def test_opens_what_it_sealed(keys: DataKeys, data: bytes) -> None:
    sealed = keys.seal(data, b"here")
    assert sealed[0] == SEALED
    assert len(sealed) == len(data) + SEALED_EXTRA_BYTES
    assert keys.open(sealed, b"here") == data
    assert keys.seal(data, b"here") != sealed
    assert len(data) < 10 or data not in sealed


def test_what_is_elsewhere_or_changed_does_not_open(keys: DataKeys) -> None:
    sealed = keys.seal(b"abc", b"here")
    with pytest.raises(Corrupt) as caught:
        keys.open(sealed, b"there")
    assert caught.value.fix
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises((Corrupt, Refused)):
            keys.open(bytes(changed), b"here")
        with pytest.raises((Corrupt, Refused)):
            keys.open(sealed[:at], b"here")


def test_writes_with_the_highest_and_reads_with_any(path: Path, keys: DataKeys) -> None:
    old = keys.seal(b"old", b"")
    keys.add(9, key(9))
    keys.add(4, key(4))
    assert (keys.current, keys.numbers()) == (9, (1, 4, 9))
    new = keys.seal(b"new", b"")
    again = DataKeys(path)
    assert again.current == 9
    assert (again.open(old, b""), again.open(new, b"")) == (b"old", b"new")
    only_old = DataKeys(path.with_name("other"))
    only_old.add(1, key(1))
    assert only_old.open(old, b"") == b"old"
    with pytest.raises(Refused, match="data key 9") as caught:
        only_old.open(new, b"")
    assert caught.value.fix


def test_without_a_key_nothing_is_sealed(path: Path) -> None:
    keys = DataKeys(path)
    assert keys.current == 0
    with pytest.raises(Refused, match="no data key") as caught:
        keys.seal(b"abc", b"")
    assert "nova-node init" in caught.value.fix
    assert not path.exists()


def test_a_number_has_one_key(keys: DataKeys) -> None:
    keys.add(1, key(1))
    with pytest.raises(Refused, match="number 1"):
        keys.add(1, key(2))
    for no, value in ((0, key(1)), (-1, key(1)), (1 << 32, key(1)), (2, b"short")):
        with pytest.raises(Invalid):
            keys.add(no, value)
    assert keys.numbers() == (1,)


def test_two_processes_add_to_one_file(path: Path, keys: DataKeys) -> None:
    other = DataKeys(path)
    other.add(2, key(2))
    keys.add(3, key(3))
    assert keys.numbers() == (1, 2, 3)
    assert DataKeys(path).numbers() == (1, 2, 3)


def test_only_the_owner_reads_the_file(path: Path, keys: DataKeys) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["data_keys"]


def test_no_damage_of_the_file_gives_another_key(path: Path, keys: DataKeys) -> None:
    sealed = {1: keys.seal(b"one", b"")}
    keys.add(2, key(2))
    sealed[2] = keys.seal(b"two", b"")
    whole = path.read_bytes()
    for at in range(len(whole)):
        for changed in (
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
            whole[:at] + b"\xff" + whole[at + 1 :],
            whole[:at],
        ):
            path.write_bytes(changed)
            try:
                found = DataKeys(path)
            except Corrupt:
                continue
            for no in found.numbers():
                assert found.open(sealed[no], b"") == {1: b"one", 2: b"two"}[no]


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NovaError) as caught:
        DataKeys(tmp_path / "file" / "data_keys").add(1, key(1))
    assert isinstance(caught.value, Unavailable)
    assert caught.value.fix


def test_threads_seal_while_a_key_is_added(keys: DataKeys) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                assert keys.open(keys.seal(b"abc", b"c"), b"c") == b"abc"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for no in range(2, 12):
        keys.add(no, key(no))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
