"""The folder that makes a node the same node after a restart.

One process at a time holds it, and a copy of it is not the node: two nodes with one id would each
accept results for the other. So the identity file remembers on which machine, and as which file,
it was made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nova_node.core.errors import Corrupt, InUse, Invalid, NovaError, Refused, Unavailable

NODE_ID_LENGTH = 16
"""80 bits: no two nodes draw the same."""

PEERS_MAX = 64
"""Remembered addresses: a few live ones among them are enough to join again."""

_NODE_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_NODE_ID = re.compile(r"[a-z2-7]{16}")
_FILE_MAX_BYTES = 64 << 10
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True)
class Identity:
    node: str
    #: unix seconds
    created: float
    host: str


class DataDir:
    """Taken when made; `close` gives it back. `node` is the node's id.

    Raises InUse (another process has it), Refused (it is a copy), Corrupt (node.json cannot be
    read), Unavailable (no permission, no room). `adopt` takes over a folder that was moved or
    restored, when the original is gone."""

    def __init__(self, path: Path, adopt: bool = False) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            self._lock = _take_lock(path)
        except OSError as error:
            raise _unavailable(path, error) from error
        try:
            self.identity = self._identify(adopt)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise _unavailable(path, error) from error
            raise

    @property
    def node(self) -> str:
        return self.identity.node

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # ------------------------------------------------------------ identity

    def _identify(self, adopt: bool) -> Identity:
        file = self.path / "node.json"
        if not file.exists():
            node = "".join(secrets.choice(_NODE_ID_LETTERS) for _ in range(NODE_ID_LENGTH))
            return self._write_identity(file, node, time.time())
        identity, stamp = _read_identity(file)
        if identity.host == host_fingerprint() and stamp == _stamp(file):
            return identity
        if adopt:
            return self._write_identity(file, identity.node, identity.created)
        raise Refused(
            f"{self.path} is a copy: node {identity.node} was made elsewhere, and may run there",
            f"to start a new node, delete {file} and what else is in the folder, or use another"
            " --data-dir; if you moved or restored the folder and the original is gone,"
            " start once with --adopt",
        )

    def _write_identity(self, file: Path, node: str, created: float) -> Identity:
        host = host_fingerprint()

        def content(stamp: int) -> str:
            values = {"node": node, "created": created, "host": host, "stamp": stamp}
            return json.dumps(values, indent=1) + "\n"

        _replace_file(file, content)
        return Identity(node, created, host)

    # ------------------------------------------------------------ peers

    def load_peers(self) -> list[str]:
        """Addresses, host:port, best first. What cannot be read is none: peers are found again."""
        try:
            values: Any = json.loads(_read_bounded(self.path / "peers.json"))
        except (OSError, ValueError, RecursionError, NovaError):
            return []
        if not isinstance(values, list):
            return []
        addresses = [a for a in cast(list[Any], values) if isinstance(a, str) and 0 < len(a) < 256]
        return addresses[:PEERS_MAX]

    def save_peers(self, addresses: Iterable[str]) -> None:
        """Keeps the first PEERS_MAX. Raises Unavailable."""
        text = json.dumps(list(addresses)[:PEERS_MAX])
        try:
            _replace_file(self.path / "peers.json", lambda _: text)
        except OSError as error:
            raise _unavailable(self.path, error) from error


def host_fingerprint() -> str:
    """Of the machine, the same after a reboot; "" when it has no id, as some containers. Not its
    raw id, which is not ours to show."""
    for file in _MACHINE_IDS:
        with suppress(OSError):
            if found := file.read_text().strip():
                return hashlib.sha256(b"nova:" + found.encode()).hexdigest()[:16]
    return ""


def _take_lock(path: Path) -> int:
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise InUse(
            f"{path} is in use by the process {holder}",
            f"stop it (kill {holder}), or start this node with another --data-dir",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _read_identity(file: Path) -> tuple[Identity, int]:
    fix = f"restore {file} from a backup, or delete the folder's content to start a new node"
    try:
        values: Any = json.loads(_read_bounded(file))
        node, created, host = values["node"], values["created"], values["host"]
        stamp = values["stamp"]
        if not (isinstance(node, str) and _NODE_ID.fullmatch(node) and isinstance(host, str)):
            raise ValueError("node or host is not an id")
        return Identity(node, float(created), host), int(stamp)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, Invalid) as error:
        raise Corrupt(f"{file} cannot be read: {error}", fix) from error


def _read_bounded(file: Path) -> str:
    with file.open("rb") as stream:
        data = stream.read(_FILE_MAX_BYTES + 1)
    if len(data) > _FILE_MAX_BYTES:
        raise Invalid(f"{file} is too large", "delete it")
    return data.decode()


def _replace_file(path: Path, content: Callable[[int], str]) -> None:
    """All of the new content or all of the old, also after a power cut. `content` is told the
    file's stamp. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(content(_stamp(draft)))
        out.flush()
        os.fsync(handle)
    os.replace(draft, path)
    _sync_folder(path.parent)


def _stamp(file: Path) -> int:
    """A copy beside the original cannot have it. Not the device, which a reboot may renumber."""
    return file.stat().st_ino


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the data directory {path} cannot be used: {error}",
        "check its permissions and the room on its disk, or use another --data-dir",
    )
