"""What mDNS records are believed, and where mDNS listens."""

from __future__ import annotations

import pytest

from nova_node.adapters.discovery_mdns import read_record
from nova_node.adapters.interfaces import Interface, advertised_ip, choose_ips
from nova_node.address import Address
from nova_node.core.errors import Invalid
from nova_node.ports import Found

TXT: dict[bytes, bytes | None] = {
    b"id": b"k7q2m9xd",
    b"version": b"0.1.0",
    b"mesh": b"nova",
    b"protocol": b"1",
}


def test_an_honest_record() -> None:
    found = read_record("k7q2m9xd", TXT, ["192.0.2.7"], 7600, loopback=False)
    assert found == Found("k7q2m9xd", "192.0.2.7:7600", "nova", "0.1.0", 1)


def test_what_a_later_version_adds_is_passed_over() -> None:
    found = read_record("k7q2m9xd", {**TXT, b"new": b"\xff"}, ["192.0.2.7"], 7600, False)
    assert found.node == "k7q2m9xd"


def test_ipv4_is_preferred_and_ipv6_stands_in_brackets() -> None:
    both = read_record("k7q2m9xd", TXT, ["2001:db8::1", "192.0.2.7"], 7600, False)
    assert both.address == "192.0.2.7:7600"
    assert read_record("k7q2m9xd", TXT, ["2001:db8::1"], 7600, False).address == (
        "[2001:db8::1]:7600"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"id", None),
        (b"id", b""),
        (b"id", b"../up"),
        (b"id", b"x" * 64),
        (b"version", b"\x1b[31m"),
        (b"version", b"\xff"),
        (b"mesh", b"a b"),
        (b"mesh", b"nova\n"),
        (b"mesh", b""),
        (b"protocol", b"one"),
        (b"protocol", b"-1"),
        (b"protocol", b"9" * 200),
    ],
)
def test_a_malformed_record(key: bytes, value: bytes | None) -> None:
    with pytest.raises(ValueError, match="malformed"):
        read_record("k7q2m9xd", {**TXT, key: value}, ["192.0.2.7"], 7600, False)


@pytest.mark.parametrize(
    "port", [b"", b"0", b"65536", b"-1", b"7601 ", b"1e3", b"\xd9\xa3", b"9" * 200]
)
def test_a_record_that_lies_of_the_port_to_join(port: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        read_record("k7q2m9xd", {**TXT, b"join": port}, ["192.0.2.7"], 7600, False)


@pytest.mark.parametrize("key", list(TXT))
def test_a_record_that_lacks_something(key: bytes) -> None:
    less = {k: v for k, v in TXT.items() if k != key}
    with pytest.raises(ValueError, match="malformed"):
        read_record("k7q2m9xd", less, ["192.0.2.7"], 7600, False)


def test_a_record_that_speaks_for_another_node() -> None:
    with pytest.raises(ValueError, match="another id"):
        read_record("somebody", TXT, ["192.0.2.7"], 7600, False)


@pytest.mark.parametrize(
    ("ips", "port"),
    [
        ([], 7600),
        (["127.0.0.1"], 7600),
        (["::1"], 7600),
        (["0.0.0.0"], 7600),
        (["224.0.0.251"], 7600),
        (["255.255.255.255"], 7600),
        (["fe80::1"], 7600),
        (["node.local"], 7600),
        (["192.0.2.7"], 0),
        (["192.0.2.7"], 65_536),
    ],
)
def test_a_record_that_leads_nowhere(ips: list[str], port: int) -> None:
    with pytest.raises(ValueError, match="no usable address"):
        read_record("k7q2m9xd", TXT, ips, port, loopback=False)


def test_loopback_makes_sense_to_a_node_on_loopback() -> None:
    assert read_record("k7q2m9xd", TXT, ["127.0.0.1"], 7600, True).address == "127.0.0.1:7600"


LO = Interface("lo", ("127.0.0.1",), True, False)
ETH = Interface("eth0", ("192.0.2.7",), True, True)
WLAN = Interface("wlan0", ("198.51.100.7",), True, True)
DOWN = Interface("eth1", ("203.0.113.7",), False, True)
DEAF = Interface("ppp0", ("203.0.113.8",), True, False)
DOCKER = Interface("docker0", ("172.17.0.1",), True, True)
BARE = Interface("eth2", (), True, True)
ALL = (LO, ETH, WLAN, DOWN, DEAF, DOCKER, BARE)
ANY = Address("0.0.0.0")


@pytest.mark.parametrize(
    ("listen", "wanted", "route_ip", "chosen"),
    [
        (Address("127.0.0.1"), (), "192.0.2.7", ["127.0.0.1"]),
        (Address("localhost"), (), "192.0.2.7", ["127.0.0.1"]),
        (Address("::1"), (), "192.0.2.7", ["127.0.0.1"]),
        (Address("127.0.0.1"), ("eth0",), "192.0.2.7", ["127.0.0.1"]),
        (ANY, (), "192.0.2.7", ["192.0.2.7"]),
        (ANY, (), None, ["192.0.2.7", "198.51.100.7"]),
        (ANY, (), "203.0.113.8", ["192.0.2.7", "198.51.100.7"]),
        (ANY, ("docker0", "eth0"), "192.0.2.7", ["172.17.0.1", "192.0.2.7"]),
        (Address("198.51.100.7"), (), "192.0.2.7", ["198.51.100.7"]),
        (Address("172.17.0.1"), (), "192.0.2.7", ["172.17.0.1"]),
        (Address("203.0.113.7"), (), "192.0.2.7", []),
    ],
)
def test_where_mdns_listens(
    listen: Address, wanted: tuple[str, ...], route_ip: str | None, chosen: list[str]
) -> None:
    assert choose_ips(ALL, listen, wanted, route_ip) == chosen


@pytest.mark.parametrize(
    ("interfaces", "route_ip", "told"),
    [
        (ALL, "198.51.100.7", "198.51.100.7"),
        (ALL, None, "192.0.2.7"),
        ((LO, DOCKER), None, "127.0.0.1"),
        ((), None, "127.0.0.1"),
    ],
)
def test_where_a_node_that_listens_everywhere_says_that_it_is(
    interfaces: tuple[Interface, ...], route_ip: str | None, told: str
) -> None:
    assert advertised_ip(interfaces, route_ip) == told


@pytest.mark.parametrize("name", ["eth9", "eth2"])
def test_a_wanted_interface_must_be_there_with_an_address(name: str) -> None:
    with pytest.raises(Invalid, match=name) as caught:
        choose_ips(ALL, ANY, [name])
    assert "wlan0" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "expected"),
    [("docker0", True), ("veth12ab", True), ("br-0f", True), ("virbr0", True), ("bridge0", False)],
)
def test_interfaces_of_containers(name: str, expected: bool) -> None:
    assert ETH._replace(name=name).of_containers is expected
