"""One engine driven by hand: signals in, effects out, and a few short cuts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from nova_node.core.effects import Append, Effect
from nova_node.core.engine import Engine, EngineConfig
from nova_node.core.events import Event, Fact
from nova_node.core.model import (
    Attempt,
    Call,
    Capability,
    Card,
    Credit,
    Demand,
    Digest,
    Encoding,
    Failure,
    Fence,
    Group,
    Member,
    MemberState,
    Outcome,
    Status,
    Value,
)
from nova_node.core.signals import (
    CardFetched,
    Granted,
    LinkUp,
    PeerSeen,
    Resulted,
    Signal,
    SlotReady,
    Submit,
)
from nova_node.core.tasks import Task

ME = "a" * 16
PEER = "b" * 16
START = 1_000.0
RUN = Capability("a.run")
CUT = Capability("a.cut", splits=True, merges=True)
ROOMY = Credit(1_000_000, 4, 1_000, 1 << 20)
PLAIN = Demand("a.run")
FREE = Digest(1, 2, 2)
DEFAULTS = EngineConfig()
BROKEN = Failure("raised", "it broke", retryable=True)
FATAL = Failure("raised", "it broke for good")

E = TypeVar("E")
F = TypeVar("F")


def only(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def facts(effects: Sequence[Effect], kind: type[F]) -> list[F]:
    found: list[Fact] = [e.event.fact for e in effects if isinstance(e, Append)]
    return [fact for fact in found if isinstance(fact, kind)]


def text(data: str) -> Value:
    return Value(Encoding.JSON, data.encode())


def member(
    node: str = PEER, state: MemberState = MemberState.ALIVE, digest: Digest = FREE
) -> Member:
    return Member(node, node[:2], f"{node[:2]}.example:7", 1, state, digest, mesh="m")


def done(attempt: Attempt | Fence, value: Value | None = None, elapsed_us: int = 10) -> Outcome:
    value = value or text("1")
    return Outcome(attempt.no, attempt.attempt, Status.DONE, value, elapsed_us=elapsed_us)


def failed(attempt: Attempt | Fence, failure: Failure = BROKEN) -> Outcome:
    return Outcome(attempt.no, attempt.attempt, Status.FAILED, None, failure)


class Lone:
    def __init__(
        self,
        capabilities: tuple[Capability, ...] = (RUN, CUT),
        config: EngineConfig = DEFAULTS,
        history: Sequence[Event] = (),
        incarnation: int = 1,
        ready: bool = False,
        seed: int = 1,
    ) -> None:
        self.now = START
        rng = random.Random(seed)
        self.engine = Engine(ME, incarnation, config, rng, history, self.now)
        self.engine.describe(Card(ME, 1, capabilities, slots=config.worker.slots))
        #: all that was ever journaled or announced
        self.events: list[Event] = []
        if ready:
            self.tell(*[SlotReady(slot) for slot in range(config.worker.slots)])

    def tell(self, *signals: Signal, after_s: float = 0.0) -> list[Effect]:
        self.now += after_s
        effects = self.engine.handle(signals, self.now)
        self.events += [e.event for e in effects if isinstance(e, Append)]
        return effects

    def submit(self, count: int = 1, demand: Demand = PLAIN, request_id: str = "r") -> list[Effect]:
        """`token` of the answer is the request id."""
        calls = tuple(Call(b"{}") for _ in range(count))
        return self.tell(Submit(request_id, request_id, (Group(demand, calls),)))

    def peer(
        self,
        node: str = PEER,
        capabilities: tuple[Capability, ...] = (RUN, CUT),
        credit: Credit = ROOMY,
        labels: tuple[tuple[str, str], ...] = (),
    ) -> list[Effect]:
        """A peer that works for this node joins."""
        return self.tell(
            PeerSeen(member(node)),
            CardFetched(Card(node, 1, capabilities, labels, slots=2)),
            LinkUp(node),
            Granted(node, credit),
        )

    def report(self, *outcomes: Outcome, node: str = PEER) -> list[Effect]:
        return self.tell(Resulted(node, outcomes))

    def task(self, no: int) -> Task:
        return self.engine.tasks.by_no[no]
