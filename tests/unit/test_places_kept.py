"""Places that are kept free for what attempts ask for: it always finds one."""

import itertools

import pytest

from nova_node.core.effects import Effect, Run
from nova_node.core.model import Attempt, Call, Demand, Phase
from nova_node.core.places import Places, places_for
from nova_node.core.slots import Item

PLACES = 64
DEPTHS = 6
"""Of attempts that ask, from 0 on; what they ask for at last asks for nothing."""


class Bench:
    def __init__(self, places: int) -> None:
        self.out: list[Effect] = []
        self.places = Places(range(places), lambda _: 0.0, self.out, {"a.asks"})
        for number in range(places):
            self.places.begin(number)
        self._keys = itertools.count(1)

    def begun(self, capability: str, depth: int, count: int) -> int:
        """How many of so many more begin."""
        before = self._running()
        for _ in range(count):
            key = next(self._keys)
            attempt = Attempt(key, 1, Demand(capability), Phase.RUN, Call(), depth=depth)
            self.places.queue.append(Item(key, 0, attempt))
        self.places.feed(0.0)
        return self._running() - before

    def _running(self) -> int:
        return sum(len(effect.keys) for effect in self.out if isinstance(effect, Run))


def test_however_many_ask_there_is_a_place_for_each_depth_and_for_what_asks_nothing() -> None:
    bench = Bench(PLACES)
    for depth in range(DEPTHS):
        assert bench.begun("a.asks", depth, 200) >= 1
    assert bench.begun("a.plain", DEPTHS, 1) == 1


def test_what_asks_for_nothing_may_have_all() -> None:
    assert Bench(PLACES).begun("a.plain", 0, 200) == PLACES


def test_who_stands_behind_one_that_may_not_begin_does() -> None:
    bench = Bench(2)
    assert bench.begun("a.asks", 0, 3) == 1
    assert bench.begun("a.plain", 1, 1) == 1
    (first, *_) = bench.places.queue
    assert [item.attempt.depth for item in bench.places.queue] == [0, 0]
    assert first.key == 2, "and those keep their order"


@pytest.mark.parametrize("places", [1, 2, 3, 8, 64, 1024])
def test_those_that_ask_never_have_all_places(places: int) -> None:
    mays = [places_for(depth, places) for depth in range(12)]
    assert mays == sorted(mays)
    assert max(mays) <= places - 1
