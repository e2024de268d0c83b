"""The secrets of one node: a file that only its user can read, encrypted with a key beside it.

The encryption keeps values out of backups and searches of the one file; whoever reads both files reads
the values. Rule: a value is nowhere on disk but in here, and never part of a message.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nova_node.core.errors import Corrupt, Invalid, NotFound, Overloaded, Refused, Unavailable
from nova_node.secrets.redact import BYTES_MAX, LENGTH_MIN

SECRETS_MAX = 1000
_FILE_MAX_BYTES = SECRETS_MAX * (6 * BYTES_MAX + 4096)
_MAGIC = b"novasec1"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Secret:
    """`capabilities` are patterns such as "db.*", `roles` those of submitters; none means any."""

    name: str
    value: str = field(repr=False)
    capabilities: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    #: unix seconds
    set_at: float = 0.0


class Store:
    """The files `store`, `key` and `lock` of a folder; several processes may use them at once.

    All methods block. They raise Refused (others may read the files), Corrupt (they do not fit
    together), Unavailable (no permission, no room)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[object, dict[str, Secret]] = (None, {})

    def get(self, name: str) -> Secret | None:
        return self._read().get(name)

    def secrets(self) -> list[Secret]:
        """Sorted by name."""
        return sorted(self._read().values(), key=lambda secret: secret.name)

    def set(self, secret: Secret) -> None:
        """Add it, or replace the one of that name. Raises Invalid, Overloaded."""
        if not _NAME.fullmatch(secret.name):
            raise Invalid(
                f"{secret.name[:80]!r} cannot be the name of a secret",
                "use 1 to 63 letters, digits, '.', '_' or '-', the first no sign",
            )
        check_value(secret.value)
        with self._locked():
            kept = self._read() | {secret.name: secret}
            if len(kept) > SECRETS_MAX:
                raise Overloaded(f"this node keeps {SECRETS_MAX} secrets", "remove some")
            self._write(kept)

    def rotate(self, name: str, value: str, now: float) -> None:
        """A new value under the rules of the old one. Raises NotFound, Invalid."""
        check_value(value)
        with self._locked():
            kept = self._read()
            self._write(kept | {name: replace(_existing(kept, name), value=value, set_at=now)})

    def remove(self, name: str) -> None:
        """Raises NotFound."""
        with self._locked():
            kept = self._read()
            _existing(kept, name)
            self._write({each: secret for each, secret in kept.items() if each != name})

    # ------------------------------------------------------------ files

    @contextmanager
    def _locked(self) -> Generator[None]:
        with _typed(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> dict[str, Secret]:
        path = self._folder / "store"
        with _typed(self._folder):
            try:
                found = path.stat()
            except FileNotFoundError:
                return {}
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            known, kept = self._known
            if known != stamp:
                kept = _decode(_read_private(path), self._key(), self._folder)
                self._known = (stamp, kept)
            return kept

    def _write(self, kept: dict[str, Secret]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        rows = [[s.name, s.value, s.capabilities, s.roles, s.set_at] for s in kept.values()]
        nonce = os.urandom(_NONCE_BYTES)
        with _typed(self._folder):
            sealed = AESGCM(self._key()).encrypt(nonce, json.dumps(rows).encode(), _MAGIC)
            _write_private(self._folder / "store", _MAGIC + nonce + sealed)

    def _key(self) -> bytes:
        path = self._folder / "key"
        if not path.exists() and not (self._folder / "store").exists():
            _write_private(path, os.urandom(_KEY_BYTES))
        try:
            return _read_private(path)
        except FileNotFoundError:
            raise _unreadable(self._folder) from None


def check_value(value: str) -> None:
    """Raises Invalid."""
    if len(value) < LENGTH_MIN:
        raise Invalid(
            f"the value is shorter than {LENGTH_MIN} characters, too short to keep out of logs",
            "use a longer one",
        )
    if len(value.encode()) > BYTES_MAX:
        raise Invalid(f"the value is over {BYTES_MAX} bytes", "keep a key to it instead")


def _existing(kept: dict[str, Secret], name: str) -> Secret:
    if name not in kept:
        raise NotFound(f"this node keeps no secret {name[:80]!r}", "nova-node secret list")
    return kept[name]


def _decode(data: bytes, key: bytes, folder: Path) -> dict[str, Secret]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    start = len(_MAGIC) + _NONCE_BYTES
    try:
        if data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("not a store of secrets")
        text = AESGCM(key).decrypt(data[len(_MAGIC) : start], data[start:], _MAGIC)
    except (InvalidTag, ValueError):
        raise _unreadable(folder) from None
    rows: list[Any] = json.loads(text)
    return {
        name: Secret(name, value, tuple(capabilities), tuple(roles), set_at)
        for name, value, capabilities, roles, set_at in rows
    }


def _unreadable(folder: Path) -> Corrupt:
    return Corrupt(
        f"the secrets in {folder} cannot be decrypted: store and key do not fit together",
        "restore both files from one backup, or delete both and set the secrets again",
    )


def _read_private(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise Refused(f"{path} may be read by others", f"chmod 600 {path}")
        return file.read(_FILE_MAX_BYTES)


def _write_private(path: Path, data: bytes) -> None:
    """All of it or nothing, also after a power cut."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(handle)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _typed(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the secrets in {folder} cannot be used: {error}",
            "run this as the user that runs the node, and check the room on its disk",
        ) from error
