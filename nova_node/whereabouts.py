"""Where others reach this node, followed while its machine goes from one network to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nova_node.adapters.interfaces import (
    advertised_ip,
    choose_ips,
    default_route_ip,
    read_interfaces,
)
from nova_node.address import Address
from nova_node.core.errors import Invalid

LOOK_EVERY_S = 2.0


class Place(NamedTuple):
    """`ips` are of the interfaces for mDNS. The address is one of loopback when there is no network."""

    address: Address
    ips: tuple[str, ...]

    @property
    def is_offline(self) -> bool:
        return self.address.is_loopback


class Whereabouts:
    """Of a node that listens at `listen`; `advertise` is what it was told to tell others."""

    def __init__(
        self, listen: Address, advertise: Address | None, interfaces: Sequence[str]
    ) -> None:
        #: where this machine's own tools reach the node, whatever its network does
        self.local = listen
        if listen.ip is not None and listen.ip.is_unspecified:
            self.local = Address("127.0.0.1" if listen.ip.version == 4 else "::1", listen.port)
        self._fixed = advertise
        if advertise is None and (listen.ip is None or not listen.ip.is_unspecified):
            self._fixed = listen
        self._listen = listen
        self._interfaces = tuple(interfaces)
        self.place = self.look("")

    def look(self, before: str) -> Place:
        """Reads the interfaces, which takes about a millisecond. `before` is the IP address up to now."""
        interfaces, route_ip = read_interfaces(), default_route_ip()
        try:
            ips = choose_ips(interfaces, self._listen, self._interfaces, route_ip)
        except Invalid:  # one that was named is not there
            ips = []
        ip = advertised_ip(interfaces, route_ip, before)
        return Place(self._fixed or Address(ip, self._listen.port), tuple(ips))

    async def follow(self, moved: Callable[[Place], None]) -> None:
        """Calls `moved` with a place that is another one, and was the same twice in a row. On loopback there
        is but one place."""
        before = self.place
        while not self._listen.is_loopback:
            await asyncio.sleep(LOOK_EVERY_S)
            seen = await asyncio.to_thread(self.look, self.place.address.host)
            if seen == before and seen != self.place:
                self.place = seen
                moved(seen)
            before = seen
