"""Which peers are linked, and when links and cards are asked for again."""

from __future__ import annotations

import random

import pytest
from support.lone import RUN, member

from nova_node.core.dispatch import Dispatch
from nova_node.core.effects import Connect, Disconnect, Effect, FetchCard
from nova_node.core.events import Accepted, Event
from nova_node.core.links import LINKS_MAX, RECONNECT_S, Links
from nova_node.core.model import (
    PROTOCOL,
    Call,
    Capability,
    Card,
    Demand,
    Digest,
    Group,
    MemberState,
)
from nova_node.core.tasks import Tasks

NEVER = float("inf")


class Scene:
    def __init__(self) -> None:
        self.out: list[Effect] = []
        self.dispatch = Dispatch(random.Random(1))
        self.links = Links("me", self.dispatch, random.Random(1), self.out)

    def take(self) -> list[Effect]:
        effects = self.out.copy()
        self.out.clear()
        return effects

    def seen(
        self, node: str, state: MemberState = MemberState.ALIVE, now: float = 0.0
    ) -> list[Effect]:
        self.links.seen(member(node, state), now)
        return self.take()

    def link(self, node: str, *capabilities: Capability, now: float = 0.0) -> None:
        self.seen(node, now=now)
        self.links.card(Card(node, 1, capabilities or (RUN,), slots=1), now)
        self.links.up(node)


def test_a_new_peer_is_linked_and_asked_what_it_can_do() -> None:
    address = member("n1").address
    assert set(Scene().seen("n1")) == {Connect("n1", address), FetchCard("n1", address)}


def test_the_node_itself_is_no_peer() -> None:
    assert Scene().seen("me") == []


def test_a_peer_is_connected_once() -> None:
    scene = Scene()
    scene.seen("n1")
    assert Connect("n1", member("n1").address) not in scene.seen("n1")


def test_a_card_is_asked_for_until_it_is_there() -> None:
    scene = Scene()
    scene.seen("n1")
    wake_at = scene.links.wake_at
    scene.links.tick(wake_at)
    assert [type(e) for e in scene.take()] == [FetchCard]
    scene.links.card(Card("n1", 1, (RUN,)), wake_at)
    scene.links.up("n1")
    assert scene.links.wake_at == NEVER


def test_a_card_that_changed_is_asked_for() -> None:
    scene = Scene()
    scene.link("n1")
    scene.links.seen(member("n1", digest=Digest(card_version=2)), 5.0)
    assert [type(e) for e in scene.take()] == [FetchCard]


def test_a_card_that_is_no_longer_wanted_wakes_nobody() -> None:
    scene = Scene()
    scene.link("n1")
    scene.links.seen(member("n1", digest=Digest(card_version=2)), 5.0)
    scene.links.seen(member("n1", digest=Digest(card_version=1)), 5.1)
    assert scene.links.wake_at == NEVER


def test_a_broken_link_is_opened_again_after_a_while() -> None:
    scene = Scene()
    scene.link("n1")
    worker = scene.links.down("n1", 10.0)
    assert worker is not None
    assert not worker.up
    assert worker.room(1.0) == 0
    wake_at = scene.links.wake_at
    assert 10.0 + RECONNECT_S / 2 <= wake_at <= 10.0 + 1.5 * RECONNECT_S
    assert scene.seen("n1", now=10.1) == []
    scene.links.tick(wake_at)
    assert scene.take() == [Connect("n1", member("n1").address)]
    assert scene.links.wake_at == NEVER


@pytest.mark.parametrize("state", [MemberState.DEAD, MemberState.LEFT])
def test_a_peer_that_is_gone_is_let_go(state: MemberState) -> None:
    scene = Scene()
    scene.seen("n1")
    gone = scene.links.seen(member("n1", state), 1.0)
    assert gone is not None
    assert scene.take() == [Disconnect("n1")]
    assert scene.dispatch.workers == {}
    assert scene.links.wake_at == NEVER


def test_a_suspect_keeps_its_link_but_is_not_linked_anew() -> None:
    scene = Scene()
    scene.link("n1")
    assert scene.seen("n1", MemberState.SUSPECT) == []
    scene.links.down("n1", 10.0)
    assert scene.links.wake_at == NEVER
    scene.links.tick(60.0)
    assert scene.take() == []
    assert scene.seen("n1", now=60.0) == [Connect("n1", member("n1").address)]


def test_a_peer_of_another_protocol_is_not_linked() -> None:
    scene = Scene()
    scene.links.seen(member("n1")._replace(protocol=PROTOCOL + 1), 0.0)
    assert not any(isinstance(e, Connect) for e in scene.take())


def test_a_peer_that_moved_is_connected_at_its_new_address() -> None:
    scene = Scene()
    scene.link("n1")
    moved = member("n1")._replace(address="elsewhere.example:9")
    scene.links.seen(moved, 1.0)
    assert scene.take() == [Disconnect("n1")]
    scene.links.down("n1", 1.0)
    scene.links.tick(10.0)
    assert scene.take() == [Connect("n1", "elsewhere.example:9")]


def test_links_are_bounded() -> None:
    scene = Scene()
    for number in range(LINKS_MAX + 20):
        scene.seen(f"n{number}")
    linked = [w for w in scene.dispatch.workers.values() if w.connecting]
    assert len(linked) == LINKS_MAX
    assert scene.links.wake_at > 0.0


def test_peers_beyond_the_bound_do_not_wake_the_node_in_a_loop() -> None:
    scene = Scene()
    for number in range(LINKS_MAX + 1):
        scene.link(f"n{number}")
    scene.links.down("n0", 10.0)
    scene.seen("n0", now=100.0)
    scene.links.tick(200.0)
    assert scene.links.wake_at > 200.0


def test_an_idle_link_makes_room_for_a_peer_that_fits_what_waits() -> None:
    scene = Scene()
    for number in range(LINKS_MAX):
        scene.link(f"n{number}")
    tasks = Tasks()
    tasks.apply(Event(1, 1, 0.0, Accepted("", (Group(Demand("rare.thing"), (Call(),)),))))
    scene.dispatch.ready.extend([tasks.by_no[1]])
    scene.take()
    scene.seen("rare")
    scene.links.card(Card("rare", 1, (Capability("rare.thing"),), slots=1), 0.0)
    effects = scene.seen("rare", now=1.0)
    assert [type(e) for e in effects] == [Disconnect, Connect]
    assert effects[1] == Connect("rare", member("rare").address)


def test_signals_of_unknown_peers_do_nothing() -> None:
    scene = Scene()
    scene.links.up("ghost")
    scene.links.card(Card("ghost", 1), 0.0)
    assert scene.links.down("ghost", 0.0) is None
    assert scene.take() == []
