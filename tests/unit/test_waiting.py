"""What the author of a capability that waits may write, and what it does away from a node."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from support.fake_waiting import FakeAttempt

from nova_node.capability import (
    Answer,
    Ask,
    AskFailed,
    Fatal,
    Usage,
    ask,
    attempt_of,
    capability,
    given_secrets,
    own_secrets,
    say,
    secret,
    spend,
    submitter,
    task_id,
)


@capability("a.plan", waits=True)
async def plan(text: str, times: int = 1) -> list[object]:
    """Asks so often."""
    say("asking ")
    asked = [ask("core.echo", {"data": text}, allowance_uusd=3) for _ in range(times)]
    answers = await asyncio.gather(*asked)
    spend(Usage("m", 1, 1, 2))
    return [answer.value for answer in answers]


def test_it_is_a_capability_like_any_other() -> None:
    assert plan.waits
    assert plan.bind({"text": "x"}) == {"text": "x", "times": 1}
    assert plan.doc == "Asks so often."


def test_what_does_not_fit_is_refused_when_it_is_written() -> None:
    async def waits() -> None: ...
    def plain() -> None: ...
    async def gives() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="async needs waits=True"):
        capability("a.b")(waits)
    with pytest.raises(TypeError, match="waits is an async def"):
        capability("a.b", waits=True)(plain)
    for waiting in (True, False):
        with pytest.raises(TypeError, match="plain function"):
            capability("a.b", waits=waiting)(gives)


def test_it_does_not_split() -> None:
    made = capability("a.b", waits=True)(plan.function)

    def split(text: str) -> Iterator[dict[str, object]]:
        yield {"text": text}

    with pytest.raises(TypeError, match="it does not split"):
        made.split(split)


def test_in_a_test_somebody_else_answers() -> None:
    fake = FakeAttempt(lambda asked: Answer(asked.args["data"], {}, "n1", None))
    with attempt_of(fake):
        assert asyncio.run(plan.function("x", 2)) == ["x", "x"]
    assert fake.asked == [Ask("core.echo", {"data": "x"}, allowance_uusd=3)] * 2
    assert (fake.said, fake.used) == (["asking "], Usage("m", 1, 1, 2))


def test_what_was_asked_for_may_fail() -> None:
    def refuse(_: Ask) -> Answer:
        raise AskFailed("model_overloaded", "busy", "wait", True, retry_after_s=2.0)

    with attempt_of(FakeAttempt(refuse)), pytest.raises(AskFailed) as raised:
        asyncio.run(plan.function("x"))
    assert (raised.value.code, raised.value.retry_after_s) == ("model_overloaded", 2.0)


def test_outside_of_an_attempt_it_can_speak_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("so")
    assert capsys.readouterr().out == "so"
    for only_inside in (task_id, submitter, lambda: asyncio.run(plan.function("x"))):
        with pytest.raises(RuntimeError, match="capability that waits"):
            only_inside()


def test_those_beside_each_other_know_what_is_theirs() -> None:
    async def one(name: str) -> tuple[str, str]:
        with attempt_of(FakeAttempt(task_id=name)), own_secrets({"db": f"{name}'s"}):
            await asyncio.sleep(0)
            return task_id(), await asyncio.to_thread(secret, "db")

    async def main() -> tuple[tuple[str, str], tuple[str, str]]:
        first, second = await asyncio.gather(one("a-1"), one("b-2"))
        return first, second

    assert asyncio.run(main()) == (("a-1", "a-1's"), ("b-2", "b-2's"))


def test_what_others_are_given_is_not_theirs() -> None:
    with given_secrets({"db": "x"}), own_secrets({}), pytest.raises(Fatal, match="no secret 'db'"):
        secret("db")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Usage("m", 1, 2, 3), Usage("m", 10, 20, 30), Usage("m", 11, 22, 33)),
        (Usage("m", 1, 2, 3), Usage("n", 1, 2, None), Usage("", 2, 4, None)),
        (Usage("m", cache="exact"), Usage(), Usage("m", cache="exact")),
        (Usage(), Usage("m", 1), Usage("m", 1)),
    ],
)
def test_what_was_used_adds_up(one: Usage, other: Usage, both: Usage) -> None:
    assert one.plus(other) == both
