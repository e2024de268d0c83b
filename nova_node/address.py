"""HOST:PORT, the one way to name where a node listens. IPv6 hosts stand in brackets: [::1]:7600."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from nova_node.core.errors import Invalid

PORT_DEFAULT = 7600
JOIN_PORT_DEFAULT = 7601

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_FIX = "write HOST:PORT, for example 127.0.0.1:7600, node-b.local:7600 or [::1]:7600"


class Address(NamedTuple):
    host: str
    port: int = PORT_DEFAULT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        ip = self.ip
        return self.host.lower() == "localhost" if ip is None else ip.is_loopback

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """None when the host is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def parse_address(text: str) -> Address:
    """`text` is HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; the port defaults to 7600.

    Raises Invalid."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Invalid(f"not an address: {_shown(text)}", _FIX)
        port = rest[1:] if rest else None
        if _not_an_ipv6(host):
            raise Invalid(f"not an IPv6 address: {_shown(host)}", _FIX)
    elif text.count(":") > 1:
        raise Invalid(f"an IPv6 address needs brackets: {_shown(text)}", _FIX)
    else:
        host, colon, after = text.partition(":")
        port = after if colon else None
        if len(host) > 253 or not _HOST_NAME.fullmatch(host) or _not_an_ipv4(host):
            raise Invalid(f"not an address: {_shown(text)}", _FIX)
    return Address(host, PORT_DEFAULT if port is None else _port(port, text))


def _port(port: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise Invalid(f"not a port from 0 to 65535 in {_shown(text)}", _FIX)
    return int(port)


def _not_an_ipv6(host: str) -> bool:
    try:
        return not isinstance(ipaddress.ip_address(host), ipaddress.IPv6Address)
    except ValueError:
        return True


def _not_an_ipv4(host: str) -> bool:
    """True for what looks like a dotted IPv4 address and is none, such as 10.0.0.256."""
    if not re.fullmatch(r"[0-9.]+", host):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")
