"""The mesh's keys for data at rest, in a 0600 file of the node.

What is sealed: a version byte, the key's number, a random nonce, then AES-256-GCM over the plaintext
with the context as associated data. No message of protobuf begins with the version byte, so a
reader can tell sealed bytes from plain ones. Writing uses the highest number, reading any.
"""

from __future__ import annotations

import os
import re
import struct
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nova_node.core.errors import Corrupt, Invalid, Refused, Unavailable
from nova_node.ports import SEALED, SEALED_EXTRA_BYTES

KEY_BYTES = 32
NONCE_BYTES = 12
NONCES_AT_ONCE = 1000
KEYS_MAX = 1000
KEY_NO_MAX = (1 << 32) - 1

_HEAD = struct.Struct(">BI")
_BODY_AT = _HEAD.size + NONCE_BYTES
_LINE = re.compile(r"([1-9][0-9]{0,9}) ([0-9a-f]{64}) ([0-9a-f]{8})")
_INIT = "run `nova-node init` for a new mesh, or `nova-node join` to enter one"
_RENEW = "let this node renew (it asks the authority for new keys), or restore the file of its keys"


class DataKeys:
    """The port Sealer. Safe to call from several threads.

    Raises Corrupt when the file cannot be read as keys, Unavailable when not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = _read(path)
        self._ciphers = {no: AESGCM(key) for no, key in self._keys.items()}
        self._current = max(self._keys, default=0)
        self._nonces: list[bytes] = []

    @property
    def current(self) -> int:
        """The number of the key used for writing; 0 when there is none."""
        return self._current

    def numbers(self) -> tuple[int, ...]:
        return tuple(sorted(self._keys))

    def add(self, no: int, key: bytes) -> None:
        """Durable on return. A key that is known already changes nothing.

        Raises Invalid, Refused (another key has that number), Overloaded or Unavailable."""
        if not 1 <= no <= KEY_NO_MAX or len(key) != KEY_BYTES:
            raise Invalid(f"no data key: number {no}, {len(key)} bytes", "a key has 32 bytes")
        keys = _read(self._path) | self._keys
        if keys.get(no, key) != key:
            raise Refused(
                f"this node has another data key with the number {no}",
                "two meshes are mixed up: look at the mesh of this node's certificate",
            )
        if len(keys) >= KEYS_MAX and no not in keys:
            raise Refused(f"{KEYS_MAX} data keys are kept already", "rotate less often")
        keys[no] = key
        _write(self._path, keys)
        self._keys = keys
        self._ciphers = {each: AESGCM(value) for each, value in keys.items()}
        self._current = max(keys)

    # ------------------------------------------------------------ seal and open

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Raises Refused when there is no key."""
        no = self._current
        if not no:
            raise Refused("this node has no data key", _INIT)
        nonce = self._nonce()
        sealed = self._ciphers[no].encrypt(nonce, plaintext, context)
        return b"".join((_HEAD.pack(SEALED, no), nonce, sealed))

    def _nonce(self) -> bytes:
        """Drawn many at a time: a system call for each would hand the interpreter to another thread."""
        try:
            return self._nonces.pop()
        except IndexError:
            drawn = os.urandom(NONCE_BYTES * NONCES_AT_ONCE)
            each = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
            self._nonces.extend(each[1:])
            return each[0]

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises Refused (the key is not here), Corrupt (not what was sealed with this context)."""
        if len(sealed) < SEALED_EXTRA_BYTES or sealed[0] != SEALED:
            raise Corrupt("these bytes are not sealed, or cut", "restore them from a backup")
        _, no = _HEAD.unpack_from(sealed)
        cipher = self._ciphers.get(no)
        if cipher is None:
            raise Refused(f"data key {no} is not on this node", _RENEW)
        try:
            return cipher.decrypt(sealed[_HEAD.size : _BODY_AT], sealed[_BODY_AT:], context)
        except InvalidTag:
            raise Corrupt(
                f"what was sealed with data key {no} was changed, or moved",
                "restore it from a backup",
            ) from None


# ---------------------------------------------------------------- the file


def _read(path: Path) -> dict[int, bytes]:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}", "check its permissions") from error
    except UnicodeDecodeError:
        raise _damaged(path) from None
    keys: dict[int, bytes] = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            raise _damaged(path)
        no, key = int(found[1]), bytes.fromhex(found[2])
        if found[3] != _check(no, key) or no in keys or no > KEY_NO_MAX:
            raise _damaged(path)
        keys[no] = key
    return keys


def _write(path: Path, keys: dict[int, bytes]) -> None:
    draft = path.with_name(path.name + ".new")
    lines = [f"{no} {key.hex()} {_check(no, key)}\n" for no, key in sorted(keys.items())]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write("".join(lines))
            out.flush()
            os.fsync(handle)
        os.replace(draft, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error}", "check its permissions and the room on its disk"
        ) from error


def _check(no: int, key: bytes) -> str:
    """Finds a damaged line before anything is sealed with it; tells nothing of the key."""
    return sha256(b"nova data key %d " % no + key).hexdigest()[:8]


def _damaged(path: Path) -> Corrupt:
    return Corrupt(
        f"{path} does not hold data keys as they were written",
        "restore it from a backup; or delete it, and let `nova-node join` bring the mesh's keys",
    )
