"""The pools of warm containers of a node: what its worker processes report, and what becomes of it.

A worker tells when something changed, at most a few times a second; a process that is gone takes its
containers along, so its part of the state goes with it, and what it counted stays.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

IMAGES_MAX = 16
OTHERS = "others"
"""The images beyond so many together."""
NAME_LENGTH = 200
IMAGE_LABEL = "sandbox.image."
COUNT_MAX = 1 << 31


class Pool(NamedTuple):
    """Of one image. The first four are how it is, the rest counts since the report or sample before;
    the columns of table `pools` say what each means."""

    image: str
    warm: int = 0
    busy: int = 0
    refilling: int = 0
    waiting: int = 0
    claims: int = 0
    exhausted: int = 0
    failed: int = 0


Tell = Callable[[Sequence[Pool]], None]


def added(pools: Iterable[Pool]) -> list[Pool]:
    """One for each image, by name."""
    sums: dict[str, Pool] = {}
    for pool in pools:
        name, *numbers = pool
        _, *before = sums.get(name, Pool(name))
        sums[name] = Pool(name, *(a + b for a, b in zip(numbers, before, strict=True)))
    return [sums[name] for name in sorted(sums)]


# ---------------------------------------------------------------- in a worker process

_ears: list[Tell] = []


@contextmanager
def heard_by(tell: Tell) -> Generator[None]:
    """Within it `tell` gets what this process reports."""
    _ears.append(tell)
    try:
        yield
    finally:
        _ears.remove(tell)


def report_pools(pools: Sequence[Pool]) -> None:
    """Tell the node, if there is one, the state of all pools of this process, from any thread; of one
    image there may be several. Raises OSError when the node is gone."""
    for tell in _ears:
        tell(pools)


# ---------------------------------------------------------------- in the node


class Pools:
    """Of all slots of a node. Nothing that a worker process sends makes it grow without bound."""

    def __init__(self) -> None:
        self._images: dict[str, None] = {}
        self._state: dict[int, list[Pool]] = {}
        self._counted: list[Pool] = []

    def know(self, labels: Iterable[str]) -> None:
        """Show the images that a node offers by these labels, also while nothing was run in them."""
        for label in labels:
            if label.startswith(IMAGE_LABEL):
                self._name(label.removeprefix(IMAGE_LABEL))

    def hear(self, slot: int, rows: object) -> None:
        """A report, as it came. Rows that make no sense are left out."""
        self.gone(slot)
        said = added(self._read(rows))
        self._state[slot] = [pool._replace(claims=0, exhausted=0, failed=0) for pool in said]
        counts = [pool._replace(warm=0, busy=0, refilling=0, waiting=0) for pool in said]
        self._counted = added([*self._counted, *counts])

    def gone(self, slot: int) -> None:
        """The process of this slot has ended."""
        self._state.pop(slot, None)

    def take(self) -> tuple[Pool, ...]:
        """The state, with what was counted since the last time. Empty: no foreign code here."""
        counted, self._counted = self._counted, []
        known = [Pool(image) for image in self._images]
        return tuple(added([*known, *counted, *(p for s in self._state.values() for p in s)]))

    def _read(self, rows: object) -> Iterator[Pool]:
        for row in cast("list[Any]", rows)[:IMAGES_MAX] if isinstance(rows, list) else ():
            if not isinstance(row, list) or len(cast("list[Any]", row)) != len(Pool._fields):
                continue
            image, *numbers = cast("list[Any]", row)
            if isinstance(image, str) and all(
                type(n) is int and 0 <= n < COUNT_MAX for n in numbers
            ):
                yield Pool(self._name(image), *numbers)

    def _name(self, image: str) -> str:
        image = image[:NAME_LENGTH]
        if image not in self._images and len(self._images) >= IMAGES_MAX:
            image = OTHERS
        self._images[image] = None
        return image
