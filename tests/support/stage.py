"""Runs an executor and waits for its signals."""

import asyncio
from typing import Self, TypeVar

from nova_node.core.model import Attempt, Call, Demand, Input, Limits, Phase, Value
from nova_node.core.signals import (
    Ran,
    RanItem,
    Signal,
    SlotReady,
    Spoke,
)
from nova_node.ports import Executor
from nova_node.secrets.redact import Revealed

S = TypeVar("S", bound=Signal)
PATIENCE_S = 20.0


class Stage:
    """`async with Stage(executor, slots)`: ready on entry, stopped on exit."""

    def __init__(self, executor: Executor, slots: int = 1) -> None:
        self.executor, self._slots = executor, slots
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()
        self.said = ""
        self._key = 0

    async def __aenter__(self) -> Self:
        await self.executor.start(self._slots, self._signals.put_nowait)
        for _ in range(self._slots):
            await self.next(SlotReady)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.executor.stop()

    async def next(self, kind: type[S]) -> S:
        """The next signal, which must be of this kind; output heard on the way is kept."""
        while True:
            signal = await asyncio.wait_for(self._signals.get(), PATIENCE_S)
            if isinstance(signal, kind):
                return signal
            assert isinstance(signal, Spoke), signal
            self.said += signal.text

    def quiet(self) -> bool:
        return self._signals.empty()

    def give(
        self, *attempts: Attempt, slot: int = 0, secrets: dict[str, str] | None = None
    ) -> list[int]:
        """`secrets` are those of each."""
        keys = [self._key + i for i in range(1, len(attempts) + 1)]
        self._key += len(attempts)
        revealed = {key: Revealed(secrets) for key in keys} if secrets else {}
        self.executor.run(slot, keys, attempts, revealed)
        return keys

    async def results(self, count: int) -> list[RanItem]:
        items: list[RanItem] = []
        while len(items) < count:
            items += (await self.next(Ran)).results
        assert len(items) == count
        return items

    async def run(
        self, *attempts: Attempt, slot: int = 0, secrets: dict[str, str] | None = None
    ) -> list[RanItem]:
        """Gives them to a slot and returns their results, in order of the keys."""
        keys = self.give(*attempts, slot=slot, secrets=secrets)
        items = sorted(await self.results(len(attempts)), key=lambda item: item.key)
        assert [item.key for item in items] == keys
        return items

    async def one(self, given: Attempt, secrets: dict[str, str] | None = None) -> RanItem:
        return (await self.run(given, secrets=secrets))[0]


def attempt(
    capability: str,
    args: bytes = b"",
    *inputs: Input,
    no: int = 1,
    count: int = 1,
    phase: Phase = Phase.RUN,
    shards: int = 0,
    parts: tuple[Value, ...] = (),
    part: bool = False,
    limits: Limits = Limits(),  # noqa: B008
) -> Attempt:
    demand = Demand(capability, limits=limits, shards=shards)
    return Attempt(no, count, demand, phase, Call(args, inputs), parts, part)


def value(item: RanItem) -> bytes:
    assert item.outcome.failure is None, item.outcome.failure
    assert item.outcome.value is not None
    return item.outcome.value.data


def code(item: RanItem) -> str:
    assert item.outcome.failure is not None, item
    return item.outcome.failure.code
