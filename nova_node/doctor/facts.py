"""What the doctor knows, before it judges, and the findings that it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from nova_node.adapters.interfaces import Interface
from nova_node.adapters.local_nodes import LocalNode
from nova_node.address import Address
from nova_node.core.model import PROTOCOL
from nova_node.ports import Found


class Verdict(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """`what` was found, `why` it matters, what would `fix` it."""

    check: str
    verdict: Verdict
    what: str
    why: str = ""
    fix: str = ""


class Echo(NamedTuple):
    """Whether a multicast packet sent from `ip` came back to this machine."""

    ip: str
    heard: bool
    error: str = ""


class Firewall(NamedTuple):
    """`rules` are None when they could not be read, because of `error`."""

    rules: str | None
    error: str = ""


class Folder(NamedTuple):
    """A data directory, or the nearest folder above it that exists."""

    path: str
    writable: bool
    free_bytes: int


class Refusal(NamedTuple):
    """Why an identity does not count; codes of nova_proto.identity.errors."""

    code: str
    message: str
    fix: str = ""


class Own(NamedTuple):
    """The identity of this config's node. With a `refusal` what follows it may be missing."""

    refusal: Refusal | None = None
    #: <role>/<id>
    name: str = ""
    mesh: str = ""
    #: id of the node that holds the authority
    authority: str = ""
    life_s: float = 0.0
    left_s: float = 0.0
    #: by how much the clock here is before the last thing that the mesh signed
    behind_s: float = 0.0


class Asked(NamedTuple):
    """What came of asking a peer. Each step is only tried when the one before went well."""

    address: str
    tcp_error: str = ""
    refusal: Refusal | None = None
    health: str = ""
    health_error: str = ""
    rtt_ms: float = 0.0
    node: str = ""
    name: str = ""
    mesh: str = ""
    version: str = ""
    protocol: int = 0
    status_error: str = ""


class Known(NamedTuple):
    """A member as the node on this machine sees it."""

    node: str
    address: str
    state: str
    skew: str = ""


class Seen(NamedTuple):
    """What mDNS told in the time given. `problem` is why it could not."""

    found: tuple[Found, ...] = ()
    strangers: tuple[Found, ...] = ()
    ignored: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """None: not found out, because looking failed or took too long."""

    listen: Address
    mesh: str
    version: str
    mdns: bool
    data_dir: str
    protocol: int = PROTOCOL
    interfaces: tuple[Interface, ...] | None = None
    chosen_ips: tuple[str, ...] = ()
    choice_error: str = ""
    echoes: tuple[Echo, ...] | None = None
    firewall: Firewall | None = None
    proxies: tuple[tuple[str, str], ...] = ()
    no_proxy: str = ""
    clock_synchronised: bool | None = None
    port_free: bool | None = None
    folder: Folder | None = None
    #: None: it has no identity
    own: Own | None = None
    local: tuple[LocalNode, ...] = ()
    #: members as the node at `listen` knows them; None when there is no such node
    known: tuple[Known, ...] | None = None
    seen: Seen | None = None
    asked: tuple[Asked, ...] = ()

    @property
    def holder(self) -> LocalNode | None:
        """The node of this machine that serves at `listen`."""
        return next((node for node in self.local if serves(node, self.listen)), None)


def serves(node: LocalNode, listen: Address) -> bool:
    """Whether a node told to `listen` there would be at this one's address."""
    anywhere = listen.ip is not None and listen.ip.is_unspecified
    return node.address == str(listen) or (anywhere and node.address.endswith(f":{listen.port}"))
