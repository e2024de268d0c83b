"""What `env:`, `file:` and `keyring:` may name on this node, and how each is read.

Rule: nothing but what the setting `secret_sources` names; a file is judged by where it really is.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import MutableMapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from queue import Empty, Queue

from nova_node.core.errors import NovaError, Refused, Unavailable
from nova_node.secrets.redact import BYTES_MAX

KINDS = ("env", "file", "keyring")
KEYRING_SERVICE = "nova"
KEYRING_TIMEOUT_S = 5.0
_WILD = frozenset("*?[")


class Sources:
    """`patterns` are those of the setting. What `env:` may name is moved out of `environ`, so that
    no process which this one starts inherits it."""

    def __init__(self, patterns: Sequence[str], environ: MutableMapping[str, str]) -> None:
        pairs = [pattern.partition(":")[::2] for pattern in patterns]
        self._patterns = {kind: [rest for k, rest in pairs if k == kind] for kind in KINDS}
        self._files = [_really(pattern) for pattern in self._patterns["file"]]
        names = [name for name in environ if self._allows("env", name)]
        self._environ = {name: environ.pop(name) for name in names}
        self._keyring_free = threading.Lock()

    def read(self, kind: str, name: str) -> str | None:
        """The value, None when there is none. Blocks.

        Raises Refused (not allowed here), Unavailable (cannot be read now)."""
        match kind:
            case "env" if self._allows(kind, name):
                return self._environ.get(name)
            case "keyring" if self._allows(kind, name):
                return self._ask_keyring(name)
            case "file" if path := self._allowed_file(name):
                return _read_file(path)
            case _:
                pass
        raise Refused(
            f"this node does not let tasks read {kind}:{name}",
            f"keep it with nova-node secret set, or let the node's setting secret_sources name"
            f" {kind}:{name}",
            "secret_refused",
        )

    def _allows(self, kind: str, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns[kind])

    def _allowed_file(self, name: str) -> str:
        """Where it really is; "" when it must not be read."""
        path = os.path.realpath(name)
        allowed = os.path.isabs(name) and any(_matches(path, each) for each in self._files)
        return path if allowed else ""

    def _ask_keyring(self, name: str) -> str | None:
        """In a thread of its own: a keyring that is locked may wait for a person."""
        if not self._keyring_free.acquire(timeout=KEYRING_TIMEOUT_S):
            raise _keyring_fails("it does not answer")
        answers: Queue[str | NovaError | None] = Queue()

        def ask() -> None:
            try:
                answers.put(_from_keyring(name))
            finally:
                self._keyring_free.release()

        threading.Thread(target=ask, name="nova-keyring", daemon=True).start()
        try:
            answer = answers.get(timeout=KEYRING_TIMEOUT_S)
        except Empty:
            raise _keyring_fails("it does not answer") from None
        if isinstance(answer, NovaError):
            raise answer
        return answer


def _from_keyring(name: str) -> str | NovaError | None:
    try:
        import keyring

        return keyring.get_password(KEYRING_SERVICE, name)
    except ImportError:
        return _keyring_fails("the package keyring is not installed", "nova-mesh[keyring]")
    except Exception as error:
        return _keyring_fails(type(error).__name__)


def _keyring_fails(why: str, install: str = "") -> Unavailable:
    fix = f"install {install}" if install else "unlock it, or keep this with nova-node secret set"
    return Unavailable(f"the keyring cannot be asked: {why}", fix, "secret_missing")


def _really(pattern: str) -> PurePosixPath:
    """Its folders up to the first sign of a pattern without links, as the files will be."""
    parts = PurePosixPath(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return PurePosixPath(os.path.realpath(os.path.join("/", *parts[:fixed])), *parts[fixed:])


def _matches(path: str, pattern: PurePosixPath) -> bool:
    """Part by part: no sign of a pattern stands for a slash."""
    parts = PurePosixPath(path).parts
    return len(parts) == len(pattern.parts) and all(map(fnmatchcase, parts, pattern.parts))


def _read_file(path: str) -> str | None:
    """Without links, and without waiting for the other end of a pipe. One newline at the end is not
    part of the value."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _unfit(path, "is no file")
            data = os.read(handle, BYTES_MAX + 3)
        finally:
            os.close(handle)
        return without_newline(data.decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(
            f"file:{path} cannot be read: {error.strerror}", "check its owner", "secret_missing"
        ) from None
    except UnicodeDecodeError:
        raise _unfit(path, "is not text in UTF-8") from None


def without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _unfit(path: str, why: str) -> Refused:
    return Refused(f"file:{path} {why}", "name a small file of text", "secret_refused")
