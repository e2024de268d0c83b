"""A running node tells the tools on this machine where it is: one small JSON file per node.

docs/local-nodes.md describes it, and the key beside it that callers without identity show; other
packages read both without importing this one.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import platformdirs
import psutil
from nova_proto import local_key

from nova_node.core.errors import Refused

SCHEMA = 1
NODES_MAX = 1_000
FILE_MAX_BYTES = 16_384
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_TEXTS = ("address", "node", "name", "data_dir", "mesh")


class LocalNode(NamedTuple):
    node: str
    name: str
    #: where others reach it
    address: str
    mesh: str
    data_dir: str
    pid: int
    #: it has an identity: mutual TLS, also on this machine
    secure: bool = False
    #: where this machine's own tools reach it, whatever its network does
    local: str = ""

    @property
    def asked_at(self) -> str:
        return self.local or self.address

    def is_at(self, address: str) -> bool:
        return address in (self.address, self.local)


def nodes_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the files. NOVA_RUNTIME_DIR names another than the platform's.

    Raises Refused when the platform's belongs to somebody else."""
    named = environ.get("NOVA_RUNTIME_DIR")
    return (Path(named) if named else _platform_dir()) / "nodes"


def announce(me: LocalNode, folder: Path) -> None:
    """Write this node's file, for its user only. Raises Refused when others could write there."""
    if not _ID.fullmatch(me.node):
        raise ValueError(f"not a node id: {me.node!r}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_private(folder)
    path = folder / f"{me.node}.json"
    part = folder / f".{me.node}.{me.pid}.part"
    text = json.dumps({"schema": SCHEMA, **me._asdict()})
    with suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def withdraw(me: LocalNode, folder: Path) -> None:
    """Remove this node's file, unless another process has taken the id since."""
    path = folder / f"{me.node}.json"
    found = _read(path)
    if found is not None and found.pid == me.pid:
        with suppress(OSError):
            path.unlink()


def running(folder: Path) -> list[LocalNode]:
    """The nodes that run here, by name. Files that processes left behind are removed."""
    found: list[LocalNode] = []
    try:
        paths = sorted(folder.glob("*.json"))[:NODES_MAX]
    except OSError:
        return []
    for path in paths:
        node = _read(path)
        if node is None:
            continue
        if psutil.pid_exists(node.pid):
            found.append(node)
        else:
            with suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda node: (node.name, node.node))


def local_key_in(folder: Path) -> str:
    """The key of this user's nodes, made when there is none; `folder` is that of the nodes' files.

    Raises Refused when the file that is there cannot be used."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_private(folder)
    path = folder.parent / local_key.FILE
    part = folder / f".{local_key.FILE}.{os.getpid()}.part"
    with suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(local_key.KEY_CHARS // 2))
    with suppress(FileExistsError):  # the first of several nodes makes it for all
        os.link(part, path)
    part.unlink()
    key = local_key.read(path.parent)
    if not key:
        raise Refused(
            f"{path} is no key that only this user can read",
            f"remove {path}, and start this user's nodes again",
        )
    return key


def key_for(address: str, folder: Path, node: str = "") -> str:
    """The key to show at an address: "" unless a node of this user runs there (the one with this id, if
    it is given), since anybody may listen on loopback, and the key is not for them."""
    if _ID.fullmatch(node):
        known = _read(folder / f"{node}.json")
        here = [known] if known is not None and psutil.pid_exists(known.pid) else []
    else:
        here = running(folder)
    return local_key.read(folder.parent) if any(n.is_at(address) for n in here) else ""


def _read(path: Path) -> LocalNode | None:
    """None for what is no file of ours: malformed, oversized, or another user's."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            data = file.read(FILE_MAX_BYTES + 1)
        document: Any = json.loads(data) if len(data) <= FILE_MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    fields = cast("dict[str, object]", document)
    texts = {key: value for key in _TEXTS if isinstance(value := fields.get(key), str)}
    pid = fields.get("pid")
    if len(texts) < len(_TEXTS) or not isinstance(pid, int) or pid <= 0:
        return None
    if fields.get("schema") != SCHEMA or texts["node"] != path.stem:
        return None
    local = fields.get("local")
    return LocalNode(
        pid=pid,
        secure=fields.get("secure") is True,
        local=local if isinstance(local, str) else "",
        **texts,
    )


def _platform_dir() -> Path:
    with warnings.catch_warnings():  # that there is no XDG_RUNTIME_DIR; its fallback will do
        warnings.simplefilter("ignore")
        try:
            return Path(platformdirs.user_runtime_dir("nova", appauthor=False))
        except PermissionError as error:
            fix = "set NOVA_RUNTIME_DIR to a folder of your own"
            raise Refused(f"no runtime folder: {error}", fix) from None


def _require_private(folder: Path) -> None:
    status = folder.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise Refused(
            f"{folder} can be written by others, who could lead tools to a false node",
            f"chmod 700 {folder}, or set NOVA_RUNTIME_DIR to a folder of your own",
        )
