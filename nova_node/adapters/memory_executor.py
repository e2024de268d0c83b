"""The fake Executor: answers from a script, in no process and no time but what the script says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nova_node.capability import given_secrets
from nova_node.core.model import (
    Attempt,
    Call,
    Capability,
    Encoding,
    Failure,
    Outcome,
    Status,
    Usage,
    Value,
)
from nova_node.core.signals import (
    Ran,
    RanItem,
    SlotDied,
    SlotReady,
    Spoke,
)
from nova_node.ports import NO_SECRETS, Post
from nova_node.secrets.redact import Redactor, Revealed

RESTART_S = 0.05

Later = Callable[[float, Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an attempt, `after_s` seconds from its start. An `end` of None is no end:
    the attempt stays until it is killed, or, if `dies`, takes its worker process with it."""

    end: Value | Failure | tuple[Call, ...] | None = None
    after_s: float = 0.0
    said: str = ""
    dies: bool = False
    usage: Usage | None = None


Script = Mapping[str, Callable[[Attempt], Answer]]


class FakeExecutor:
    """`script` tells by capability what an attempt comes to. `later` runs a callback after some
    seconds; it is the event loop's unless a virtual clock is given."""

    def __init__(
        self, script: Script, cards: Sequence[Capability] = (), later: Later | None = None
    ) -> None:
        self._script, self._later = script, later
        self._cards = list(cards) or [Capability(name) for name in script]
        self._slots: list[_Slot] = []

    async def start(self, slots: int, post: Post) -> None:
        later = self._later or asyncio.get_running_loop().call_later
        self._slots = [_Slot(number, self._script, post, later) for number in range(slots)]
        for slot in self._slots:
            later(0.0, slot.begin)

    async def describe(self) -> tuple[list[Capability], list[str]]:
        return self._cards, []

    def run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        secrets: Mapping[int, Revealed] = NO_SECRETS,
    ) -> None:
        self._slots[slot].run(keys, attempts, secrets)

    def kill(self, slot: int, failure: Failure) -> None:
        self._slots[slot].kill(failure)

    async def stop(self) -> None:
        for slot in self._slots:
            slot.stop()


class _Slot:
    """`_life` counts its processes: a callback of an earlier one does nothing."""

    def __init__(self, number: int, script: Script, post: Post, later: Later) -> None:
        self._number, self._script, self._post, self._later = number, script, post, later
        self._queue: deque[tuple[int, Attempt, Revealed | None]] = deque()
        self._current: int | None = None
        self._ready, self._life = False, 0

    def begin(self) -> None:
        self._ready = True
        self._post(SlotReady(self._number))

    def run(
        self, keys: Sequence[int], attempts: Sequence[Attempt], secrets: Mapping[int, Revealed]
    ) -> None:
        if self._ready:
            rows = zip(keys, attempts, strict=True)
            self._queue.extend((key, attempt, secrets.get(key)) for key, attempt in rows)
            self._soon(0.0, self._work)

    def kill(self, failure: Failure) -> None:
        if self._ready:
            self._soon(0.0, lambda: self._die(failure))

    def stop(self) -> None:
        self._ready = False
        self._life += 1

    def _soon(self, delay_s: float, act: Callable[[], None]) -> None:
        life = self._life
        self._later(delay_s, lambda: act() if life == self._life else None)

    def _work(self) -> None:
        ran: list[RanItem] = []
        while self._queue and self._current is None:
            key, attempt, secrets = self._queue.popleft()
            answer = self._answer(attempt, secrets)
            if answer.said:
                self._post(Spoke(self._number, key, False, answer.said))
            if answer.end is not None and not answer.after_s:
                ran.append(_ended(key, attempt, answer))
                continue
            self._current = key
            if answer.dies:
                self._soon(answer.after_s, lambda: self._die(_DIED))
            elif answer.end is not None:
                item = _ended(key, attempt, answer)
                self._soon(answer.after_s, lambda item=item: self._finish(item))
        if ran:
            self._post(Ran(self._number, tuple(ran)))

    def _answer(self, attempt: Attempt, secrets: Revealed | None) -> Answer:
        """The script may ask for secrets as a capability does."""
        act = self._script[attempt.demand.capability]
        if not secrets:
            return act(attempt)
        with given_secrets(secrets):
            return _redacted(act(attempt), Redactor(secrets.items()))

    def _finish(self, item: RanItem) -> None:
        self._current = None
        self._post(Ran(self._number, (item,)))
        self._work()

    def _die(self, failure: Failure) -> None:
        key, self._current = self._current, None
        self._queue.clear()
        self.stop()
        self._post(SlotDied(self._number, key, failure))
        self._soon(RESTART_S, self.begin)


_DIED = Failure("worker_died", "the worker process exited", retryable=True)


def _redacted(answer: Answer, redactor: Redactor) -> Answer:
    end = answer.end
    match end:
        case Value(Encoding.JSON):
            end = end._replace(data=redactor.json(end.data))
        case Value():
            end = end._replace(data=redactor.data(end.data))
        case Failure():
            end = end._replace(message=redactor.text(end.message))
        case _:
            pass
    return replace(answer, end=end, said=redactor.text(answer.said))


def _ended(key: int, attempt: Attempt, answer: Answer) -> RanItem:
    elapsed_us = int(answer.after_s * 1e6)
    outcome = Outcome(
        attempt.no, attempt.attempt, Status.DONE, elapsed_us=elapsed_us, usage=answer.usage
    )
    match answer.end:
        case Value():
            return RanItem(key, outcome._replace(value=answer.end))
        case Failure():
            return RanItem(key, outcome._replace(status=Status.FAILED, failure=answer.end))
        case shards:
            return RanItem(key, outcome, shards)
