"""Where a node is: named, running on this machine, or where `nova login` was.

Each running node leaves one JSON file in the runtime folder (docs/local-nodes.md).
"""

from __future__ import annotations

import ipaddress
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nova_proto.identity import person

from nova_client.errors import Invalid

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

PORT = 7600
DEFAULT_ADDRESS = f"127.0.0.1:{PORT}"


class Place(NamedTuple):
    """A node's address, and what else is known of it without asking."""

    address: str
    #: its id; "" when that is not known, as its mesh
    node: str = ""
    mesh: str = ""
    #: whether it has an identity, so speaks TLS; None when that is not known
    secure: bool | None = None
    #: where others reach it; "" when that is the same
    public: str = ""

    def is_at(self, address: str) -> bool:
        return address in (self.address, self.public)


class Access(NamedTuple):
    """How to talk to one node: in plaintext when there is no identity."""

    address: str
    node: str = ""
    identity: Credentials | None = None
    #: where a renewed certificate goes; None when the program keeps its identity itself
    kept_in: Path | None = None


def runtime_dir() -> Path | None:
    """None when the platform's folder is not this user's."""
    given = os.environ.get("NOVA_RUNTIME_DIR")
    if given:
        return Path(given)
    import platformdirs  # only needed when no variable says where

    with warnings.catch_warnings():  # that there is no XDG_RUNTIME_DIR; its fallback will do
        warnings.simplefilter("ignore")
        try:
            return Path(platformdirs.user_runtime_dir("nova", appauthor=False))
        except PermissionError:
            return None


def find_address() -> str:
    """host:port from NOVA_NODE, else of the newest running node of this user, else of the node that
    the last `nova login` was at, else the default."""
    return find_place(os.environ.get("NOVA_NODE", "")).address


def find_place(address: str = "") -> Place:
    """Of the node at `address`; with "" of the one that a person here most likely means."""
    folder = runtime_dir()
    places = running(folder / "nodes") if folder else iter(())
    if address:
        known = next((place for place in places if place.is_at(address)), Place(address))
        return known._replace(address=address)
    found = next(places, None)
    return found or next(_remembered(), Place(DEFAULT_ADDRESS))


def plain_access(place: Place) -> Access | None:
    """In plaintext, where that is the way: to this machine, and not as a member of a mesh."""
    if place.secure is None and person.folders():
        return None  # whether the node there has an identity too, only it can tell
    return None if place.secure or not may_be_plain(place.address) else Access(place.address)


def may_be_plain(address: str) -> bool:
    """Beyond this machine nothing is sent in plaintext. Raises Invalid."""
    host, _ = split(address)
    if os.environ.get("NOVA_TEST_ALLOW_INSECURE_BIND") == "yes-only-in-tests":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def split(address: str, default_port: int = PORT) -> tuple[str, int]:
    """Host and port of host:port; the port may be missing. Raises Invalid."""
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") > 1:
        host, port = "", ""
    else:
        host, _, port = address.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise Invalid(
            f"{ascii(address)[:80]} is no address", "use HOST:PORT, IPv6 in brackets: [::1]:7600"
        )
    return host, int(port or default_port)


def running(folder: Path) -> Iterator[Place]:
    """This user's living nodes that left a file in `folder`, newest first."""
    for path in sorted(folder.glob("*.json"), key=_modified_at, reverse=True):
        try:
            if path.stat().st_uid != os.geteuid():
                continue
            note: Any = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if not isinstance(note, dict):
            continue
        fields = cast("dict[str, Any]", note)
        address, pid = fields.get("address"), fields.get("pid")
        node, mesh = fields.get("node"), fields.get("mesh")
        if not isinstance(address, str) or not isinstance(pid, int) or not _is_alive(pid):
            continue
        local = fields.get("local")
        here = local if isinstance(local, str) and local else address
        if isinstance(node, str) and isinstance(mesh, str):
            yield Place(here, node, mesh, fields.get("secure") is True, address)
        else:
            yield Place(here, public=address)


def _remembered() -> Iterator[Place]:
    for folder in person.folders():
        if (node := person.remembered(folder)) is not None:
            yield Place(node.address, node.node, folder.name, True)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
