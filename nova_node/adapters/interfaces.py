"""The network interfaces of this machine, and those that mDNS is to use.

Loopback alone when the node listens there; else those that are named, or the interface of the listening
address or, when that is any, those of the default route. Never bridges and pairs that containers
made, unless named.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

import psutil

from nova_node.address import Address
from nova_node.core.errors import Invalid

LOOPBACK_IP = "127.0.0.1"
_OF_CONTAINERS = ("docker*", "veth*", "br-*", "virbr*", "cni*", "flannel*", "cali*", "podman*")

#: reserved for documentation: routed by default, never reached; connecting UDP sends nothing
_ROUTE_PROBE = ("198.51.100.1", 9)


class Interface(NamedTuple):
    """`ips` are its IPv4 addresses."""

    name: str
    ips: tuple[str, ...]
    up: bool
    multicast: bool

    @property
    def of_containers(self) -> bool:
        return any(fnmatch(self.name, pattern) for pattern in _OF_CONTAINERS)

    @property
    def loopback(self) -> bool:
        return any(ip.startswith("127.") for ip in self.ips)


def read_interfaces() -> list[Interface]:
    stats = psutil.net_if_stats()
    interfaces: list[Interface] = []
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        ips = tuple(a.address for a in addresses if a.family == socket.AF_INET)
        state = stats.get(name)
        flags = state.flags.split(",") if state is not None else []
        up = state is not None and state.isup
        interfaces.append(Interface(name, ips, up, not flags or "multicast" in flags))
    return interfaces


def default_route_ip() -> str | None:
    """The address from which this machine would speak to the world."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ROUTE_PROBE)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def choose_ips(
    interfaces: Sequence[Interface],
    listen: Address,
    wanted: Iterable[str] = (),
    route_ip: str | None = None,
) -> list[str]:
    """The IPv4 addresses to open mDNS on; none when no interface will do.

    Raises Invalid when a wanted interface does not exist or has no IPv4 address."""
    by_name = {interface.name: interface for interface in interfaces}
    named: list[str] = []
    for name in wanted:
        if name not in by_name or not by_name[name].ips:
            raise Invalid(
                f"no interface {name!r} with an IPv4 address",
                f"interfaces here: {', '.join(n for n, i in by_name.items() if i.ips)}",
            )
        named.append(by_name[name].ips[0])
    if listen.is_loopback:
        return [LOOPBACK_IP]
    if named:
        return named
    usable = [i for i in interfaces if i.ips and i.up and i.multicast and not i.loopback]
    if listen.ip is not None and not listen.ip.is_unspecified:
        return [listen.host for i in usable if listen.host in i.ips]
    own = [i for i in usable if not i.of_containers]
    of_route = [i for i in own if route_ip in i.ips]
    return [i.ips[0] for i in of_route or own]


def advertised_ip(interfaces: Sequence[Interface], route_ip: str | None, before: str = "") -> str:
    """Where others reach a node that listens on all interfaces; loopback when nobody else can. The same
    as `before` while the machine has that: a VPN that comes up moves nobody."""
    if before and any(before in each.ips for each in interfaces if each.up and not each.loopback):
        return before
    if route_ip is not None:
        return route_ip
    return next(iter(choose_ips(interfaces, Address("0.0.0.0"))), LOOPBACK_IP)
