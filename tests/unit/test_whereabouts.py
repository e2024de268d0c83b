"""Where a node is reached, as its machine's interfaces come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from nova_node import whereabouts
from nova_node.adapters.interfaces import Interface
from nova_node.address import Address
from nova_node.whereabouts import Place, Whereabouts

LO = Interface("lo", ("127.0.0.1",), up=True, multicast=False)
HOME = Interface("wlan0", ("192.0.2.7",), up=True, multicast=True)
WORK = Interface("wlan0", ("203.0.113.9",), up=True, multicast=True)
VPN = Interface("tun0", ("198.51.100.20",), up=True, multicast=False)
ANY = Address("0.0.0.0", 7600)
Shown = tuple[list[Interface], str | None]

NOWHERE: Shown = ([LO], None)
AT_HOME: Shown = ([LO, HOME], "192.0.2.7")
AT_WORK: Shown = ([LO, WORK], "203.0.113.9")
AT_HOME_BY_VPN: Shown = ([LO, VPN, HOME], "198.51.100.20")


class Machine:
    """Shows these interfaces, one set at each look; the last one again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *shown: Shown) -> None:
        self._rest: Iterator[Shown] = iter(shown)
        self._now: Shown = NOWHERE
        self.over = False
        monkeypatch.setattr(whereabouts, "LOOK_EVERY_S", 0.0)
        monkeypatch.setattr(whereabouts, "read_interfaces", self._interfaces)
        monkeypatch.setattr(whereabouts, "default_route_ip", lambda: self._now[1])

    def _interfaces(self) -> list[Interface]:
        following = next(self._rest, None)
        self.over = following is None
        self._now = following or self._now
        return self._now[0]


def moves(machine: Machine, listen: Address = ANY, advertise: Address | None = None) -> list[Place]:
    """Where it was first, and each place that it moved to."""

    async def follow() -> list[Place]:
        found = Whereabouts(listen, advertise, ())
        seen = [found.place]
        following = asyncio.create_task(found.follow(seen.append))
        while not machine.over:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        following.cancel()
        return seen

    return asyncio.run(follow())


def test_a_new_address_counts_once_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, AT_HOME, NOWHERE, AT_WORK, NOWHERE, AT_WORK, AT_WORK, AT_WORK)
    home, work = moves(machine)
    assert home == Place(Address("192.0.2.7", 7600), ("192.0.2.7",))
    assert work == Place(Address("203.0.113.9", 7600), ("203.0.113.9",))
    assert not work.is_offline


def test_without_a_network_it_is_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, NOWHERE, AT_HOME, AT_HOME, NOWHERE, NOWHERE, AT_HOME, AT_HOME)
    first, home, none, again = moves(machine)
    assert first == none == Place(Address("127.0.0.1", 7600), ())
    assert first.is_offline
    assert home == again


def test_a_vpn_that_comes_up_moves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, AT_HOME, AT_HOME_BY_VPN, AT_HOME_BY_VPN, AT_HOME, AT_HOME)
    assert {place.address.host for place in moves(machine)} == {"192.0.2.7"}


def test_what_was_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Address("192.0.2.7", 7600)
    for listen, advertise in ((given, None), (ANY, given)):
        machine = Machine(monkeypatch, AT_HOME, AT_WORK, AT_WORK, NOWHERE, NOWHERE)
        assert {place.address for place in moves(machine, listen, advertise)} == {given}


def test_on_loopback_there_is_nothing_to_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, AT_HOME)
    found = Whereabouts(Address("127.0.0.1", 7600), None, ())
    asyncio.run(found.follow(lambda _: None))
    assert not machine.over


def test_a_named_interface_may_go_and_come(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, NOWHERE, AT_HOME)
    found = Whereabouts(ANY, None, ["wlan0"])
    assert found.place.ips == ()
    assert found.look("").ips == ("192.0.2.7",)
