"""What an authority remembers: one file, so that each change happens as a whole.

Rule: readers see the state before a change or after it; writers come one after the other, from
however many processes. It holds the keys of the mesh: nobody but its user may read it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nova_proto.identity.folder import replace_file

from nova_node.core.errors import Corrupt, InUse, NotFound, Refused, Unavailable

STATE_BYTES_MAX = 16 << 20
LOCK_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Signer:
    """A root, and the intermediate below it that signs for members. Keys are PEM, the rest DER."""

    made_at: float
    root_key: bytes
    root: bytes
    key: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class TokenRecord:
    id: str
    role: str
    secret_hash: bytes
    created_at: float
    expires_at: float
    #: made for the member of this id, who may come with a new key
    named: bool
    used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """The certificate somebody was given last. `name` is `<role>/<id>`."""

    name: str
    serial: str
    key_sha256: bytes
    #: of the root's certificate that it leads to
    root_sha256: bytes
    issued_at: float
    expires_at: float
    revoked_at: float | None = None


@dataclass(slots=True)
class State:
    mesh: str
    node: str
    version: int
    signers: list[Signer]
    tokens: dict[str, TokenRecord]
    members: dict[str, Member]
    #: `<role>/<id>` -> when; older certificates of that name count no more
    revoked: dict[str, float]
    data_keys: dict[int, bytes]
    #: a SignedTrust as bytes
    trust: bytes


class AuthorityFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "authority.json"
        self._seen: tuple[tuple[int, int, int], State] | None = None

    def exists(self) -> bool:
        return self._path.exists()

    def stamp(self) -> tuple[int, int, int]:
        """Another one after each change. Raises NotFound, Unavailable."""
        with self._errors():
            found = self._path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def create(self, state: State) -> None:
        """Raises InUse when there is one, Unavailable."""
        with self._errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with self._lock():
                if self.exists():
                    raise InUse(
                        f"{self._folder} already is the authority of a mesh",
                        "use it, or name another data directory for another mesh",
                    )
                self._write(state)

    def read(self) -> State:
        """As it is now, not to be changed. Raises NotFound, Corrupt, Refused, Unavailable."""
        stamp = self.stamp()
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, self._load()
        return self._seen[1]

    @contextmanager
    def changing(self) -> Generator[State]:
        """The state, to be changed; kept when the block ends without an error. Raises as `read`."""
        with self._errors(), self._lock():
            state = self._load()
            before = _to_bytes(state)
            yield state
            if _to_bytes(state) != before:
                self._write(state)

    def _load(self) -> State:
        with self._errors(), self._path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Refused(
                    f"others can read {self._path}, which holds the keys of the mesh",
                    f"chmod 600 {self._path}; if somebody did, `nova-node rotate`",
                )
            data = file.read(STATE_BYTES_MAX + 1)
        try:
            if len(data) > STATE_BYTES_MAX:
                raise ValueError("too large")
            return _from_json(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Corrupt(
                f"{self._path} cannot be read: {type(error).__name__}",
                "restore it from a backup; without one, make the mesh anew: `nova-node init`",
            ) from None

    def _write(self, state: State) -> None:
        replace_file(self._path, _to_bytes(state))

    @contextmanager
    def _lock(self) -> Generator[None]:
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(handle, self._folder)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(
                f"no authority in {self._folder}",
                "run this on the node that made the mesh, or make one: `nova-node init`",
            ) from None
        except OSError as error:
            raise Unavailable(
                f"the authority in {self._folder} cannot be used: {error}",
                "check its permissions and the room on its disk",
            ) from error


def _wait_for(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"another process is changing the authority in {folder}", "try again"
                ) from None
            time.sleep(0.01)


# ------------------------------------------------------------ as JSON: bytes are hexadecimal


def _to_bytes(state: State) -> bytes:
    document = dataclasses.asdict(state)
    document["tokens"] = list(document["tokens"].values())
    document["members"] = list(document["members"].values())
    return json.dumps({"schema": 1, **_map_bytes(document)}, indent=1).encode()


def _map_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: _map_bytes(v) for k, v in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_map_bytes(v) for v in cast(list[Any], value)]
    return value


def _from_json(document: Any) -> State:
    if document["schema"] != 1:
        raise ValueError("another schema")
    tokens = [_record(TokenRecord, d, ("secret_hash",)) for d in document["tokens"]]
    members = [_record(Member, d, ("key_sha256", "root_sha256")) for d in document["members"]]
    if not document["signers"] or not document["data_keys"]:
        raise ValueError("no keys")
    signer_bytes = ("root_key", "root", "key", "certificate")
    return State(
        mesh=document["mesh"],
        node=document["node"],
        version=document["version"],
        signers=[_record(Signer, d, signer_bytes) for d in document["signers"]],
        tokens={t.id: t for t in tokens},
        members={m.name: m for m in members},
        revoked=dict(document["revoked"]),
        data_keys={int(no): bytes.fromhex(key) for no, key in document["data_keys"].items()},
        trust=bytes.fromhex(document["trust"]),
    )


def _record(kind: type[Any], values: dict[str, Any], hexadecimal: tuple[str, ...]) -> Any:
    return kind(**{**values, **{key: bytes.fromhex(values[key]) for key in hexadecimal}})
