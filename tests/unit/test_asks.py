"""Tasks that attempts ask for: what may be asked, whose they are, what is heard of them, when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from support.lone import ME, Lone, only, text

from nova_node.adapters.memory import MemoryBlobs
from nova_node.asks import ANSWER_BYTES_MAX, DEPTH_MAX, OPEN_MAX, Asks
from nova_node.core.effects import Acknowledge, Append, Assign, Effect, Revoke
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Capability,
    Credit,
    Demand,
    Durability,
    Encoding,
    Extent,
    Failure,
    Fence,
    Group,
    Input,
    Mandate,
    Outcome,
    Phase,
    Said,
    Status,
    Usage,
    Value,
)
from nova_node.core.signals import (
    DrainAsked,
    Granted,
    Heard,
    Pulled,
    Resulted,
    Signal,
    Submit,
    Tick,
)
from nova_node.ports import Asked, AskEnd
from nova_node.watch import Watch

PARENT = Demand("plan.make", priority=7, sensitive=True)
USES = {"plan.make": frozenset({"a.run", "b.run"})}
MANDATE = Mandate("submitter/anna", b"signed")
RUN = Asked("a.run", b'{"x":1}')


class FakeRuntime:
    """An engine that is told at once; what it has to say to others is kept."""

    def __init__(self) -> None:
        self.lone = Lone(())
        self.engine = self.lone.engine
        self.watch = Watch(0, 100)
        self.attempts: list[Attempt] = []
        self.revoked: list[Revoke] = []
        self.submits: list[Submit] = []
        self.peer = "b" * 16
        self.do(self.lone.peer(self.peer, (Capability("a.run"),)))

    def submit(self, signal: Submit) -> None:
        self.submits.append(signal)
        self.post(signal)

    def post(self, signal: Signal) -> None:
        self.do(self.lone.tell(signal))

    def do(self, effects: Sequence[Effect]) -> None:
        for ack in only(effects, Acknowledge):
            ack.token(ack.answer)
        for assign in only(effects, Assign):
            self.attempts += assign.attempts
        self.revoked += only(effects, Revoke)
        if events := [append.event for append in only(effects, Append)]:
            self.watch.announce(events)

    def end(self, attempt: Attempt, **what: Any) -> None:
        outcome = Outcome(attempt.no, attempt.attempt, Status.DONE, text('"yes"'))
        self.post(Resulted(self.peer, [outcome._replace(**what)]))

    def fail(self, attempt: Attempt, failure: Failure, usage: Usage | None = None) -> None:
        self.end(attempt, status=Status.FAILED, value=None, failure=failure, usage=usage)


class Scene:
    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime
        self.blobs = MemoryBlobs()
        self.asks = Asks(cast(Any, runtime), self.blobs, USES)
        self.heard: list[str] = []
        self.ends: asyncio.Queue[AskEnd] = asyncio.Queue()
        self.family = self.of()
        self._count = 0

    def of(self, **changes: Any) -> Any:
        given = Attempt(3, 1, PARENT, Phase.RUN, Call(), mandate=MANDATE, owner="c" * 16)
        return self.asks.of(given._replace(**changes))

    def ask(self, asked: Asked = RUN, family: Any = None) -> int:
        self._count += 1
        (family or self.family).ask(self._count, asked, self.heard.append, self.ends.put_nowait)
        return self._count

    async def refusal(self, asked: Asked = RUN, family: Any = None) -> Failure:
        self.ask(asked, family)
        assert self.ends.empty(), "told before the call returned"
        end = await self.end()
        assert end.failure
        assert end.usage == Usage()
        return end.failure

    async def end(self) -> AskEnd:
        return await asyncio.wait_for(self.ends.get(), 10)


def play(act: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        scene = Scene(FakeRuntime())
        await act(scene)
        await scene.asks.stop()

    asyncio.run(main())


def test_an_ask_is_a_volatile_task_of_this_node_in_its_submitters_name() -> None:
    async def act(scene: Scene) -> None:
        inputs = (Input("data", b"raw"),)
        labels, prefers = (("zone", "b"),), (("model.x", "yes"), ("model.y", "yes"))
        scene.ask(Asked("a.run", b'{"x":1}', inputs, labels, prefers, 0, 9.0))
        (submit,) = scene.runtime.submits
        ((demand, calls, _),) = submit.groups
        assert demand == Demand(
            "a.run",
            labels=labels,
            durability=Durability.VOLATILE,
            priority=7,
            deadline_s=9.0,
            sensitive=True,
            prefers=prefers,
        )
        assert calls == (Call(b'{"x":1}', inputs),)
        assert (submit.mandate, submit.depth) == (MANDATE, 1)
        assert submit.request_id == "ask:cccccccc-3:1"

    play(act)


def test_its_attempt_is_one_deeper_and_its_end_is_told() -> None:
    async def act(scene: Scene) -> None:
        scene.ask()
        (attempt,) = scene.runtime.attempts
        assert (attempt.depth, attempt.mandate) == (1, MANDATE)
        scene.runtime.post(Heard(scene.runtime.peer, [Said(attempt.no, 1, False, "so ")]))
        scene.runtime.end(attempt, usage=Usage("m", 1, 2, 3))
        assert scene.heard == ["so "]
        used = Usage("m", 1, 2, 3)
        assert await scene.end() == AskEnd(
            None, Encoding.JSON, b'"yes"', (), scene.runtime.peer, used
        )
        assert not scene.asks._by_batch  # pyright: ignore[reportPrivateUsage]

    play(act)


def test_a_failure_is_told_with_what_all_attempts_used() -> None:
    failure = Failure("model_overloaded", "busy", "wait", True, "", 1.5)
    fatal = Failure("model_bad_request", "no", "ask otherwise")

    async def act(scene: Scene) -> None:
        scene.ask()
        scene.runtime.fail(scene.runtime.attempts[0], failure, Usage("m", 1, 1, 5))
        scene.runtime.do(scene.runtime.lone.tell(after_s=400.0))
        scene.runtime.post(Tick())
        scene.runtime.fail(scene.runtime.attempts[1], fatal, Usage("m", 1, 1, 6))
        end = await scene.end()
        assert end.failure is not None
        assert end.failure.code == "model_bad_request"
        assert end.usage == Usage("m", 2, 2, 11)

    play(act)


def test_what_an_attempt_with_an_allowance_does_not_tell_counts_as_all_of_it() -> None:
    async def act(scene: Scene) -> None:
        scene.ask(RUN._replace(allowance_uusd=50))
        scene.runtime.end(scene.runtime.attempts[0])
        assert (await scene.end()).usage == Usage(spent_uusd=50)

    play(act)


def test_only_what_is_listed_may_be_asked_for() -> None:
    async def act(scene: Scene) -> None:
        refused = await scene.refusal(Asked("a.cut"))
        assert refused.code == "not_permitted"
        assert 'uses = ["plan.make a.cut"]' in refused.fix
        other = scene.of(demand=Demand("plan.other"))
        assert (await scene.refusal(RUN, other)).code == "not_permitted"
        assert not scene.runtime.submits

    play(act)


def test_depth_and_number_are_bounded() -> None:
    async def act(scene: Scene) -> None:
        assert (await scene.refusal(RUN, scene.of(depth=DEPTH_MAX))).code == "ask_too_deep"
        for _ in range(OPEN_MAX):
            scene.ask()
        refused = await scene.refusal()
        assert (refused.code, refused.retryable) == ("overloaded", True)
        assert len(scene.runtime.submits) == OPEN_MAX

    play(act)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("a.run", labels=(("a\tb", "yes"),)),
        Asked("a.run", timeout_s=float("nan")),
        Asked("a.run", allowance_uusd=-1),
        Asked("a.run", args=bytes(3 << 20)),
        Asked("a.run", inputs=(Input("data", bytes(3 << 20)),)),
        Asked("a.run", inputs=(Input("no name", b""),)),
    ],
)
def test_what_no_client_could_submit_cannot_be_asked_for(asked: Asked) -> None:
    async def act(scene: Scene) -> None:
        assert (await scene.refusal(asked)).code == "invalid_argument"
        assert not scene.runtime.submits

    play(act)


def test_what_the_owner_refuses_is_told() -> None:
    async def act(scene: Scene) -> None:
        scene.runtime.post(DrainAsked())
        assert (await scene.refusal()).code == "draining"

    play(act)


def test_what_nobody_runs_when_the_node_drains_ends_at_once() -> None:
    """It waited for its deadline, and the drain for whoever asked."""

    async def act(scene: Scene) -> None:
        scene.ask()
        scene.ask(Asked("b.run"), scene.of(demand=Demand("plan.make")))
        scene.runtime.post(DrainAsked())
        end = await scene.end()
        assert end.failure
        assert (end.failure.code, end.failure.retryable) == ("draining", True)
        assert scene.ends.empty(), "what runs goes on"
        scene.runtime.end(scene.runtime.attempts[0])
        assert (await scene.end()).failure is None

    play(act)


def test_what_comes_back_while_the_node_drains_is_not_kept_waiting() -> None:
    async def act(scene: Scene) -> None:
        scene.ask()
        scene.ask()
        scene.runtime.post(DrainAsked())
        one, two = scene.runtime.attempts
        scene.runtime.post(Resulted(scene.runtime.peer, [], [Fence(one.no, one.attempt)]))
        scene.runtime.fail(two, Failure("model_overloaded", "busy", retryable=True))
        for _ in range(2):
            failure = (await scene.end()).failure
            assert failure
            assert failure.code == "draining"

    play(act)


def test_what_others_submitted_stays_when_the_node_drains() -> None:
    async def act(scene: Scene) -> None:
        group = Group(Demand("b.run"), (Call(),))
        scene.runtime.post(Submit(print, "r", (group,)))
        scene.runtime.post(DrainAsked())
        (task,) = scene.runtime.engine.tasks.by_no.values()
        assert task.status is Status.WAITING

    play(act)


def test_allowances_come_out_of_that_of_the_asker() -> None:
    async def act(scene: Scene) -> None:
        poor = scene.of(demand=Demand("plan.make", allowance_uusd=100))
        scene.ask(RUN._replace(allowance_uusd=60), poor)
        (submit,) = scene.runtime.submits
        assert (submit.groups[0].demand.allowance_uusd, submit.budget_uusd) == (60, 60)
        too_much = RUN._replace(allowance_uusd=41)
        assert (await scene.refusal(too_much, poor)).code == "over_allowance"
        scene.runtime.end(scene.runtime.attempts[0], usage=Usage("m", 1, 1, 50))
        await scene.end()
        scene.ask(RUN._replace(allowance_uusd=50), poor)
        assert (await scene.refusal(RUN._replace(allowance_uusd=1), poor)).code == "over_allowance"

    play(act)


def test_who_has_an_allowance_and_asks_without_one_gets_what_may_spend_nothing() -> None:
    async def act(scene: Scene) -> None:
        poor = scene.of(demand=Demand("plan.make", allowance_uusd=100))
        scene.ask(RUN, poor)
        (submit,) = scene.runtime.submits
        assert (submit.groups[0].demand.allowance_uusd, submit.budget_uusd) == (1, 0)
        scene.runtime.end(scene.runtime.attempts[0])
        assert (await scene.end()).usage is None
        scene.ask(RUN._replace(allowance_uusd=100), poor)
        assert len(scene.runtime.submits) == 2

    play(act)


def test_withdrawn_is_cancelled_where_it_runs() -> None:
    async def act(scene: Scene) -> None:
        number = scene.ask(RUN._replace(allowance_uusd=8))
        scene.family.withdraw(number)
        assert len(scene.runtime.revoked) == 1
        end = await scene.end()
        assert end.failure
        assert (end.failure.code, end.usage) == ("cancelled", Usage(spent_uusd=8))

    play(act)


def test_what_never_began_used_nothing() -> None:
    async def act(scene: Scene) -> None:
        lone = scene.runtime.lone
        scene.runtime.do(lone.tell(Granted(scene.runtime.peer, Credit(0, 0, 0, 0))))
        number = scene.ask(RUN._replace(allowance_uusd=8))
        assert not scene.runtime.attempts
        scene.family.withdraw(number)
        assert (await scene.end()).usage is None

    play(act)


def test_when_the_attempt_ends_all_that_it_asked_for_does_and_nothing_more_is_told() -> None:
    async def act(scene: Scene) -> None:
        for _ in range(3):
            scene.ask()
        scene.family.close()
        assert sum(len(revoke.fences) for revoke in scene.runtime.revoked) == 3
        await asyncio.sleep(0)
        assert scene.ends.empty()
        assert not scene.runtime.engine.tasks.unended

    play(act)


def test_large_answers_and_files_are_read_back_and_bounded() -> None:
    async def act(scene: Scene) -> None:
        blob = scene.blobs.put([b'"' + b"x" * 100 + b'"'], Encoding.JSON)
        pack = scene.blobs.put([b"onetwo"])
        files = (Extent("a", pack.id, 0, 3), Extent("b/c", pack.id, 3, 3))
        value = Value(Encoding.JSON, b"", blob, files, pack)
        scene.ask()
        task = scene.runtime.engine.tasks.by_no[scene.runtime.attempts[0].no]
        end_here(scene, task, value)
        end = await scene.end()
        assert end.data == b'"' + b"x" * 100 + b'"'
        assert end.files == (("a", b"one"), ("b/c", b"two"))
        scene.ask()
        large = BlobRef(blob.id, ANSWER_BYTES_MAX + 1, Encoding.RAW)
        task = scene.runtime.engine.tasks.by_no[scene.runtime.attempts[1].no]
        end_here(scene, task, Value(Encoding.RAW, b"", large))
        failure = (await scene.end()).failure
        assert failure
        assert failure.code == "invalid_argument"
        scene.ask()
        task = scene.runtime.engine.tasks.by_no[scene.runtime.attempts[2].no]
        end_here(scene, task, Value(Encoding.RAW, b"", BlobRef("0" * 64, 5, Encoding.RAW)))
        failure = (await scene.end()).failure
        assert failure
        assert failure.code == "not_found"

    play(act)


def end_here(scene: Scene, task: Any, value: Value) -> None:
    """As if its result had been fetched to this node."""
    scene.runtime.end(scene.runtime.attempts[-1], value=value)
    scene.runtime.post(Pulled(task.no, task.attempt, value.held_by(ME), None))
